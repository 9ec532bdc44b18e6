//! Policies that are tried beside those in service, and versions that are undone.

use serde_json::Value;
use switchyard_tests::{Gateway, Member, Setup, eventually, guests, scripts, wait::DEADLINE};

use crate::{
    conf::{balancer, entry, everything_to, site},
    metrics::scrape,
    policies::{bad, balanced, misbehaving, policy_status, sequence},
};

fn metrics(gateway: &Gateway) -> String {
    scrape(gateway, "text/plain").0
}

fn candidate(gateway: &Gateway) -> Value {
    policy_status(gateway, "p")["candidates"][0].clone()
}

#[test]
fn a_shadow_sees_every_pick_and_is_never_obeyed() {
    let keys = "lbmethod = \"byrequests\"\nshadow = \"policy:p\"";
    let (_members, setup) = balanced("first", "", keys);
    let gateway = setup.start();
    // The first pick has the shadow made; nobody waits for it.
    assert_eq!(sequence(&gateway, 1), "a");
    eventually("the shadow is there", DEADLINE, || {
        let metrics = metrics(&gateway);
        let there = "switchyard_policy_instances{tenant=\"default\",policy=\"p\"";
        let line = metrics.lines().find(|line| line.starts_with(there))?;
        line.ends_with(" 1").then_some(())
    });
    let all = metrics(&gateway);
    let all = all
        .lines()
        .find_map(|line| line.strip_prefix("switchyard_instances "));
    assert!(
        all.is_some_and(|all| all.parse::<u64>().unwrap() >= 2),
        "{all:?}"
    );
    assert_eq!(sequence(&gateway, 6), "bcabca");
    let shadow = &candidate(&gateway)["shadow"];
    assert_eq!(
        (&shadow["agreed"], &shadow["differed"]),
        (&2.into(), &4.into()),
        "{shadow:#}"
    );
    let example = &shadow["examples"][0];
    assert_eq!(example["request"], "GET /");
    let shares = shadow["shares"].as_array().unwrap();
    let candidates: Vec<_> = shares.iter().map(|s| s["candidate"].as_u64()).collect();
    assert_eq!(candidates.iter().flatten().sum::<u64>(), 6);
    assert!(metrics(&gateway).contains("switchyard_shadow_decisions_total"));
}

/// A policy that decides for one route and watches another as a shadow, with so many instances in all.
fn decides_and_watches(instances: usize) -> (Vec<Member>, Gateway) {
    let members: Vec<_> = ["a", "b"]
        .map(|name| Member::start(name, scripts::name()))
        .into();
    let all: Vec<_> = members.iter().map(|member| entry(member, "")).collect();
    let text = site(&[
        ("/watched", "balancer = \"watched\""),
        ("/", "balancer = \"cl\""),
    ]) + &balancer("cl", "lbmethod = \"policy:p\"", &all)
        + &balancer(
            "watched",
            "lbmethod = \"byrequests\"\nshadow = \"policy:p\"",
            &all,
        )
        + &format!("[policy.p]\nsource = \"p.wasm\"\nlimits = {{ instances = {instances} }}\n");
    let setup = Setup::new(text).file("p.wasm", guests::component("balancer"));
    (members, setup.start())
}

#[test]
fn a_shadow_gets_the_instances_that_those_that_decide_leave() {
    // A balancer has one, its shadow another.
    for (instances, watches) in [(1, false), (2, true)] {
        let (_members, gateway) = decides_and_watches(instances);
        assert_eq!(gateway.get("/").status, 200);
        let told = eventually("the shadow was asked", DEADLINE, || {
            assert_eq!(gateway.get("/watched").status, 200);
            let shadow = candidate(&gateway)["shadow"].clone();
            let count = |word: &str| shadow[word].as_u64().unwrap_or(0);
            let told = (count("agreed") + count("differed"), count("unanswered"));
            (told.0 + told.1 > 0).then_some(told)
        });
        assert_eq!(told.0 > 0, watches, "{instances}: {told:?}");
        assert_eq!(told.1 > 0, !watches, "{instances}: {told:?}");
        // Whoever decides has lost nothing.
        assert_eq!(sequence(&gateway, 3), "bab", "{instances}");
        if !watches {
            gateway.wait_for_log(&["policy=p", "instances at one time"]);
        }
    }
}

#[test]
fn a_shadow_that_fails_costs_nobody_an_answer() {
    let keys = "lbmethod = \"byrequests\"\nshadow = \"policy:p\"";
    let (_members, setup) = balanced("trap", "", keys);
    let gateway = setup.start();
    assert_eq!(misbehaving(&gateway, 9), "abcabcabc");
    eventually("it is counted", DEADLINE, || {
        assert_eq!(gateway.ask(&bad()).status, 200);
        let failed = candidate(&gateway)["shadow"]["unanswered"].as_u64()?;
        (failed > 0).then_some(())
    });
    assert!(policy_status(&gateway, "p")["faults"].as_u64() > Some(0));
}

