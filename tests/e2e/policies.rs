//! Policies of the operator's own: what they decide, and what becomes of bad ones.

use std::time::{Duration, Instant};

use serde_json::Value;
use switchyard_tests::{Gateway, Member, Request, Setup, guests, scripts};

use crate::conf::{balancer, entry, everything_to, site};

/// Three members behind the test balancer, which does what `does` says; `policy` adds keys.
pub fn balanced(does: &str, policy: &str, keys: &str) -> (Vec<Member>, Setup) {
    let members: Vec<Member> = ["a", "b", "c"]
        .into_iter()
        .map(|n| Member::start(n, scripts::name()))
        .collect();
    let all: Vec<&Member> = members.iter().collect();
    let method = if keys.contains("lbmethod") {
        ""
    } else {
        "lbmethod = \"policy:p\"\n"
    };
    let text = everything_to(&all, &format!("{method}{keys}"))
        + &format!("[policy.p]\nsource = \"p.wasm\"\nconfig = {{ does = {does:?} }}\n{policy}\n");
    (
        members,
        Setup::new(text).file("p.wasm", guests::component("balancer")),
    )
}

/// The answers' bodies, one connection each.
pub fn sequence(gateway: &Gateway, n: usize) -> String {
    (0..n).map(|_| gateway.get("/").text()).collect()
}

/// What makes a policy that can misbehave do so.
pub fn bad() -> Request {
    Request::get("/").field("X-Misbehave", "1")
}

/// The answers to such requests, one connection each.
pub fn misbehaving(gateway: &Gateway, n: usize) -> String {
    (0..n).map(|_| gateway.ask(&bad()).text()).collect()
}

/// The policy's part of the status.
pub fn policy_status(gateway: &Gateway, name: &str) -> Value {
    let status = gateway.status();
    let all = status["policies"].as_array().cloned().unwrap_or_default();
    let found = all.into_iter().find(|p| {
        p["name"]
            .as_str()
            .is_some_and(|n| n == name || n == format!("policy:{name}"))
    });
    found.unwrap_or_else(|| panic!("no policy {name} in {status:#}"))
}

#[test]
fn a_policy_decides_which_member_serves() {
    // `first` is not what any built-in method would do.
    let (_members, setup) = balanced("first", "", "");
    let gateway = setup.start();
    assert_eq!(sequence(&gateway, 6), "aaaaaa");
}

#[test]
fn the_other_examples_of_the_sdk_get_into_service_too() {
    let members = ["a", "b"].map(|n| Member::start(n, scripts::name()));
    let all: Vec<&Member> = members.iter().collect();
    let keys = "lbmethod = \"policy:least\"\naffinity = \"policy:pin\"";
    let text = everything_to(&all, keys)
        + "[policy.least]\nsource = \"least.wasm\"\n"
        + "[policy.pin]\nsource = \"pin.wasm\"\nconfig = { header = \"x-customer\" }\n";
    let gateway = Setup::new(text)
        .file("least.wasm", guests::sdk_example("least_latency"))
        .file("pin.wasm", guests::sdk_example("pin_by_header"))
        .start();
    assert_eq!(gateway.get("/").status, 200);
    let request = Request::get("/").field("X-Customer", "acme");
    let first = gateway.ask(&request).text();
    for _ in 0..4 {
        assert_eq!(gateway.ask(&request).text(), first, "pinned");
    }
    for policy in ["least", "pin"] {
        assert_eq!(policy_status(&gateway, policy)["faults"], 0);
    }
}

#[test]
fn state_in_a_policy_is_exact_over_all_workers() {
    let (members, setup) = balanced("count", "", "");
    let gateway = setup.start();
    assert_eq!(sequence(&gateway, 30), "abc".repeat(10));
    assert!(members.iter().all(|m| m.hits() == 10));
}

/// Its last call that failed did so for this reason.
#[track_caller]
fn failed_with(gateway: &Gateway, why: &str) {
    let status = policy_status(gateway, "p");
    let error = status["last_error"].to_string();
    assert!(error.contains(why), "{status:#}");
}

#[test]
fn a_policy_that_traps_is_answered_for_by_the_built_in_method() {
    let (_members, setup) = balanced("trap", "", "");
    let gateway = setup.start();
    assert_eq!(misbehaving(&gateway, 12), "abc".repeat(4));
    gateway.wait_for_log(&["pick: trapped"]);
    failed_with(&gateway, "trap");
}

#[test]
fn a_policy_that_traps_now_and_then_starts_afresh_each_time() {
    let (_members, setup) = balanced("trap-often", "limits = { failures = 1000 }", "");
    let gateway = setup.start();
    let answers = misbehaving(&gateway, 20);
    assert_eq!(answers.len(), 20, "every request is served: {answers}");
}

