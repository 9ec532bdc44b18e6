//! `switchyard check FILE`: every problem at once, without running anything.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use crate::{
    config::{self, Report},
    control::within_folders,
};

/// `EX_USAGE` of sysexits.h: the operator's input is wrong.
const BAD_CONFIG: u8 = 64;

/// Prints what is wrong or doubtful with a file; 0 where it can be used, else 64.
///
/// A terminal sees the lines in question; a pipe gets one line a problem, for editors and scripts.
pub fn check(file: &Path) -> ExitCode {
    let terminal = io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let (text, code) = outcome(file, terminal, colour);
    // Whoever closed the pipe has seen enough; the exit code still tells.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// What is printed, and the exit code.
fn outcome(file: &Path, drawn: bool, colour: bool) -> (String, u8) {
    let mut loaded = match config::load(file) {
        Ok(loaded) => loaded,
        Err(report) => {
            let found = if drawn {
                report.render(colour)
            } else {
                report.lines()
            };
            return verdict(file, found, report.errors(), 0);
        }
    };
    loaded.try_binding();
    let whole = config::whole(&loaded.snapshot);
    let mut found = if drawn {
        loaded.render(colour)
    } else {
        loaded.lines()
    };
    let (mut errors, mut warnings) = (whole.problems.len(), loaded.warnings.len());
    for problem in &whole.problems {
        found.push_str(&format!("{problem}\n"));
    }
    for tenant in &whole.loaded {
        warnings += tenant.warnings.len();
        found.push_str(&match (&tenant.outcome, drawn) {
            (Ok(_), true) => tenant.render(colour),
            (Ok(_), false) => tenant.lines(),
            (Err(report), true) => report.render(colour),
            (Err(report), false) => report.lines(),
        });
        errors += tenant.outcome.as_ref().err().map_or(0, Report::errors);
        if let Ok(part) = &tenant.outcome
            && let Err(why) = within_folders(part)
        {
            found.push_str(&format!("error: tenant `{}`: {why}\n", part.name));
            errors += 1;
        }
    }
    verdict(file, found, errors, warnings)
}

fn verdict(file: &Path, found: String, errors: usize, warnings: usize) -> (String, u8) {
    let file = file.display();
    let (word, code) = match (errors, warnings) {
        (0, 0) => ("can be used".to_owned(), 0),
        (0, 1) => ("can be used; 1 warning".to_owned(), 0),
        (0, n) => (format!("can be used; {n} warnings"), 0),
        (1, _) => ("1 error".to_owned(), BAD_CONFIG),
        (n, _) => (format!("{n} errors"), BAD_CONFIG),
    };
    (format!("{found}{file}: {word}\n"), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str =
        "version = 1\n[[listener]]\nbind = \"127.0.0.1:0\"\n[[vhost]]\nname = \"a.example\"\n";

    fn checked(text: &str, drawn: bool) -> (String, u8) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.toml");
        std::fs::write(&file, text).expect("written");
        outcome(&file, drawn, false)
    }

    #[test]
    fn a_file_that_can_be_used_is_no_failure_whatever_is_doubtful() {
        let (text, code) = checked(&format!("{LEAST}document_root = \".\"\n"), false);
        assert_eq!((code, text.lines().count()), (0, 1), "{text}");
        assert!(text.ends_with("it.toml: can be used\n"), "{text}");
        let (text, code) = checked(LEAST, false);
        assert_eq!(code, 0);
        assert!(
            text.contains("warning: vhost[0]: ") && text.ends_with("1 warning\n"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_usage_error() {
        let (text, code) = checked("version = 2\nvias = 1\n", false);
        assert_eq!(code, 64);
        assert!(text.ends_with("it.toml: 4 errors\n"), "{text}");
        let (drawn, code) = checked("version = 2\n", true);
        assert_eq!(code, 64);
        assert!(drawn.contains("1 │ version = 2"), "{drawn}");
    }

    #[test]
    fn a_tenant_whose_files_lie_too_deep_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = "d/".repeat(40);
        let own = folder.path().join("tenants/acme");
        std::fs::create_dir_all(own.join(&deep)).expect("made");
        let site = format!("[policy.p]\nsource = \"{deep}p.wasm\"\n");
        std::fs::write(own.join("site.toml"), site).expect("written");
        let file = folder.path().join("it.toml");
        std::fs::write(&file, format!("{LEAST}document_root = \".\"\n")).expect("written");
        let (text, code) = outcome(&file, false, false);
        assert_eq!(code, 64, "{text}");
        let told = "error: tenant `acme`: its files lie in more folders than the 32";
        assert!(text.contains(told), "{text}");
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let (text, code) = outcome(Path::new("no/such/file.toml"), false, false);
        assert_eq!(code, 64);
        assert!(
            text.contains("cannot be read") && text.ends_with("1 error\n"),
            "{text}"
        );
    }
}
