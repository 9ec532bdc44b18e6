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
    ExitCode::from(code)
}

/// What is printed, and the exit code.
fn outcome(file: &Path, drawn: bool, colour: bool) -> (String, u8) {
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
            (format!("{found}{}: {verdict}\n", file.display()), 0)
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
                BAD_CONFIG,
            )
        }
    }
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
    fn a_missing_file_is_a_usage_error() {
        let (text, code) = outcome(Path::new("no/such/file.toml"), false, false);
        assert_eq!(code, 64);
        assert!(
            text.contains("cannot be read") && text.ends_with("1 error\n"),
            "{text}"
        );
    }
}
