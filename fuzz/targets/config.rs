//! Any text gives a snapshot or diagnostics that can be shown.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::config::parse;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // Relative names lead into a folder that is not there.
    match parse(text, Path::new("/nonexistent/switchyard.toml")) {
        Ok(loaded) => {
            let _ = (loaded.render(true), loaded.lines());
        }
        Err(report) => {
            assert!(report.errors() > 0, "refused without saying why");
            let _ = (report.render(true), report.lines());
        }
    }
});
