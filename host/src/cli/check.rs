//! `switchyard check FILE`: every problem at once, without serving anything.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    thread,
};

use super::{policy::users_cache, rehearsal::rehearsed};
use crate::{
    config::{self, Report},
    control::{Unfit, within_folders},
    telemetry::harmless,
    wasm::{CacheDir, Compiler},
};

/// `EX_USAGE` of sysexits.h: the operator's input is wrong.
const BAD_CONFIG: u8 = 64;

/// Prints what is wrong or doubtful with a file and what it names; 0 where it can be used, else 64.
///
/// Policies are compiled and tried as at a start, for as many workers as `run` has by default. What is not
/// looked at: whether logs can be written, members answer and their names resolve, and `state_dir`.
///
/// A terminal sees the lines in question; a pipe gets one line a problem, for editors and scripts.
pub fn check(file: &Path) -> ExitCode {
    let terminal = io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let (text, code) = outcome(file, (terminal, colour), (Compiler::default(), users_cache));
    // Whoever closed the pipe has seen enough; the exit code still tells.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::from(code)
}

/// What is printed, and the exit code.
fn outcome(
    file: &Path,
    (drawn, colour): (bool, bool),
    compiler: (Compiler, impl FnOnce() -> Option<CacheDir>),
) -> (String, u8) {
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
    let mut whole = config::whole(&loaded.snapshot);
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
            whole.parts.remove(&part.name);
        }
    }
    let workers = thread::available_parallelism().map_or(1, Into::into);
    match rehearsed(&loaded.snapshot, whole.parts, workers, compiler) {
        Ok(rehearsal) => {
            let unfit = rehearsal.unfit.iter().filter(|one| !is_still_to_come(one));
            let lines: Vec<_> = unfit.map(line).collect();
            errors += lines.len();
            found.extend(lines);
        }
        Err(error) => {
            errors += 1;
            found.push_str(&format!("error: policies cannot be tried: {error}\n"));
        }
    }
    verdict(file, found, errors, warnings)
}

/// A policy may be built after its configuration is written: the configuration's own warning has told
/// that its file is not there.
fn is_still_to_come(unfit: &Unfit) -> bool {
    unfit.file.as_ref().is_some_and(|file| !file.is_file())
}

