use std::{fs, path::Path, sync::Arc};

use tempfile::TempDir;
use tracing::{debug, error, info, subscriber::with_default, warn};
use tracing_subscriber::{layer::SubscriberExt, registry};

use super::super::Logs;
use crate::{
    config,
    snapshot::{Level, Snapshot},
};

fn snapshot(folder: &TempDir) -> Snapshot {
    let file = folder.path().join("switchyard.toml");
    let text = r#"
version = 1
[log]
error = { path = "error.log", level = "info" }
[[listener]]
bind = "127.0.0.1:0"
[[vhost]]
name = "own.example"
log = { error = { path = "own.log", level = "warn" } }
[[vhost]]
name = "shared.example"
"#;
    fs::write(&file, text).unwrap();
    config::load(&file)
        .map_err(|r| r.to_string())
        .unwrap()
        .snapshot
}

fn logging(logs: &Logs, events: impl FnOnce()) {
    let journal = Arc::clone(logs.journal());
    with_default(registry().with(journal.layer()), events);
    logs.flush();
}

/// The lines of a log without their times.
fn lines(folder: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let time = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ").unwrap();
    text.lines()
        .map(|line| {
            assert!(time.is_match(line), "{line}");
            time.replace(line, "").into_owned()
        })
        .collect()
}

#[test]
fn event_is_one_line_whatever_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start().unwrap();
    logs.adopt(logs.errors(&snapshot(&folder)).unwrap());
    logging(&logs, || {
        info!(balancer = "app", members = 2, "Member joins");
        let cause = "a b\n2026-11-22T23:48:12.345Z error Forged \u{1b}[2J";
        warn!(%cause, empty = "", quoted = "say \"x\"", "Went\nwrong");
        error!(?folder, plain = %"http://10.0.0.1:8080/", "Odd");
        debug!("not at this level");
    });
    let found = lines(folder.path(), "error.log");
    assert_eq!(found[0], "info  Member joins balancer=app members=2");
    assert_eq!(
        found[1],
        r#"warn  Went\nwrong cause="a b\n2026-11-22T23:48:12.345Z error Forged \u001b[2J" empty="" quoted="say \"x\"""#
    );
    assert!(
        found[2].starts_with("error Odd folder=\"TempDir"),
        "{}",
        found[2]
    );
    assert!(
        found[2].ends_with(" plain=http://10.0.0.1:8080/"),
        "{}",
        found[2]
    );
    assert_eq!(found.len(), 3);
}

#[test]
fn vhosts_events_go_to_its_own_log_at_its_own_level() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start().unwrap();
    logs.adopt(logs.errors(&snapshot(&folder)).unwrap());
    logging(&logs, || {
        warn!(vhost = "own.example", "Own");
        info!(vhost = %"own.example", "Too small for its log");
        info!(vhost = "shared.example", "Shared");
        info!(vhost = "unheard-of.example", "Unheard of");
    });
    assert_eq!(
        lines(folder.path(), "own.log"),
        ["warn  Own vhost=own.example"]
    );
    assert_eq!(
        lines(folder.path(), "error.log"),
        [
            "info  Shared vhost=shared.example",
            "info  Unheard of vhost=unheard-of.example"
        ]
    );
}

#[test]
fn level_changes_with_a_reload_and_libraries_stay_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start().unwrap();
    let mut snapshot = snapshot(&folder);
    let step = |level, snapshot: &mut Snapshot| {
        snapshot.log.error.level = level;
        logs.adopt(logs.errors(snapshot).unwrap());
        logging(&logs, || {
            debug!(?level, "Ours");
            debug!(target: "hickory_resolver", ?level, "Theirs");
            warn!(target: "hickory_resolver", ?level, "Their trouble");
        });
    };
    step(Level::Debug, &mut snapshot);
    step(Level::Error, &mut snapshot);
    step(Level::Trace, &mut snapshot);
    assert_eq!(
        lines(folder.path(), "error.log"),
        [
            "debug Ours level=Debug",
            "warn  Their trouble level=Debug",
            "debug Ours level=Trace",
            "debug Theirs level=Trace",
            "warn  Their trouble level=Trace",
        ]
    );
}

#[test]
fn errors_tell_their_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot load")]
    struct Outer(#[source] std::io::Error);
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::start().unwrap();
    logs.adopt(logs.errors(&snapshot(&folder)).unwrap());
    logging(&logs, || {
        let outer = Outer(std::io::Error::other("disk on fire"));
        error!(error = &outer as &dyn std::error::Error, "Failed");
    });
    assert_eq!(
        lines(folder.path(), "error.log"),
        ["error Failed error=\"cannot load: disk on fire\""]
    );
}
