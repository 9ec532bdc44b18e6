//! httpd's own schedules, request by request, and what must hold of any schedule.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_byrequests::ByRequests;
use proptest::prelude::*;
use serde_json::Value;
use switchyard_policy::{
    Balancer, Concurrency, Handoff, Member, Policy, Verdict,
    testing::{self, Host},
};

/// A scenario's pool and what the gateway says about it.
struct Pool {
    names: Vec<String>,
    members: Vec<Member>,
    usable: Vec<u8>,
}

impl Pool {
    fn of(scenario: &Value) -> Self {
        let list = scenario["members"].as_array().unwrap();
        let text = |member: &Value, key: &str| member[key].as_str().unwrap_or_default().to_owned();
        let names: Vec<_> = list.iter().map(|member| text(member, "name")).collect();
        let statuses: Vec<_> = list.iter().map(|member| text(member, "status")).collect();
        let members: Vec<_> = list
            .iter()
            .zip(&names)
            .map(|(member, name)| Member {
                weight: (member["loadfactor"].as_f64().unwrap_or(1.0) * 100.0) as u32,
                lb_set: member["lbset"].as_u64().unwrap_or(0) as u32,
                ..testing::member(&format!("http://{name}:80"), name)
            })
            .collect();
        let usable = usable(&members, &statuses);
        Pool {
            names,
            members,
            usable,
        }
    }

    fn weights(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.weight).collect()
    }
}

/// The gateway's part: the first set that yields anybody; in it the ordinary members
/// and a spare for each that cannot serve, else the standbys.
fn usable(members: &[Member], statuses: &[String]) -> Vec<u8> {
    let mut sets: Vec<u32> = members.iter().map(|member| member.lb_set).collect();
    sets.sort_unstable();
    sets.dedup();
    for set in sets {
        let of = |status: &str| -> Vec<usize> {
            let indices = 0..members.len();
            indices
                .filter(|i| members[*i].lb_set == set && statuses[*i] == status)
                .collect()
        };
        let out = of("+D").len() + of("+N").len();
        let mut chosen = of("");
        chosen.extend(of("+R").into_iter().take(out));
        if chosen.is_empty() {
            chosen = of("+H");
        }
        if !chosen.is_empty() {
            return (0..members.len())
                .map(|i| u8::from(chosen.contains(&i)))
                .collect();
        }
    }
    vec![0; members.len()]
}

fn scenarios() -> Vec<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/byrequests.json"
    );
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    golden["scenarios"].as_array().unwrap().clone()
}

fn start(pool: &Pool) -> (Host, ByRequests) {
    let host = Host::new();
    host.usable(pool.usable.clone()).weights(pool.weights());
    let mut policy: ByRequests = host.start("{}").unwrap();
    policy.members_changed(1, pool.members.clone());
    (host, policy)
}

