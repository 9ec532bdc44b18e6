//! Recordings of a gateway at work, and what `switchyard policy replay` says about them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;
use switchyard_tests::{
    Gateway, Member, Request, Setup,
    command::{Said, switchyard, switchyard_with_caches},
    guests, scripts,
};

use crate::{
    conf::everything_to,
    metrics::{parse, scrape, sum},
    policies::{balanced, sequence},
};

/// Ends the gateway, which writes what it still holds; its folder stays.
fn end(gateway: &mut Gateway) {
    gateway.signal(libc::SIGTERM);
    assert!(gateway.wait_for_exit().success());
}

fn path(gateway: &Gateway, name: &str) -> String {
    gateway.dir().join(name).display().to_string()
}

fn replay(gateway: &Gateway, recording: &str, module: &str) -> (Said, Value) {
    let (recording, module) = (path(gateway, recording), path(gateway, module));
    let arguments = ["policy", "replay", &recording, &module, "--json"];
    let said = switchyard_with_caches(gateway.dir(), Path::new("."), &arguments);
    let kept = fs::read_dir(gateway.dir().join("switchyard")).unwrap();
    assert!(kept.count() > 0, "it is not compiled again");
    let report = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.all()));
    (said, report)
}

#[test]
fn a_recorded_policy_replays_as_it_decided() {
    let members = ["a", "b", "c"].map(|n| Member::start(n, scripts::name()));
    let all: Vec<&Member> = members.iter().collect();
    let keys = "lbmethod = [\"policy:canary\", \"policy:least\"]\naffinity = \"policy:pin\"";
    let record = |name: &str| format!("record = {{ path = \"{name}.rec\", sample = 1 }}\n");
    let mut text = everything_to(&all, keys);
    for (name, config) in [
        ("canary", "percent = 30"),
        ("least", ""),
        ("pin", "header = \"x-customer\""),
    ] {
        let record = record(name);
        text += &format!(
            "[policy.{name}]\nsource = \"{name}.wasm\"\nconfig = {{ {config} }}\n{record}"
        );
    }
    let mut gateway = Setup::new(text)
        .file("canary.wasm", guests::sdk_example("canary"))
        .file("least.wasm", guests::sdk_example("least_latency"))
        .file("pin.wasm", guests::sdk_example("pin_by_header"))
        .start();
    let mut client = gateway.connect();
    for number in 0..400 {
        let customer = format!("c{}", number % 20);
        let request = match number % 4 {
            0 => Request::get("/").field("X-Customer", &customer),
            _ => Request::get(&format!("/{number}")),
        };
        assert_eq!(client.ask(&request).status, 200);
    }
    drop(client);
    end(&mut gateway);
    for name in ["canary", "least", "pin"] {
        let recording = format!("{name}.rec");
        let mode = fs::metadata(path(&gateway, &recording))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let (said, report) = replay(&gateway, &recording, &format!("{name}.wasm"));
        assert_eq!(said.status.code(), Some(0), "{name}: {report:#}");
        let unchanged = report["decisions"]["unchanged"].as_u64().unwrap();
        assert!(unchanged >= 60, "{name}: {report:#}");
        assert_eq!(report["others"], serde_json::json!({}), "{name}");
    }
}

#[test]
fn windows_of_a_share_of_the_calls_begin_with_the_state_of_the_instance() {
    let record = "record = { path = \"p.rec\", sample = 0.4 }";
    let (_members, setup) = balanced("count", record, "");
    let mut gateway = setup.start();
    let mut client = gateway.connect();
    let mut all = String::new();
    let begun = |gateway: &Gateway| {
        let name = "switchyard_recording_windows_total";
        sum(&parse(&scrape(gateway, "").0, false), name, &["policy=p"])
    };
    while begun(&gateway) < 3.0 {
        assert!(all.len() < 200_000, "a third window");
        all.extend((0..300).map(|_| client.get("/").text()));
    }
    let calls = all.len();
    // Nothing is lost where an instance hands over to one that is recorded.
    assert_eq!(all, "abc".repeat(calls.div_ceil(3))[..calls]);
    drop(client);
    end(&mut gateway);
    let (said, report) = replay(&gateway, "p.rec", "p.wasm");
    assert_eq!(said.status.code(), Some(0), "{report:#}");
    let recorded = report["decisions"]["unchanged"].as_u64().unwrap();
    assert!(recorded > 1_000 && recorded < calls as u64, "{report:#}");
}

#[test]
fn another_version_is_shown_decision_by_decision() {
    let record = "record = { path = \"p.rec\", sample = 1 }";
    let (_members, setup) = balanced("count", record, "");
    let mut gateway = setup
        .file("first.wasm", guests::marked("balancer", "first"))
        .start();
    assert_eq!(sequence(&gateway, 9), "abcabcabc");
    end(&mut gateway);
    let said = switchyard(&[
        "policy",
        "replay",
        &path(&gateway, "p.rec"),
        &path(&gateway, "first.wasm"),
    ]);
    assert_eq!(said.status.code(), Some(1), "{}", said.all());
    for part in [
        "9 decisions in 1 windows",
        "pick                  3          6              0",
        "recorded  member 1 (http://",
        "replayed  member 0 (http://",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let (_, report) = replay(&gateway, "p.rec", "first.wasm");
    assert_eq!(report["decisions"]["changed"], 6);
    let other = [
        "policy",
        "replay",
        &path(&gateway, "p.rec"),
        &path(&gateway, "p.wasm"),
        "--config",
        "{\"does\": \"first\"}",
    ];
    assert_eq!(switchyard(&other).status.code(), Some(1));
}

#[test]
fn files_that_are_no_recording_or_no_policy_are_refused() {
    let (_members, setup) = balanced("count", "", "");
    let gateway = setup.file("note.txt", "hello").start();
    let (note, wasm) = (path(&gateway, "note.txt"), path(&gateway, "p.wasm"));
    for (arguments, expected) in [
        ([&note, &wasm], "is no recording"),
        ([&wasm, &wasm], "is no recording"),
        ([&path(&gateway, "none.rec"), &wasm], "No such file"),
    ] {
        let said = switchyard(&["policy", "replay", arguments[0], arguments[1]]);
        assert_eq!(said.status.code(), Some(64), "{}", said.all());
        assert!(said.err.contains(expected), "{}", said.err);
    }
}
