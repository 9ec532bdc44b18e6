//! Policies replaced while requests flow: every way in which files change, and every way in which it can go wrong.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use switchyard_tests::{
    Client, Gateway, Member, SetOnDrop, Setup, eventually, guests, scripts, wait::DEADLINE,
};

use crate::{
    conf::{balancer, entry, site},
    policies::{balanced, misbehaving, policy_status, sequence},
};

/// Every answer names the version of the rewriter that made it.
fn versioned(source: &str) -> (Member, Setup) {
    let a = Member::start("a", scripts::name());
    let text = site(&[("/", "balancer = \"cl\"\nrewrite = \"policy:r\"")])
        + &balancer("cl", "", &[entry(&a, "route = \"a\"")])
        + &format!("[policy.r]\nsource = {source:?}\n");
    (
        a,
        Setup::new(text).file(source, guests::marked("rewriter", "v1")),
    )
}

fn version(gateway: &Gateway) -> String {
    gateway
        .get("/")
        .field("x-version")
        .unwrap_or("none")
        .to_owned()
}

#[track_caller]
fn wait_for_version(gateway: &Gateway, wanted: &str) {
    eventually(&format!("version {wanted}"), DEADLINE, || {
        (version(gateway) == wanted).then_some(())
    });
}

#[test]
fn a_replaced_file_is_taken_into_service_however_it_is_replaced() {
    let (_a, setup) = versioned("p/r.wasm");
    let gateway = setup.start();
    let module = |mark: &str| guests::marked("rewriter", mark);
    assert_eq!(version(&gateway), "v1");
    gateway.replace_file("p/r.wasm", module("v2"));
    wait_for_version(&gateway, "v2");
    // Truncated and written again, as `cp` does.
    gateway.write_file("p/r.wasm", module("v3"));
    wait_for_version(&gateway, "v3");
    // Deleted: the version in service stays, and the file is noticed when it is there again.
    fs::remove_file(gateway.dir().join("p/r.wasm")).unwrap();
    assert_eq!(version(&gateway), "v3");
    gateway.write_file("p/r.wasm", module("v4"));
    wait_for_version(&gateway, "v4");
    // A whole folder swapped.
    gateway.write_file("p.new/r.wasm", module("v5"));
    fs::rename(gateway.dir().join("p"), gateway.dir().join("p.old")).unwrap();
    fs::rename(gateway.dir().join("p.new"), gateway.dir().join("p")).unwrap();
    wait_for_version(&gateway, "v5");
    // And again: what is watched is the path, not the folder that was there first.
    gateway.replace_file("p/r.wasm", module("v6"));
    wait_for_version(&gateway, "v6");
}

#[test]
fn a_symlink_that_is_swapped_is_noticed() {
    let (_a, setup) = versioned("..one/r.wasm");
    let setup = setup.file("..two/r.wasm", guests::marked("rewriter", "v2"));
    let dir = setup.dir().to_owned();
    symlink("..one", dir.join("..data")).unwrap();
    symlink("..data/r.wasm", dir.join("r.wasm")).unwrap();
    let text = setup
        .text()
        .replace("source = \"..one/r.wasm\"", "source = \"r.wasm\"");
    let gateway = setup.whole(&text).start();
    assert_eq!(version(&gateway), "v1");
    symlink("..two", dir.join("..data_new")).unwrap();
    fs::rename(dir.join("..data_new"), dir.join("..data")).unwrap();
    wait_for_version(&gateway, "v2");
}

