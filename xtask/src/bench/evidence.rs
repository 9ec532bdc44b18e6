//! What a front said, kept where a measurement ends because of it.
//!
//! Everything else that a run made goes away with its folder, and what fails once in forty runs is not seen
//! again for the asking.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Error, Result, anyhow};

use super::front::Front;
use crate::http::Client;

/// Lines of a log that are shown; the others are in the kept file.
const SHOWN: usize = 40;

/// Passes `result` on. To an error it adds the front's log, and keeps that and its metrics in `folder` as
/// `variant-front.log` and `.metrics`. The front has ended then.
pub fn kept<T>(front: &mut Front, folder: &Path, variant: &str, result: Result<T>) -> Result<T> {
    let error = match result {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let stem = folder.join(format!("{variant}-{}", front.key));
    let mut said = String::new();
    // Asked before it ends. One that does not answer any more has its log all the same.
    let metrics = front
        .admin
        .and_then(|admin| Client::new(admin).get("/metrics", &[]).ok());
    if let Err(how) = front.end_for_log() {
        let _ = write!(said, "\n{}: {how:#}", front.name);
    }
    let log = fs::read(&front.log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let keep = |suffix: &str, text: &str| {
        let path = stem.with_added_extension(suffix);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
        match written {
            Ok(()) => path.display().to_string(),
            Err(why) => format!("nowhere, since {} cannot be written: {why}", path.display()),
        }
    };
    if let Some(page) = metrics {
        let at = keep("metrics", &page.text());
        let _ = write!(said, "\n{}'s metrics are kept in {at}", front.name);
    }
    let at = keep("log", &log);
    said.push_str(&told(&front.name, &log, &at));
    Err(with(&error, &said))
}

fn with(error: &Error, said: &str) -> Error {
    anyhow!("{error:#}{said}")
}

/// The end of a log, and where all of it is.
fn told(name: &str, log: &str, at: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    let shown = match (lines.len(), from) {
        (0, _) => return format!("\n{name} logged nothing"),
        (_, 0) => String::new(),
        (all, _) => format!(" (the last {SHOWN} of {all} lines)"),
    };
    let end = lines[from..].join("\n");
    format!("\n{name}'s log, kept in {at}{shown}:\n{end}")
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, os::unix::fs::PermissionsExt};

    use anyhow::bail;

    use super::*;
    use crate::{
        bench::{front::Site, variant::Setup},
        gateway::Gateway,
    };

    /// A front of ours that says this, which it has said once it is ready, and ends when it is told to.
    fn front(folder: &Path, says: &str) -> Front {
        let program = folder.join("program");
        let script = format!(
            "#!/bin/sh\ntrap 'exit 0' TERM\necho '{says}' >&2\n\
             echo 'switchyard ready: listening on 127.0.0.1:1' >&2\nwhile :; do sleep 0.01; done\n"
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let gateway = Gateway::start(&program, &folder.join("x.toml"), None, &[]).unwrap();
        let site = Site {
            folder: folder.to_owned(),
            members: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
            cores: Vec::new(),
            workers: 1,
            access_log: false,
        };
        Front::own(&site, "switchyard", "Switchyard", Setup::Base, gateway)
    }

    #[test]
    fn what_fails_comes_with_the_fronts_log_which_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut front = front(folder.path(), "cause=pick: ran longer than 5ms");
        let kept_in = folder.path().join("failed");
        let failed = || -> Result<()> { bail!("7 decisions were made without the policy") };
        let error = kept(&mut front, &kept_in, "record-1", failed()).unwrap_err();
        let error = error.to_string();
        let path = kept_in.join("record-1-switchyard.log");
        assert!(error.starts_with("7 decisions were made"), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("cause=pick: ran longer than 5ms"), "{error}");
        let log = fs::read_to_string(path).unwrap();
        assert!(log.contains("ran longer"), "{log}");
    }

    #[test]
    fn what_goes_well_leaves_the_front_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut front = front(folder.path(), "all is well");
        let kept_in = folder.path().join("failed");
        assert_eq!(kept(&mut front, &kept_in, "200b", Ok(7)).unwrap(), 7);
        assert!(!kept_in.exists());
        front.end_for_log().unwrap();
    }

    #[test]
    fn of_a_long_log_the_end_is_shown() {
        let log: String = (1..=50).map(|line| format!("line {line}\n")).collect();
        let said = told("Switchyard", &log, "there");
        assert!(
            said.starts_with(
                "\nSwitchyard's log, kept in there (the last 40 of 50 lines):\nline 11\n"
            ),
            "{said}"
        );
        assert!(said.ends_with("line 50"), "{said}");
        assert_eq!(told("nginx", "", "there"), "\nnginx logged nothing");
    }
}
