//! `switchyard check FILE`: every problem at once, without running anything.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use crate::config;

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
    code
}

fn outcome(file: &Path, drawn: bool, colour: bool) -> (String, ExitCode) {
    match config::load(file) {
        Ok(mut loaded) => {
            loaded.try_binding();
            let found = if drawn {
                loaded.render(colour)
            } else {
                loaded.lines()
            };
            let verdict = match loaded.warnings.len() {
                0 => "can be used".to_owned(),
                1 => "can be used; 1 warning".to_owned(),
                n => format!("can be used; {n} warnings"),
            };
            (
                format!("{found}{}: {verdict}\n", file.display()),
                ExitCode::SUCCESS,
            )
        }
        Err(report) => {
            let found = if drawn {
                report.render(colour)
            } else {
                report.lines()
            };
            let errors = report.errors();
            let noun = if errors == 1 { "error" } else { "errors" };
            (
                format!("{found}{}: {errors} {noun}\n", file.display()),
                ExitCode::from(BAD_CONFIG),
            )
        }
    }
}