#[test]
fn a_policy_that_loops_is_stopped_in_time() {
    let (_members, setup) = balanced("loop", "", "");
    let gateway = setup.start();
    let started = Instant::now();
    assert_eq!(misbehaving(&gateway, 6), "abcabc");
    assert!(started.elapsed() < Duration::from_secs(10));
    failed_with(&gateway, "deadline");
}

#[test]
fn a_policy_that_allocates_without_end_is_stopped() {
    let (_members, setup) = balanced("allocate", "", "");
    let gateway = setup.start();
    let before = gateway.resident();
    assert_eq!(misbehaving(&gateway, 6), "abcabc");
    assert!(
        gateway.resident() < before + 100_000_000,
        "the default limit is 32 MiB an instance"
    );
}

#[test]
fn a_pick_that_cannot_be_counts_as_no_opinion() {
    for does in ["out-of-range", "abstain"] {
        let (_members, setup) = balanced(does, "", "lbmethod = [\"policy:p\", \"byrequests\"]");
        let gateway = setup.start();
        assert_eq!(
            misbehaving(&gateway, 6),
            "abcabc",
            "{does}: the next of the chain decides"
        );
        let (_members, setup) = balanced(does, "", "");
        let answers = misbehaving(&setup.start(), 6);
        assert!(
            answers.len() == 6 && answers.contains('b'),
            "{does}: alone, the host's rotation decides: {answers}"
        );
    }
}

#[test]
fn a_dead_member_is_never_chosen_whatever_the_policy_says() {
    let (mut members, setup) = balanced("first", "", "retry = \"60s\"");
    let gateway = setup.start();
    members[0].crash();
    let answers = sequence(&gateway, 6);
    assert!(!answers.contains('a') && answers.len() == 6, "{answers}");
    assert_eq!(gateway.ask(&Request::post("/", "x")).status, 200);
}

#[test]
fn a_disabled_or_draining_member_is_never_chosen_either() {
    for status in ["disabled", "draining", "stopped", "standby"] {
        let (members, setup) = balanced("first", "", "");
        let text = setup.text().replace(
            "route = \"a\"",
            &format!("route = \"a\", status = \"{status}\""),
        );
        let gateway = setup.whole(&text).start();
        let answers = sequence(&gateway, 4);
        assert!(
            !answers.contains('a') && answers.len() == 4,
            "{status}: {answers}"
        );
        assert_eq!(members[0].hits(), 0, "{status}");
    }
}

#[test]
fn a_member_that_was_tried_is_not_tried_again() {
    for does in ["first", "last-tried"] {
        let (members, setup) = balanced(does, "", "retry = \"0s\"");
        members[0].becomes(scripts::silent(switchyard_tests::After::Close));
        let gateway = setup.start();
        for _ in 0..3 {
            let hits = members[0].hits();
            assert_ne!(gateway.get("/").text(), "a", "{does}");
            assert!(
                members[0].hits() <= hits + 1,
                "{does}: twice for one request"
            );
        }
    }
}

#[test]
fn a_policy_that_logs_a_megabyte_fills_no_disk() {
    let (_members, setup) = balanced(
        "log",
        "limits = { log_bytes = \"16KiB\", deadline = \"200ms\" }",
        "",
    );
    let gateway = setup.start();
    for _ in 0..3 {
        assert_eq!(gateway.ask(&bad()).status, 200);
    }
    let logged: usize = gateway.log().iter().map(String::len).sum();
    assert!(logged < 200_000, "{logged} bytes were logged");
    gateway.terminate();
}

#[test]
fn a_policys_words_are_in_the_log_with_its_name() {
    let (_members, setup) = balanced("say", "", "");
    let gateway = setup.start();
    gateway.get("/hello");
    gateway.wait_for_log(&["picked for /hello among", "p"]);
}

#[test]
fn a_policy_may_shed_load() {
    let (members, setup) = balanced("shed", "", "");
    let gateway = setup.start();
    assert_eq!(gateway.get("/").status, 503);
    assert!(members.iter().all(|m| m.hits() == 0));
}

#[test]
fn refuse_answers_503_where_the_policy_fails() {
    let (_members, setup) = balanced("trap", "on_error = \"refuse\"", "");
    let gateway = setup.start();
    for _ in 0..3 {
        assert_eq!(gateway.ask(&bad()).status, 503);
    }
}

#[test]
fn a_policy_that_keeps_failing_is_quarantined_and_tried_again() {
    let (_members, setup) = balanced(
        "trap",
        "limits = { failures = 3, quarantine = \"300ms\" }",
        "",
    );
    let gateway = setup.start();
    assert_eq!(misbehaving(&gateway, 6), "abcabc");
    gateway.wait_for_status("it is quarantined", |s| {
        assert_eq!(gateway.ask(&bad()).status, 200);
        s["policies"].to_string().contains("quarantine")
    });
    let before = gateway
        .log()
        .iter()
        .filter(|l| l.contains("pick: trapped"))
        .count();
    gateway.wait_for_status("it has its probation", |_| {
        assert_eq!(gateway.ask(&bad()).status, 200);
        gateway
            .log()
            .iter()
            .filter(|l| l.contains("pick: trapped"))
            .count()
            > before
    });
}