#[test]
fn whatever_is_wrong_with_a_new_version_the_old_one_stays_and_the_reason_is_told() {
    let (_a, setup) = versioned("r.wasm");
    let gateway = setup.start();
    let good = guests::component("rewriter");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not wasm", b"#!/bin/sh\necho not a policy\n".to_vec()),
        ("empty", Vec::new()),
        ("half written", good[..good.len() / 2].to_vec()),
        ("another kind of policy", guests::component("balancer")),
        ("an empty module", b"\0asm\x01\0\0\0".to_vec()),
        ("traps in init", guests::marked("rewriter", "trap-in-init")),
        ("loops in init", guests::marked("rewriter", "loop-in-init")),
        (
            "traps when it decides",
            guests::marked("rewriter", "always-trap"),
        ),
        (
            "loops when it decides",
            guests::marked("rewriter", "always-loop"),
        ),
        (
            "refuses its configuration",
            guests::marked("rewriter", "refuse"),
        ),
    ];
    for (what, bytes) in cases {
        let before = policy_status(&gateway, "r");
        gateway.replace_file("r.wasm", &bytes);
        let status = gateway.wait_for_status(&format!("{what}: the status says why"), |_| {
            let now = policy_status(&gateway, "r");
            !now["last_error"].is_null() && now["last_error"] != before["last_error"]
        });
        drop(status);
        for _ in 0..4 {
            assert_eq!(version(&gateway), "v1", "{what}");
        }
        let after = policy_status(&gateway, "r");
        assert_eq!(after["digest"], before["digest"], "{what}");
        // Between two cases a good file, so that each reason is a new one.
        gateway.replace_file("r.wasm", guests::marked("rewriter", "v1"));
        gateway.wait_for_status(&format!("after {what}: all is well"), |_| {
            policy_status(&gateway, "r")["last_error"].is_null()
        });
    }
    gateway.replace_file("r.wasm", guests::marked("rewriter", "v2"));
    wait_for_version(&gateway, "v2");
}

#[test]
fn the_status_tells_the_versions_history() {
    let (_a, setup) = versioned("r.wasm");
    let gateway = setup.start();
    let first = policy_status(&gateway, "r")["digest"].clone();
    gateway.replace_file("r.wasm", guests::marked("rewriter", "v2"));
    wait_for_version(&gateway, "v2");
    // The version decides a moment before the writer has written down that it does.
    gateway.wait_for_status("the new version is in the history", |_| {
        policy_status(&gateway, "r")["history"]
            .as_array()
            .is_some_and(|history| history.len() >= 2)
    });
    let status = policy_status(&gateway, "r");
    assert_ne!(status["digest"], first);
    let history = status["history"].as_array().unwrap();
    assert!(history.len() >= 2, "{status:#}");
    assert!(
        status["history"]
            .to_string()
            .contains(first.as_str().unwrap()),
        "{status:#}"
    );
}

#[test]
fn a_new_version_goes_on_from_the_old_ones_state() {
    let (_members, setup) = balanced("count", "", "");
    let gateway = setup
        .file("p.wasm", guests::marked("balancer", "v1"))
        .start();
    let digest = || policy_status(&gateway, "p")["digest"].clone();
    let swap = |mark: &str| {
        let before = digest();
        gateway.replace_file("p.wasm", guests::marked("balancer", mark));
        gateway.wait_for_status("another version", |_| digest() != before);
    };
    assert_eq!(sequence(&gateway, 4), "abca");
    swap("v2");
    assert_eq!(sequence(&gateway, 4), "bcab", "the count went on");
    swap("cold");
    assert_eq!(
        sequence(&gateway, 2),
        "ab",
        "it refused the state and began anew"
    );
    swap("v3");
    let before = digest();
    for (broken, during) in [
        ("trap-in-restore", "restore: "),
        ("trap-in-members", "members-changed: "),
        ("always-trap", "smoke call, pick: "),
        ("always-loop", "smoke call, pick: ran longer"),
        ("always-out-of-range", "smoke call, pick: it chose"),
    ] {
        gateway.replace_file("p.wasm", guests::marked("balancer", broken));
        gateway.wait_for_status(broken, |_| {
            let error = &policy_status(&gateway, "p")["last_error"]["what"];
            error.as_str().is_some_and(|what| what.contains(during))
        });
        assert_eq!(digest(), before, "{broken}");
        assert_eq!(sequence(&gateway, 3), "cab", "{broken}: the count goes on");
    }
}

#[test]
fn an_old_version_that_cannot_save_stops_neither_a_swap_nor_requests() {
    for (broken, why) in [
        ("trap-in-save", "save: trapped"),
        ("loop-in-save", "save: ran longer than its deadline of 10ms"),
    ] {
        let (_members, setup) = balanced("count", "", "");
        let gateway = setup
            .file("p.wasm", guests::marked("balancer", broken))
            .start();
        assert_eq!(sequence(&gateway, 4), "abca");
        let before = policy_status(&gateway, "p")["digest"].clone();
        gateway.replace_file("p.wasm", guests::marked("balancer", "v2"));
        gateway.wait_for_status("another version", |_| {
            policy_status(&gateway, "p")["digest"] != before
        });
        assert_eq!(sequence(&gateway, 3), "abc", "{broken}: it began cold");
        gateway.wait_for_log(&[why]);
        gateway.wait_for_log(&["Policy starts cold", "could not save"]);
    }
}