fn line(unfit: &Unfit) -> String {
    match &unfit.file {
        Some(file) => format!("{}: error: {unfit}\n", harmless(&file.to_string_lossy())),
        None => format!("error: {unfit}\n"),
    }
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
    use crate::builtin;

    const LEAST: &str =
        "version = 1\n[[listener]]\nbind = \"127.0.0.1:0\"\n[[vhost]]\nname = \"a.example\"\n";

    fn checked(text: &str, drawn: bool) -> (String, u8) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.toml");
        std::fs::write(&file, text).expect("written");
        tried(&file, drawn)
    }

    fn tried(file: &Path, drawn: bool) -> (String, u8) {
        outcome(file, (drawn, false), (Compiler::InProcess, || None))
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
        let (text, code) = tried(&file, false);
        assert_eq!(code, 64, "{text}");
        let told = "error: tenant `acme`: its files lie in more folders than the 32";
        assert!(text.contains(told), "{text}");
    }

    const SITE: &str = "  [[vhost.route]]\n  path = \"/\"\n  balancer = \"b\"\n[balancer.b]\n\
        lbmethod = \"policy:p\"\nmembers = [{ url = \"http://192.0.2.1\" }]\n[policy.p]\nsource = \"p.wasm\"\n";

    /// Checks a site of the operator's and the same one of a tenant's, whose policy is this file.
    fn with_policy(wasm: &[u8], keys: &str) -> (String, u8) {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        };
        let operators =
            format!("state_dir = \"state\"\ncache_dir = \"cache\"\n{LEAST}{SITE}{keys}");
        write("it.toml", operators.as_bytes());
        write("p.wasm", wasm);
        let tenants = format!("[[vhost]]\nname = \"b.example\"\n{SITE}{keys}");
        write("tenants/acme/site.toml", tenants.as_bytes());
        write("tenants/acme/p.wasm", wasm);
        let (text, code) = tried(&folder.path().join("it.toml"), false);
        for name in ["state", "cache"] {
            assert!(
                !folder.path().join(name).exists(),
                "{name} is the gateway's to make"
            );
        }
        let place = format!("{}/", folder.path().display());
        (text.replace(&place, ""), code)
    }

    #[test]
    fn policies_that_a_start_would_refuse_are_errors_of_operator_and_tenant() {
        let built_in = |name| builtin::find(name).expect("it is built in").wasm;
        let whole = built_in("byrequests");
        let cases: [(&[u8], &str, &str); 4] = [
            (
                &whole[..whole.len() / 2],
                "",
                "policy `p`: `p` ends in its middle",
            ),
            (b"#!/bin/sh", "", "policy `p`: `p` is not WebAssembly"),
            (
                built_in("reverse"),
                "",
                "lbmethod of balancer `b` needs a policy that exports `balancer`, but `p` exports `rewriter`",
            ),
            (
                whole,
                "config = { speed = 3 }\n",
                "policy `p` for lbmethod of balancer `b`: ",
            ),
        ];
        for (wasm, keys, why) in cases {
            let (text, code) = with_policy(wasm, keys);
            assert_eq!(code, 64, "{text}");
            assert!(text.contains(&format!("p.wasm: error: {why}")), "{text}");
            let tenants = format!("tenants/acme/p.wasm: error: tenant `acme`: {why}");
            assert!(text.contains(&tenants), "{text}");
            assert!(text.ends_with("it.toml: 2 errors\n"), "{text}");
        }
        let (text, code) = with_policy(whole, "");
        assert_eq!((code, text.as_str()), (0, "it.toml: can be used\n"));
    }

    #[test]
    fn a_policy_that_is_still_to_come_hides_no_other_ones_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, bytes).expect("written");
        };
        let refused = "  [[vhost.route]]\n  path = \"/q\"\n  balancer = \"c\"\n[balancer.c]\nlbmethod = \"policy:q\"\n\
            members = [{ url = \"http://192.0.2.1\" }]\n[policy.q]\nsource = \"q.wasm\"\nconfig = { speed = 3 }\n";
        let (routes, tables) = SITE.split_once("[balancer.b]").expect("it has one");
        let both = format!("{routes}{refused}[balancer.b]{tables}");
        let whole = builtin::find("byrequests").expect("it is built in").wasm;
        write("it.toml", format!("{LEAST}{both}").as_bytes());
        write("q.wasm", whole);
        let tenants = format!("[[vhost]]\nname = \"b.example\"\n{both}");
        write("tenants/acme/site.toml", tenants.as_bytes());
        write("tenants/acme/q.wasm", whole);
        let (text, code) = tried(&folder.path().join("it.toml"), false);
        assert_eq!(code, 64, "{text}");
        assert_eq!(text.matches("p.wasm is not there").count(), 2, "{text}");
        assert_eq!(text.matches("q.wasm: error: ").count(), 2, "{text}");
        assert!(text.ends_with("it.toml: 2 errors\n"), "{text}");
    }

    #[test]
    fn what_tenants_and_policies_say_makes_no_line_of_its_own_and_talks_to_no_terminal() {
        let said = r#""\nit.toml: can be used\u001b[2J\u009b""#;
        let whole = builtin::find("byrequests").expect("it is built in").wasm;
        let (text, code) = with_policy(whole, &format!("config = {{ {said} = 3 }}\n"));
        assert_eq!(code, 64, "{text}");
        assert_eq!(text.matches(r"\nit.toml: can be used\u{1b}[2J").count(), 2);
        assert_eq!(text.lines().count(), 3, "{text}");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("it.toml");
        let named = SITE.replace(r#""p.wasm""#, said);
        // A picture of the line in question, and of a file that cannot be parsed.
        for text in [
            format!("{LEAST}{named}"),
            format!("{LEAST}{named}\u{1b}[2J\r\u{9b}"),
        ] {
            std::fs::write(&file, text).expect("written");
            for drawn in [false, true] {
                let (text, _) = tried(&file, drawn);
                let own = |line: &str| line.starts_with("it.toml: can be used");
                assert!(!text.lines().any(own), "{text:?}");
                let controls = text.replace('\n', "").contains(char::is_control);
                assert!(!controls, "{text:?}");
            }
        }
    }

    #[test]
    fn a_missing_file_is_a_usage_error() {
        let (text, code) = tried(Path::new("no/such/file.toml"), false);
        assert_eq!(code, 64);
        assert!(
            text.contains("cannot be read") && text.ends_with("1 error\n"),
            "{text}"
        );
    }
}