#[test]
fn a_canary_decides_for_those_who_send_its_header() {
    let keys = "lbmethod = \"byrequests\"\n\
        canary = { policy = \"p\", percent = 100, by = \"header:X-Misbehave\" }";
    let (_members, setup) = balanced("first", "", keys);
    let gateway = setup.start();
    assert_eq!(sequence(&gateway, 3), "abc");
    assert_eq!(misbehaving(&gateway, 3), "aaa");
    assert_eq!(sequence(&gateway, 3), "abc");
    let canary = gateway.wait_for_status("all have ended", |_| {
        candidate(&gateway)["canary"]["own"][0] == 3
            && candidate(&gateway)["canary"]["others"][0] == 6
    });
    drop(canary);
    assert_eq!(candidate(&gateway)["canary"]["state"], "running");
}

#[test]
fn a_canary_that_fails_is_undone_by_itself_and_nobody_notices() {
    let keys = "lbmethod = \"byrequests\"\n\
        canary = { policy = \"p\", percent = 100, by = \"header:X-Misbehave\" }";
    let (_members, setup) = balanced("trap", "", keys);
    let gateway = setup.start();
    eventually("the canary is undone", DEADLINE, || {
        assert_eq!(gateway.ask(&bad()).status, 200);
        (candidate(&gateway)["canary"]["state"] == "undone").then_some(())
    });
    gateway.wait_for_log(&["Canary is undone"]);
    let history = &policy_status(&gateway, "p")["history"][0];
    assert_eq!(history["outcome"], "withdrawn", "{history}");
}

#[test]
fn a_canary_whose_choices_end_in_errors_is_undone_though_its_calls_go_well() {
    let broken = scripts::answer("500 Internal Server Error", &[], "broken");
    let members = [
        Member::start("a", broken),
        Member::start("b", scripts::name()),
        Member::start("c", scripts::name()),
    ];
    let keys = "lbmethod = \"byrequests\"\n\
        canary = { policy = \"p\", percent = 100, by = \"header:X-Misbehave\" }";
    // It chooses the first member, always.
    let text = everything_to(&members.each_ref(), keys)
        + "[policy.p]\nsource = \"p.wasm\"\nconfig = { does = \"first\" }\n";
    let gateway = Setup::new(text)
        .file("p.wasm", guests::component("balancer"))
        .start();
    eventually("the canary is undone", DEADLINE, || {
        gateway.get("/");
        gateway.ask(&bad());
        (candidate(&gateway)["canary"]["state"] == "undone").then_some(())
    });
    assert_eq!(policy_status(&gateway, "p")["faults"], 0);
    let answers: Vec<_> = (0..3).map(|_| gateway.ask(&bad()).status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 500).count(), 1);
}

#[test]
fn a_canary_that_is_no_worse_for_long_enough_decides_for_all() {
    let keys = "lbmethod = \"byrequests\"\n\
        canary = { policy = \"p\", percent = 100, by = \"header:X-Misbehave\", promote_after = \"500ms\" }";
    let (_members, setup) = balanced("first", "", keys);
    let gateway = setup.start();
    assert_eq!(sequence(&gateway, 3), "abc");
    eventually("the canary is promoted", DEADLINE, || {
        assert_eq!(gateway.ask(&bad()).text(), "a");
        (candidate(&gateway)["canary"]["state"] == "promoted").then_some(())
    });
    gateway.wait_for_log(&["Canary is promoted"]);
    assert_eq!(sequence(&gateway, 3), "aaa");
}