#[test]
fn a_configuration_that_the_policy_refuses_names_the_key() {
    let (_members, setup) = balanced("refuse", "", "");
    let (status, log) = setup
        .try_start()
        .expect_err("there is no version to go on with");
    assert_eq!(status.code(), Some(64), "{log:?}");
    assert!(log.join("\n").contains("/does"), "{log:?}");
}

#[test]
fn a_policy_that_fails_its_trial_is_refused_at_the_start() {
    for (does, why) in [
        ("always-trap", "trapped"),
        ("always-loop", "deadline"),
        ("always-out-of-range", "member 1000 of 3"),
    ] {
        let (_members, setup) = balanced(does, "", "");
        let (status, log) = setup
            .try_start()
            .expect_err("there is no version to go on with");
        assert_eq!(status.code(), Some(64), "{does}: {log:?}");
        let log = log.join("\n");
        assert!(
            log.contains("smoke call, pick: ") && log.contains(why),
            "{log}"
        );
    }
}

#[test]
fn an_affinity_policy_decides_to_which_member_a_session_belongs() {
    let members: Vec<Member> = ["a", "b", "c"]
        .into_iter()
        .map(|n| Member::start(n, scripts::name()))
        .collect();
    let all: Vec<&Member> = members.iter().collect();
    let text =
        everything_to(&all, "affinity = \"policy:pin\"") + "[policy.pin]\nsource = \"pin.wasm\"\n";
    let gateway = Setup::new(text)
        .file("pin.wasm", guests::component("affinity"))
        .start();
    for _ in 0..3 {
        let response = gateway.ask(&Request::get("/").field("X-Pin", "b"));
        assert_eq!(response.text(), "b");
        assert_eq!(response.field("set-cookie"), Some("pin=b; Path=/"));
        assert_eq!(response.field("x-moved"), Some("no"));
        assert_eq!(gateway.ask(&Request::get("/").cookie("pin=c")).text(), "c");
    }
    let moved = gateway.ask(&Request::get("/").field("X-Pin", "gone"));
    assert_eq!((moved.status, moved.field("x-moved")), (200, Some("yes")));
    let keyed: Vec<String> = (0..4)
        .map(|_| {
            gateway
                .ask(&Request::get("/").field("X-Pin", "#user-17"))
                .text()
        })
        .collect();
    assert!(
        keyed.iter().all(|m| *m == keyed[0]),
        "a key leads to one member: {keyed:?}"
    );
    let trapped = gateway.ask(&Request::get("/").field("X-Pin", "!"));
    assert_eq!(trapped.status, 200, "no pin where it fails: {trapped:?}");
}

#[test]
fn a_strict_pin_is_refused_rather_than_moved() {
    let mut members: Vec<Member> = ["a", "b"]
        .into_iter()
        .map(|n| Member::start(n, scripts::name()))
        .collect();
    let all: Vec<&Member> = members.iter().collect();
    let text =
        everything_to(&all, "affinity = \"policy:pin\"") + "[policy.pin]\nsource = \"pin.wasm\"\n";
    let gateway = Setup::new(text)
        .file("pin.wasm", guests::component("affinity"))
        .start();
    members[0].crash();
    let ask = |strict: bool| {
        let request = Request::get("/").field("X-Pin", "a");
        gateway.ask(&if strict {
            request.field("X-Strict", "1")
        } else {
            request
        })
    };
    assert_eq!(ask(true).status, 503);
    assert_eq!(ask(false).text(), "b");
}

#[test]
fn policies_can_be_chained_and_shared_by_balancers() {
    let (a, b) = Member::pair();
    let members = [entry(&a, "route = \"a\""), entry(&b, "route = \"b\"")];
    let text = site(&[
        ("/one", "balancer = \"one\""),
        ("/two", "balancer = \"two\""),
    ]) + &balancer(
        "one",
        "lbmethod = [\"policy:silent\", \"policy:p\"]",
        &members,
    ) + &balancer("two", "lbmethod = \"policy:p\"", &members)
        + "[policy.p]\nsource = \"p.wasm\"\n[policy.silent]\nsource = \"p.wasm\"\nconfig = { does = \"abstain\" }\n";
    let gateway = Setup::new(text)
        .file("p.wasm", guests::component("balancer"))
        .start();
    let answers: String = (0..4)
        .flat_map(|_| [gateway.get("/one").text(), gateway.get("/two").text()])
        .collect();
    assert_eq!(
        answers, "aabbaabb",
        "each balancer has an instance, and state, of its own"
    );
}
