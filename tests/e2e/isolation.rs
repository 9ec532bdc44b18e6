//! A tenant whose policy does its worst, and what its neighbour notices: no failed request, and
//! hardly any time once the quarantine or the CPU quota has acted.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use switchyard_tests::{
    Client, Gateway, Member, Request, Setup, eventually, guests, scripts, wait::DEADLINE,
};

use crate::{
    policies::bad,
    tenants::{LOCAL, OPERATOR, tenant_site, tenant_status},
};

/// Requests of the neighbour in one round, and rounds of each kind, in turns.
const REQUESTS: usize = 300;
const ROUNDS: usize = 5;

/// Requests of the neighbour for one of the bad tenant's.
const PACE: usize = 3;

/// The bound on the ratio of the 99th hundredths; the aim is 1.2.
const BOUND: f64 = 2.0;

struct Scene {
    gateway: Gateway,
    _members: (Member, Member),
}

/// `acme` as everybody would like to be, `mallory` with the test balancer that does this.
fn scene(does: &str) -> Scene {
    let (a, b) = (
        Member::start("a", scripts::name()),
        Member::start("b", scripts::name()),
    );
    let mallory = tenant_site("mallory.example", &b, "lbmethod = \"policy:p\"")
        + &format!(
            "[policy.p]\nsource = \"p.wasm\"\nconfig = {{ does = {does:?} }}\nlimits = {{ memory = \"8MiB\" }}\n"
        );
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}"))
        .file(
            "tenants/acme/site.toml",
            tenant_site("acme.example", &a, ""),
        )
        .file("tenants/mallory/site.toml", mallory)
        .file("tenants/mallory/p.wasm", guests::component("balancer"))
        .start();
    Scene {
        gateway,
        _members: (a, b),
    }
}

/// The neighbour's requests, all answered; how long the slowest hundredth took. `between` runs
/// before every request.
fn round(gateway: &Gateway, mut between: impl FnMut(usize)) -> Duration {
    let mut client = gateway.connect();
    let mut times: Vec<_> = (0..REQUESTS)
        .map(|number| {
            between(number);
            let began = Instant::now();
            let answer = client.ask(&Request::get("/").host("acme.example"));
            assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[REQUESTS * 99 / 100]
}

fn mallory(client: &mut Client) -> u16 {
    client.ask(&bad().host("mallory.example")).status
}

/// Quiet and loud rounds in turns; the bad tenant's requests come at the neighbour's pace.
fn measured(scene: &Scene, what: &str) {
    let gateway = &scene.gateway;
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let (ask, asked) = mpsc::channel::<()>();
        scope.spawn(move || {
            let mut client = gateway.connect();
            while asked.recv().is_ok() {
                assert_eq!(mallory(&mut client), 200, "its own fallback answers");
            }
        });
        for _ in 0..ROUNDS {
            quiet.push(round(gateway, |_| {}));
            loud.push(round(gateway, |number| {
                if number.is_multiple_of(PACE) {
                    ask.send(()).unwrap();
                }
            }));
        }
    });
    quiet.sort_unstable();
    loud.sort_unstable();
    let (quiet, loud) = (quiet[ROUNDS / 2], loud[ROUNDS / 2]);
    let ratio = loud.as_secs_f64() / quiet.as_secs_f64();
    println!(
        "{what}: the neighbour's p99 is {loud:?} beside it, {quiet:?} without: {ratio:.2} times"
    );
    assert!(ratio <= BOUND, "{what}: {ratio:.2} times, {BOUND} allowed");
}

/// Lets the bad tenant do its worst until that has had consequences; its neighbour is served.
fn provoke(scene: &Scene, what: &str, acted: impl Fn(&Gateway) -> bool) {
    let gateway = &scene.gateway;
    let (mut own, mut other) = (gateway.connect(), gateway.connect());
    eventually(what, DEADLINE, || {
        assert_eq!(mallory(&mut own), 200);
        let answer = other.ask(&Request::get("/").host("acme.example"));
        assert_eq!(answer.status, 200, "before it is contained, too");
        acted(gateway).then_some(())
    });
}

fn policy(gateway: &Gateway) -> serde_json::Value {
    let status = gateway.status();
    let all = status["policies"].as_array().cloned().unwrap_or_default();
    let own = all
        .into_iter()
        .find(|p| p["tenant"] == "mallory" && p["name"] == "p");
    own.unwrap_or_else(|| panic!("no policy of mallory's in {status:#}"))
}

fn is_quarantined(gateway: &Gateway) -> bool {
    policy(gateway)["state"] == "quarantined"
}

#[test]
fn a_policy_that_loops_for_ever() {
    let scene = scene("loop");
    provoke(&scene, "quarantine", is_quarantined);
    measured(&scene, "loop");
}

#[test]
fn a_policy_that_traps_on_every_call() {
    let scene = scene("trap");
    provoke(&scene, "quarantine", is_quarantined);
    measured(&scene, "trap");
}

#[test]
fn a_policy_that_takes_all_the_memory_it_can() {
    let scene = scene("allocate");
    provoke(&scene, "quarantine", is_quarantined);
    measured(&scene, "allocate");
}

#[test]
fn a_policy_that_floods_the_log() {
    let scene = scene("log");
    provoke(&scene, "quarantine or nothing left to log", |gateway| {
        is_quarantined(gateway) || policy(gateway)["calls"].as_u64() > Some(20)
    });
    measured(&scene, "log");
}

/// 90 % of the deadline at every call and never a failure: the quota on CPU time has to act.
#[test]
fn a_policy_that_is_as_slow_as_it_may() {
    let scene = scene("slow");
    provoke(&scene, "the CPU quota", |gateway| {
        let used = tenant_status(gateway, "mallory")["usage"]["policy_cpu_us"].as_u64();
        used > Some(200_000) && policy(gateway)["calls"].as_u64() > Some(20)
    });
    measured(&scene, "slow");
    assert_eq!(policy(&scene.gateway)["faults"], 0, "it never failed");
}
