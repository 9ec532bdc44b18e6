//! httpd's choices while requests are held, and what must hold of any.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_bybusyness::ByBusyness;
use proptest::prelude::*;
use serde_json::Value;
use switchyard_policy::{
    Balancer, Concurrency, Handoff, Policy, Verdict,
    testing::{self, Host},
};

fn scenarios() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/bybusyness.json"
    );
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    golden["scenarios"].as_array().unwrap().clone()
}

fn start(host: &Host, weights: &[u32]) -> ByBusyness {
    host.usable(vec![1; weights.len()])
        .weights(weights)
        .in_flight(vec![0; weights.len()]);
    let mut policy: ByBusyness = host.start("{}").unwrap();
    members(&mut policy, weights.len());
    policy
}

fn members(policy: &mut ByBusyness, count: usize) {
    let members = (0..count).map(|i| testing::member(&i.to_string(), ""));
    policy.members_changed(1, members.collect());
}

/// Replays a scenario; `reload_at` swaps the policy for a fresh one before that step.
fn replay(scenario: &Value, reload_at: Option<usize>) {
    let list = scenario["members"].as_array().unwrap();
    let names: Vec<_> = list.iter().map(|m| m["n"].as_str().unwrap()).collect();
    let weight = |m: &Value| (m["loadfactor"].as_f64().unwrap_or(1.0) * 100.0) as u32;
    let weights: Vec<u32> = list.iter().map(weight).collect();
    let host = Host::new();
    let mut policy = start(&host, &weights);
    let mut busy = vec![0_u32; names.len()];
    for (number, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
        if reload_at == Some(number) {
            let state = policy.save();
            policy = host.start("{}").unwrap();
            policy.restore("digest", vec![state]).unwrap();
            members(&mut policy, names.len());
        }
        let wanted = names
            .iter()
            .position(|name| step["member"] == *name)
            .unwrap();
        let op = step["op"].as_str().unwrap();
        if op != "finish" {
            let chosen = host.run(|| policy.pick(0, 1));
            let what = format!("{} step {number}", scenario["scenario"]);
            assert_eq!(chosen, Verdict::Member(wanted as u32), "{what}");
        }
        match op {
            "open and hold" => busy[wanted] += 1,
            "finish" => busy[wanted] -= 1,
            "req" => {}
            other => panic!("{other}"),
        }
        // The vectors count after each start, not after an end.
        for (name, busy) in names.iter().zip(&busy).filter(|_| op != "finish") {
            assert_eq!(step["busy_after"][name], *busy, "the test's own count");
        }
        host.in_flight(busy.clone());
    }
}

#[test]
fn every_choice_of_httpd_is_made_while_requests_are_held() {
    let scenarios = scenarios();
    assert_eq!(scenarios.len(), 5);
    for scenario in scenarios {
        replay(&scenario, None);
    }
}

#[test]
fn a_reload_at_any_point_changes_no_choice() {
    for scenario in scenarios() {
        for step in 0..scenario["steps"].as_array().unwrap().len() {
            replay(&scenario, Some(step));
        }
    }
}

#[test]
fn a_retry_skips_the_members_already_tried() {
    let host = Host::new();
    let mut policy = start(&host, &[100, 100]);
    host.in_flight([0, 9]).tried([0]);
    assert_eq!(host.run(|| policy.pick(1, 1)), Verdict::Member(1));
    host.tried([0, 1]);
    assert_eq!(host.run(|| policy.pick(2, 1)), Verdict::Abstain);
}

#[test]
fn it_takes_no_configuration_and_runs_as_one_instance() {
    let problems = testing::start::<ByBusyness>(r#"{"decay": 1}"#).unwrap_err();
    assert_eq!(problems[0].at, "/decay");
    assert_eq!(
        <ByBusyness as Policy>::describe(&()).concurrency,
        Concurrency::Exclusive
    );
}

proptest! {
    /// Nobody chosen was busier than another who could have been.
    #[test]
    fn the_chosen_member_is_usable_and_least_busy(
        rounds in prop::collection::vec((prop::collection::vec(0_u8..2, 5), prop::collection::vec(0_u32..4, 5)), 1..40)
    ) {
        let host = Host::new();
        let mut policy = start(&host, &[100, 200, 300, 400, 500]);
        for (state, (usable, busy)) in (2..).zip(rounds) {
            host.usable(usable.clone()).in_flight(busy.clone());
            let alive = (0..5).filter(|i| usable[*i] == 1);
            match host.run(|| policy.pick(0, state)) {
                Verdict::Member(index) => {
                    prop_assert_eq!(usable[index as usize], 1);
                    prop_assert_eq!(Some(busy[index as usize]), alive.map(|i| busy[i]).min());
                }
                _ => prop_assert_eq!(alive.count(), 0),
            }
        }
    }

    /// An idle pool rotates exactly by weight, as byrequests does.
    #[test]
    fn an_idle_pool_shares_by_weight(weights in prop::collection::vec(1_u32..20, 1..8)) {
        let host = Host::new();
        let mut policy = start(&host, &weights);
        let mut served = vec![0_u32; weights.len()];
        for _ in 0..weights.iter().sum() {
            let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) else { panic!() };
            served[index as usize] += 1;
        }
        prop_assert_eq!(served, weights);
    }
}
