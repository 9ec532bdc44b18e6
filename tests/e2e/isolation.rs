//! A tenant whose policy does its worst, and what its neighbour notices: no failed request, and
//! hardly any time once the quarantine or the CPU quota has acted.

use std::{
    mem,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use switchyard_tests::{
    Client, Gateway, Member, Request, Setup, eventually, guests, scripts, wait::DEADLINE,
};

use crate::{
    policies::bad,
    tenants::{LOCAL, OPERATOR, tenant_site},
};

/// Requests of the neighbour in one round, and rounds of each kind, in turns.
const REQUESTS: usize = 500;
const ROUNDS: usize = 9;

/// Requests of the neighbour for one of the bad tenant's.
const PACE: usize = 3;

/// The bound on the ratio of the 99th hundredths; the aim is 1.2.
const BOUND: f64 = 2.0;

/// What the slow policy uses of its deadline, which is the default one.
const SHARE: f64 = 0.9;
const CALL_DEADLINE: Duration = Duration::from_millis(5);

/// Of the policy that put it into quarantine: the default.
const FAILURES: u32 = 5;
/// What the operator allows, and what never does.
const LENIENT: u32 = 1_000;

struct Scene {
    gateway: Gateway,
    members: (Member, Member),
}

/// `acme` as everybody would like to be, `mallory` with the test balancer configured like this.
fn scene(config: &str) -> Scene {
    let (a, b) = (
        Member::start("a", scripts::name()),
        Member::start("b", scripts::name()),
    );
    let lenient = format!("[limits.policy]\nfailures = {LENIENT}\n");
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}{lenient}"))
        .file(
            "tenants/acme/site.toml",
            tenant_site("acme.example", &a, ""),
        )
        .file("tenants/mallory/site.toml", mallorys(&b, config, FAILURES))
        .file("tenants/mallory/p.wasm", guests::component("balancer"))
        .start();
    Scene {
        gateway,
        members: (a, b),
    }
}

fn mallorys(member: &Member, config: &str, failures: u32) -> String {
    let policy = format!(
        "[policy.p]\nsource = \"p.wasm\"\nconfig = {{ {config} }}\nlimits = {{ memory = \"8MiB\", failures = {failures} }}\n"
    );
    tenant_site("mallory.example", member, "lbmethod = \"policy:p\"") + &policy
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

/// A round of the neighbour's with the bad tenant's requests at its pace, or as fast as they are answered where that
/// takes longer. None is left when it ends.
fn loud_round(gateway: &Gateway) -> Duration {
    thread::scope(|scope| {
        let (ask, asked) = mpsc::sync_channel::<()>(1);
        scope.spawn(move || {
            let mut client = gateway.connect();
            while asked.recv().is_ok() {
                assert_eq!(mallory(&mut client), 200, "its own fallback answers");
            }
        });
        round(gateway, |number| {
            if number.is_multiple_of(PACE) {
                let _ = ask.try_send(());
            }
        })
    })
}

/// Quiet and loud rounds in turns.
fn measured(scene: &Scene, what: &str) {
    let gateway = &scene.gateway;
    let (mut quiet, mut loud): (Vec<_>, Vec<_>) = (0..ROUNDS)
        .map(|_| (round(gateway, |_| {}), loud_round(gateway)))
        .unzip();
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
    let scene = scene("does = 'loop'");
    provoke(&scene, "quarantine", is_quarantined);
    measured(&scene, "loop");
}

#[test]
fn a_policy_that_traps_on_every_call() {
    let scene = scene("does = 'trap'");
    provoke(&scene, "quarantine", is_quarantined);
    measured(&scene, "trap");
}

#[test]
fn a_policy_that_takes_all_the_memory_it_can() {
    let scene = scene("does = 'allocate'");
    provoke(&scene, "quarantine", is_quarantined);
    measured(&scene, "allocate");
}

#[test]
fn a_policy_that_floods_the_log() {
    let scene = scene("does = 'log'");
    provoke(&scene, "quarantine or nothing left to log", |gateway| {
        is_quarantined(gateway) || policy(gateway)["calls"].as_u64() > Some(20)
    });
    measured(&scene, "log");
}

/// Never a failure, so no quarantine: the quota on CPU time has to act.
#[test]
fn a_policy_that_is_as_slow_as_it_may() {
    let some = 8_000_000;
    let scene = scene(&slow(some));
    let turns = CALL_DEADLINE.mul_f64(SHARE).as_secs_f64() / call_time(&scene).as_secs_f64();
    let turns = (turns * f64::from(some)) as u32;
    // So near to the deadline a machine whose pace swings makes some calls too long; only the quota is to act.
    let site = mallorys(&scene.members.1, &slow(turns), LENIENT);
    let gateway = &scene.gateway;
    let before = gateway.status()["config"]["generation"].clone();
    gateway.replace_file("tenants/mallory/site.toml", site);
    gateway.wait_for_status("its policy is slower", |status| {
        status["config"]["generation"] != before
    });
    provoke(&scene, "the CPU quota", |gateway| {
        policy(gateway)["throttled"].as_u64() > Some(5)
    });
    measured(&scene, "slow");
    let policy = policy(gateway);
    let number = |key: &str| policy[key].as_u64().unwrap();
    let (calls, faults) = (number("calls"), number("faults"));
    println!(
        "slow: {calls} calls took {} us, {faults} of them too long; {} were not made",
        number("call_time_us"),
        number("throttled")
    );
    assert_eq!(policy["state"], "serving");
    assert!(faults * 5 < calls, "it answers in time: {policy:#}");
}

fn slow(turns: u32) -> String {
    format!("does = 'slow', turns = {turns}")
}

/// What the bad tenant's calls take at most while the neighbour is busy too, by the gateway's own account.
fn call_time(scene: &Scene) -> Duration {
    let gateway = &scene.gateway;
    let mut client = gateway.connect();
    let mut used_after = |calls| {
        (0..calls).for_each(|_| assert_eq!(mallory(&mut client), 200));
        let policy = policy(gateway);
        let number = |key: &str| policy[key].as_u64().unwrap();
        (number("calls"), number("call_time_us"))
    };
    // From the first slow call that it finds the gateway times all of them.
    let mut before = eventually("timed calls", DEADLINE, || {
        Some(used_after(1)).filter(|(_, time)| *time > 5_000)
    });
    let measured = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !measured.load(Ordering::Relaxed) {
                round(gateway, |_| {});
            }
        });
        let times = (0..5).map(|_| {
            let (calls, time) = used_after(20);
            let (earlier, less) = mem::replace(&mut before, (calls, time));
            Duration::from_micros((time - less) / (calls - earlier))
        });
        let slowest = times.max();
        measured.store(true, Ordering::Relaxed);
        slowest.expect("five of them")
    })
}