#[test]
fn every_schedule_of_httpd_is_followed_request_by_request() {
    let scenarios = scenarios();
    assert_eq!(scenarios.len(), 13);
    for scenario in scenarios {
        let pool = Pool::of(&scenario);
        let (host, mut policy) = start(&pool);
        let wanted = scenario["sequence"].as_str().unwrap();
        let got: String = wanted
            .chars()
            .map(|_| match host.run(|| policy.pick(0, 1)) {
                Verdict::Member(index) => pool.names[index as usize].clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(got, wanted, "{}", scenario["scenario"]);
    }
}

#[test]
fn a_reload_at_any_point_continues_the_cycle() {
    for scenario in scenarios() {
        let pool = Pool::of(&scenario);
        let wanted = scenario["sequence"].as_str().unwrap();
        for cut in 0..wanted.len() {
            let (host, mut policy) = start(&pool);
            let mut got = String::new();
            for step in 0..wanted.len() {
                if step == cut {
                    let state = policy.save();
                    policy = host.start("{}").unwrap();
                    policy.restore("digest", vec![state]).unwrap();
                    policy.members_changed(2, pool.members.clone());
                }
                if let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) {
                    got += &pool.names[index as usize];
                }
            }
            assert_eq!(got, wanted, "{} cut at {cut}", scenario["scenario"]);
        }
    }
}

#[test]
fn columns_are_pulled_again_only_when_the_state_changes() {
    let pool = Pool::of(&scenarios()[1]);
    let (host, mut policy) = start(&pool);
    assert_eq!(host.run(|| policy.pick(0, 7)), Verdict::Member(0));
    host.usable([1, 0, 0]);
    assert_eq!(
        host.run(|| policy.pick(0, 7)),
        Verdict::Member(1),
        "as before"
    );
    assert_eq!(host.run(|| policy.pick(0, 8)), Verdict::Member(0), "pulled");
}

#[test]
fn a_retry_skips_the_members_already_tried() {
    let pool = Pool::of(&scenarios()[1]);
    let (host, mut policy) = start(&pool);
    assert_eq!(host.run(|| policy.pick(0, 1)), Verdict::Member(0));
    host.tried([0]);
    assert_eq!(host.run(|| policy.pick(1, 1)), Verdict::Member(1));
    host.tried([0, 1]);
    assert_eq!(host.run(|| policy.pick(2, 1)), Verdict::Member(2));
    host.tried([0, 1, 2]);
    assert_eq!(host.run(|| policy.pick(3, 1)), Verdict::Abstain);
}

#[test]
fn an_empty_pool_and_one_without_usable_members_abstain() {
    let host = Host::new();
    let mut policy: ByRequests = host.start("").unwrap();
    policy.members_changed(1, vec![]);
    assert_eq!(host.run(|| policy.pick(0, 1)), Verdict::Abstain);
    host.usable([0, 0]).weights([100, 100]);
    policy.members_changed(2, vec![testing::member("a", ""), testing::member("b", "")]);
    assert_eq!(host.run(|| policy.pick(0, 2)), Verdict::Abstain);
}

#[test]
fn it_takes_no_configuration_and_runs_as_one_instance() {
    let problems = testing::start::<ByRequests>(r#"{"decay": 1}"#).unwrap_err();
    assert_eq!(problems[0].at, "/decay");
    assert_eq!(
        <ByRequests as Policy>::describe(&()).concurrency,
        Concurrency::Exclusive
    );
}

proptest! {
    /// Over one whole cycle (the sum of the weights) everybody gets exactly its
    /// weight, and never strays more than a request a member on the way.
    #[test]
    fn shares_are_exact_over_a_cycle(weights in prop::collection::vec(1_u32..20, 1..8)) {
        let host = Host::new();
        host.usable(vec![1; weights.len()]).weights(weights.clone());
        let mut policy: ByRequests = host.start("{}").unwrap();
        let members = (0..weights.len()).map(|i| testing::member(&i.to_string(), ""));
        policy.members_changed(1, members.collect());
        let cycle: u32 = weights.iter().sum();
        let mut served = vec![0_u32; weights.len()];
        for step in 1..=cycle {
            let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) else { panic!() };
            served[index as usize] += 1;
            for (got, weight) in served.iter().zip(&weights) {
                let fair = f64::from(step) * f64::from(*weight) / f64::from(cycle);
                prop_assert!((f64::from(*got) - fair).abs() < weights.len() as f64);
            }
        }
        prop_assert_eq!(served, weights);
    }

    /// Whatever the pool goes through, a member that is down or tried is never chosen.
    #[test]
    fn a_dead_member_is_never_chosen(
        rounds in prop::collection::vec((prop::collection::vec(0_u8..2, 5), 0_u32..5, 0_u32..2), 1..60)
    ) {
        let host = Host::new();
        host.weights([100, 200, 300, 400, 500]);
        let mut policy: ByRequests = host.start("{}").unwrap();
        let members: Vec<_> = (0..5).map(|i| testing::member(&i.to_string(), "")).collect();
        policy.members_changed(1, members);
        for (state, (usable, tried, attempt)) in (1..).zip(rounds) {
            host.usable(usable.clone()).tried(vec![tried; attempt as usize]);
            match host.run(|| policy.pick(attempt, state)) {
                Verdict::Member(index) => {
                    prop_assert_eq!(usable[index as usize], 1);
                    prop_assert!(attempt == 0 || index != tried);
                }
                _ => {
                    let left = (0..5).filter(|i| attempt == 0 || *i != tried);
                    prop_assert!(left.into_iter().all(|i| usable[i as usize] == 0));
                }
            }
        }
    }
}
