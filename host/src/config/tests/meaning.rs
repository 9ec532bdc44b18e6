//! What the other keys mean, and what stands for those that are left out.

use std::{path::Path, time::Duration};

use serde_json::json;

use super::{super::load, LEAST, said, taken};
use crate::snapshot::{AccessFormat, HostPattern, OnError, RouteOrder};

#[test]
fn the_example_is_taken_without_a_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let loaded =
        load(&root.join("examples/switchyard.toml")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.lines(), "");
    assert_eq!(
        loaded.snapshot.balancers["mycluster"].members[1].weight,
        200
    );
    assert!(
        loaded
            .snapshot
            .balancers
            .contains_key("www.example.com/boxroom")
    );
}

#[test]
fn defaults_are_what_the_schema_says() {
    let every_default = super::schema::with_every_default();
    let spelled_out = taken(&every_default).snapshot;
    let left_out = taken(&super::schema::with_no_default()).snapshot;
    assert_eq!(spelled_out, left_out);
}

#[test]
fn the_first_vhost_is_the_default_unless_one_says_so() {
    let second = "[[vhost]]\nname = \"B.example.\"\naliases = [\"*.b.example\", \"c?.example\"]\norder = \"file\"\n";
    let first = taken(&format!("{LEAST}{second}")).snapshot.vhosts;
    assert_eq!((first[0].default, first[1].default), (true, false));
    assert_eq!(
        (first[0].order, first[1].order),
        (RouteOrder::Longest, RouteOrder::File)
    );
    let exact = HostPattern::Exact("b.example".to_owned());
    let others = [
        HostPattern::Suffix(".b.example".to_owned()),
        HostPattern::Glob("c?.example".to_owned()),
    ];
    assert_eq!(first[1].hosts, [&[exact][..], &others[..]].concat());
    let second = taken(&format!("{LEAST}{second}default = true\n"))
        .snapshot
        .vhosts;
    assert_eq!((second[0].default, second[1].default), (false, true));
}

#[test]
fn names_belong_to_one_vhost_and_one_is_the_default() {
    let text = format!(
        "{LEAST}default = true\n[[vhost]]\nname = \"b.example\"\naliases = [\"A.example\"]\ndefault = true\n"
    );
    let said = said(&text);
    assert!(
        said.contains("vhost[1].aliases[0]: \"A.example\" belongs to the vhost a.example already"),
        "{said}"
    );
    assert!(
        said.contains("vhost[1].default: a.example is the default already"),
        "{said}"
    );
}

#[test]
fn logs_of_a_vhost_fall_back_to_those_of_the_process() {
    let text = format!(
        "{LEAST}[vhost.log]\naccess = {{ path = \"own.log\", format = \"%h %D\" }}\n[log]\nerror = {{ level = \"debug\" }}\n"
    );
    let snapshot = taken(&text).snapshot;
    let own = snapshot.vhosts[0].log.as_ref().expect("logs");
    assert_eq!(own.error, snapshot.log.error);
    assert_eq!(snapshot.log.access, None);
    let access = own.access.as_ref().expect("an access log");
    assert_eq!(access.format, AccessFormat::Custom("%h %D".to_owned()));
    assert!(access.path.as_ref().is_some_and(|path| path.is_absolute()));
}

#[test]
fn error_pages_are_read_and_the_narrowest_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["404.html", "4xx.html", "5xx.txt", "bad.bin"] {
        std::fs::write(folder.path().join(name), name).expect("written");
    }
    std::fs::write(
        folder.path().join("large.html"),
        vec![b'x'; (256 << 10) + 1],
    )
    .expect("written");
    let file = folder.path().join("switchyard.toml");
    let pages = "error_page = { \"4xx\" = \"4xx.html\", \"404\" = \"404.html\", \"502-504\" = \"5xx.txt\", \"500\" = \"bad.bin\" }";
    std::fs::write(&file, format!("{LEAST}{pages}\n")).expect("written");
    let snapshot = load(&file)
        .unwrap_or_else(|report| panic!("{report}"))
        .snapshot;
    let page = |status: u16| {
        snapshot.vhosts[0]
            .error_pages
            .iter()
            .find(|p| p.statuses.contains(&status))
    };
    let body = |status| page(status).map(|p| String::from_utf8_lossy(&p.body).into_owned());
    assert_eq!(body(404).as_deref(), Some("404.html"));
    assert_eq!(body(403).as_deref(), Some("4xx.html"));
    assert_eq!((body(503).as_deref(), body(501)), (Some("5xx.txt"), None));
    assert_eq!(
        page(404).map(|p| &*p.content_type),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        page(503).map(|p| &*p.content_type),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        page(500).map(|p| &*p.content_type),
        Some("application/octet-stream")
    );
    let all: Vec<u16> = snapshot.vhosts[0]
        .error_pages
        .iter()
        .flat_map(|p| p.statuses.clone())
        .collect();
    assert_eq!(all.iter().filter(|s| **s == 404).count(), 1);
    assert_eq!(snapshot.files.len(), 5);
    std::fs::write(
        &file,
        format!("{LEAST}error_page = {{ \"500\" = \"large.html\" }}\n"),
    )
    .expect("written");
    assert!(
        load(&file)
            .expect_err("too large")
            .lines()
            .contains("256 KiB")
    );
}

#[test]
fn policies_inherit_limits_and_on_error() {
    let text = format!(
        "{LEAST}[limits.policy]\ndeadline = \"7ms\"\non_error = \"refuse\"\n[policy.a]\nsource = \"a.wasm\"\n\
         config = {{ percent = 5, at = 1979-05-27, deep = [{{ x = 1.5 }}] }}\nlimits = {{ memory = \"1MiB\" }}\n\
         [policy.b]\nsource = \"b.wasm\"\non_error = \"previous\"\n"
    );
    let snapshot = taken(&text).snapshot;
    let (a, b) = (&snapshot.policies["a"], &snapshot.policies["b"]);
    assert_eq!(
        (a.on_error, b.on_error),
        (OnError::Refuse, OnError::Previous)
    );
    assert_eq!((a.limits.memory, b.limits.memory), (1 << 20, 32 << 20));
    assert_eq!(a.limits.deadline, Duration::from_millis(7));
    assert_eq!(
        a.config,
        json!({ "percent": 5, "at": "1979-05-27", "deep": [{ "x": 1.5 }] })
    );
    assert_eq!(b.config, json!({}));
}
