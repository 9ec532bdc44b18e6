//! httpd's choices under measured byte counts, and what must hold of any.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_bytraffic::ByTraffic;
use proptest::prelude::*;
use serde_json::Value;
use switchyard_policy::{
    Balancer, Concurrency, Policy, Verdict,
    testing::{self, Host},
};

fn scenarios() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/bytraffic.json"
    );
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    golden["scenarios"].as_array().unwrap().clone()
}

fn start(host: &Host, weights: &[u32]) -> ByTraffic {
    host.usable(vec![1; weights.len()])
        .weights(weights)
        .bytes(vec![0; weights.len()], vec![0; weights.len()]);
    let mut policy: ByTraffic = host.start("{}").unwrap();
    let members = (0..weights.len()).map(|i| testing::member(&i.to_string(), ""));
    policy.members_changed(1, members.collect());
    policy
}

#[test]
fn every_choice_of_httpd_is_made_under_its_byte_counts() {
    let scenarios = scenarios();
    assert_eq!(scenarios.len(), 7);
    for scenario in scenarios {
        let list = scenario["members"].as_array().unwrap();
        let names: Vec<_> = list.iter().map(|m| m["n"].as_str().unwrap()).collect();
        let weight = |m: &Value| (m["loadfactor"].as_f64().unwrap_or(1.0) * 100.0) as u32;
        let weights: Vec<u32> = list.iter().map(weight).collect();
        let host = Host::new();
        let mut policy = start(&host, &weights);
        let (mut from, mut to) = (vec![0_u64; names.len()], vec![0_u64; names.len()]);
        for (number, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) else {
                panic!("nobody");
            };
            let index = index as usize;
            assert_eq!(
                names[index], step["member"],
                "{} step {number}",
                scenario["scenario"]
            );
            to[index] += step["delta_transferred"].as_u64().unwrap();
            from[index] += step["delta_read"].as_u64().unwrap();
            host.bytes(from.clone(), to.clone());
        }
    }
}

#[test]
fn each_direction_is_divided_by_itself() {
    let host = Host::new();
    let mut policy = start(&host, &[100, 100]);
    // 9,999 + 9,999 bytes: 99 + 99 by httpd's rule, 199 if divided together.
    host.bytes([9_999, 19_800], [9_999, 0]);
    assert_eq!(host.run(|| policy.pick(0, 1)), Verdict::Member(0));
}

#[test]
fn a_retry_skips_the_members_already_tried() {
    let host = Host::new();
    let mut policy = start(&host, &[100, 100]);
    host.tried([0]);
    assert_eq!(host.run(|| policy.pick(1, 1)), Verdict::Member(1));
    host.tried([0, 1]);
    assert_eq!(host.run(|| policy.pick(2, 1)), Verdict::Abstain);
}

#[test]
fn columns_that_are_too_short_do_not_trap() {
    let host = Host::new();
    let mut policy = start(&host, &[100, 100]);
    host.bytes([], [u64::MAX, u64::MAX]);
    assert_eq!(host.run(|| policy.pick(0, 1)), Verdict::Member(0));
}

#[test]
fn it_takes_no_configuration_and_may_run_on_every_worker() {
    let problems = testing::start::<ByTraffic>(r#"{"decay": 1}"#).unwrap_err();
    assert_eq!(problems[0].at, "/decay");
    assert_eq!(
        <ByTraffic as Policy>::describe(&()).concurrency,
        Concurrency::Replicated
    );
}

proptest! {
    /// With answers of one size the bytes end up in the proportion of the weights.
    #[test]
    fn shares_converge_to_the_weights(weights in prop::collection::vec(1_u32..10, 1..6)) {
        let weights: Vec<u32> = weights.into_iter().map(|weight| weight * 100).collect();
        let host = Host::new();
        let mut policy = start(&host, &weights);
        let mut from = vec![0_u64; weights.len()];
        let total: u32 = weights.iter().sum();
        for _ in 0..total {
            let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) else { panic!() };
            from[index as usize] += 1_000_000;
            host.bytes(from.clone(), vec![0; weights.len()]);
        }
        for (bytes, weight) in from.iter().zip(&weights) {
            let requests = bytes / 1_000_000;
            prop_assert!(requests.abs_diff(u64::from(*weight)) <= weights.len() as u64);
        }
    }

    /// A member that is down is never chosen, however little it has moved.
    #[test]
    fn a_dead_member_is_never_chosen(
        usable in prop::collection::vec(0_u8..2, 5),
        from in prop::collection::vec(any::<u64>(), 5),
        weights in prop::collection::vec(0_u32..300, 5),
    ) {
        let host = Host::new();
        let mut policy = start(&host, &weights);
        host.usable(usable.clone()).bytes(from, vec![0; 5]);
        match host.run(|| policy.pick(0, 1)) {
            Verdict::Member(index) => prop_assert_eq!(usable[index as usize], 1),
            _ => prop_assert!(!usable.contains(&1)),
        }
    }
}