/// The mark of the version in service, as its history tells.
fn digest(gateway: &Gateway) -> String {
    policy_status(gateway, "p")["digest"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn outcomes(gateway: &Gateway) -> Vec<String> {
    let status = policy_status(gateway, "p");
    let history = status["history"].as_array().unwrap();
    let outcome = |entry: &Value| entry["outcome"].as_str().unwrap().to_owned();
    history.iter().map(outcome).collect()
}

#[test]
fn a_version_that_is_worse_is_undone_by_itself_and_stays_out_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let state = format!("state_dir = {:?}", folder.path().join("state"));
    let start = |file: &[u8]| {
        let (members, setup) = balanced("count", "", "");
        (members, setup.top(&state).file("p.wasm", file).start())
    };
    let (_members, gateway) = start(&guests::marked("balancer", "v1"));
    sequence(&gateway, 3);
    let good = digest(&gateway);
    let worse = guests::marked("balancer", "trap");
    gateway.replace_file("p.wasm", &worse);
    gateway.wait_for_status("the worse one serves", |_| digest(&gateway) != good);
    eventually("it is undone", DEADLINE, || {
        assert_eq!(gateway.ask(&bad()).status, 200);
        (digest(&gateway) == good).then_some(())
    });
    gateway.wait_for_log(&["Policy is rolled back"]);
    gateway.wait_for_status("its history says so", |_| outcomes(&gateway)[0] == "undone");
    assert!(metrics(&gateway).contains(
        "switchyard_policy_version_events_total{tenant=\"default\",policy=\"p\",event=\"undone\"} 1"
    ));
    // The same bytes again are no reason to try them again, not even when somebody asks.
    gateway.replace_file("p.wasm", &worse);
    gateway.signal(libc::SIGHUP);
    assert_eq!(digest(&gateway), good);
    gateway.terminate();

    let (_members, again) = start(&worse);
    assert_eq!(digest(&again), good, "the version before was kept");
    again.replace_file("p.wasm", guests::marked("balancer", "v2"));
    again.wait_for_status("another file is another chance", |_| {
        digest(&again) != good && outcomes(&again)[0] == "in_service"
    });
}

#[test]
fn a_version_whose_slowest_calls_take_far_longer_is_undone_and_the_history_says_why() {
    // Calls are timed by CPU time: how busy the machine is makes none of them slower.
    let (_members, setup) = balanced("count", "limits = { deadline = \"250ms\" }", "");
    let gateway = setup.start();
    let mut client = gateway.connect();
    for _ in 0..1_000 {
        assert_eq!(client.get("/").status, 200);
    }
    let good = digest(&gateway);
    // Each call takes it some milliseconds, and none of them fails.
    gateway.replace_file("p.wasm", guests::marked("balancer", "always-crawl"));
    gateway.wait_for_status("the slow one serves", |_| digest(&gateway) != good);
    eventually("it is undone", DEADLINE, || {
        assert_eq!(client.get("/").status, 200);
        (digest(&gateway) == good).then_some(())
    });
    let status =
        gateway.wait_for_status("its history says so", |_| outcomes(&gateway)[0] == "undone");
    let why = policy_status(&gateway, "p")["history"][0]["cause"].to_string();
    assert!(why.contains("99 % of its calls take up to"), "{status:#}");
    assert_eq!(policy_status(&gateway, "p")["faults"], 0);
    gateway.wait_for_log(&["Policy is rolled back", "99 % of its calls take up to"]);
}

#[test]
fn a_version_that_is_no_worse_stays() {
    let (_members, setup) = balanced("count", "rollback = { calls = 5 }", "");
    let gateway = setup.start();
    sequence(&gateway, 3);
    let before = digest(&gateway);
    gateway.replace_file("p.wasm", guests::marked("balancer", "v2"));
    gateway.wait_for_status("the new one serves", |_| digest(&gateway) != before);
    let now = digest(&gateway);
    sequence(&gateway, 12);
    // It has been watched for long enough: what it does from now on is no reason.
    assert_eq!(digest(&gateway), now);
    assert_eq!(outcomes(&gateway), ["in_service", "in_service"]);
}

#[test]
fn a_canary_that_was_undone_stays_out_over_a_restart_until_its_file_changes() {
    let folder = tempfile::tempdir().unwrap();
    let state = format!("state_dir = {:?}", folder.path().join("state"));
    let keys = "lbmethod = \"byrequests\"\n\
        canary = { policy = \"p\", percent = 100, by = \"header:X-Misbehave\" }";
    let start = || {
        let (members, setup) = balanced("trap", "", keys);
        (members, setup.top(&state).start())
    };
    let state_of = |gateway: &Gateway| candidate(gateway)["canary"]["state"].clone();
    let (_members, gateway) = start();
    eventually("the canary is undone", DEADLINE, || {
        assert_eq!(gateway.ask(&bad()).status, 200);
        (state_of(&gateway) == "undone").then_some(())
    });
    gateway.wait_for_status("that is kept", |_| outcomes(&gateway)[0] == "withdrawn");
    gateway.terminate();

    let (_members, again) = start();
    for _ in 0..10 {
        assert_eq!(again.ask(&bad()).status, 200);
    }
    assert_eq!(state_of(&again), "undone");
    assert_eq!(policy_status(&again, "p")["faults"], 0, "it is not asked");
    again.replace_file("p.wasm", guests::marked("balancer", "v2"));
    again.wait_for_status("another file is another chance", |_| {
        state_of(&again) == "running"
    });
}