#[test]
fn the_previous_version_answers_where_the_new_one_fails() {
    let (_members, setup) = balanced("count", "on_error = \"previous\"", "");
    let gateway = setup
        .file("p.wasm", guests::marked("balancer", "first"))
        .start();
    assert_eq!(sequence(&gateway, 3), "aaa");
    let before = policy_status(&gateway, "p")["digest"].clone();
    gateway.replace_file("p.wasm", guests::marked("balancer", "trap"));
    gateway.wait_for_status("the new version is in service", |_| {
        policy_status(&gateway, "p")["digest"] != before
    });
    assert_eq!(
        misbehaving(&gateway, 6),
        "aaaaaa",
        "the version before answers"
    );
    gateway.wait_for_log(&["pick: trapped"]);
}

#[test]
fn a_policys_configuration_is_changed_by_a_reload() {
    let (_members, setup) = balanced("count", "", "");
    let mut gateway = setup.start();
    assert_eq!(sequence(&gateway, 3), "abc");
    let text = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(
        "switchyard.toml",
        text.replace("does = \"count\"", "does = \"first\""),
    );
    gateway.signal(libc::SIGHUP);
    eventually("the new configuration decides", DEADLINE, || {
        (sequence(&gateway, 3) == "aaa").then_some(())
    });
    // A configuration that the policy refuses keeps everything as it was.
    gateway.replace_file(
        "switchyard.toml",
        text.replace("does = \"count\"", "does = \"refuse\""),
    );
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_log(&["/does"]);
    assert_eq!(sequence(&gateway, 3), "aaa");
    assert!(gateway.is_running());
}

#[test]
fn requests_do_not_wait_while_a_policy_is_compiled() {
    let (_a, setup) = versioned("r.wasm");
    // Without the cache, or a second run would find it compiled.
    let text = setup.text().replace("cache_dir", "# cache_dir");
    let text = text + "limits = { compile_time = \"60s\", compile_memory = \"2GiB\" }\n";
    let gateway = setup.whole(&text).start();
    let mut component = guests::marked("rewriter", "v2");
    component.extend(guests::ballast());
    // On both workers, most likely.
    let mut clients: Vec<Client> = (0..6).map(|_| gateway.connect()).collect();
    let begun = Instant::now();
    gateway.replace_file("r.wasm", component);
    let mut slowest = Duration::ZERO;
    eventually("the new version decides", 4 * DEADLINE, || {
        let mut versions = clients.iter_mut().map(|client| {
            let asked = Instant::now();
            let response = client.get("/");
            slowest = slowest.max(asked.elapsed());
            response.field("x-version") == Some("v2")
        });
        versions.any(|new| new).then_some(())
    });
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(300),
        "{took:?} is no long compilation"
    );
    assert!(
        slowest < took / 3,
        "a request waited {slowest:?} of the {took:?} that compiling took"
    );
}

/// The full count stands behind `cargo xtask soak`; this one has the same shape.
#[test]
fn swaps_under_load_fail_no_request_and_every_version_is_seen() {
    const VERSIONS: usize = 20;
    let (_a, setup) = versioned("r.wasm");
    let gateway = setup.start();
    let addr = gateway.addr();
    // Compiled once before, so that what is measured is swapping.
    let done = AtomicBool::new(false);
    let before = gateway.resident();
    let seen: BTreeSet<String> = thread::scope(|scope| {
        let ending = SetOnDrop(&done);
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let done = &done;
                scope.spawn(move || {
                    let mut client = Client::connect(addr);
                    let mut seen = BTreeSet::new();
                    while !done.load(Ordering::Relaxed) {
                        let response = client.get("/");
                        assert_eq!(response.status, 200);
                        assert!(
                            !response.head.closes(),
                            "a kept connection outlives every swap"
                        );
                        seen.insert(
                            response
                                .field("x-version")
                                .expect("each answer names its version")
                                .to_owned(),
                        );
                    }
                    seen
                })
            })
            .collect();
        for n in 2..=VERSIONS {
            gateway.replace_file("r.wasm", guests::marked("rewriter", &format!("v{n}")));
            wait_for_version(&gateway, &format!("v{n}"));
        }
        drop(ending);
        clients
            .into_iter()
            .flat_map(|c| c.join().unwrap())
            .collect()
    });
    assert!(seen.len() >= VERSIONS - 1, "{seen:?}");
    assert!(
        gateway.resident() < before + 60_000_000,
        "old versions are let go"
    );
}
