//! The built-in policies, through everything.

use super::guests::{NOTHING, Pool, Request, context, environment, limits, loader};
use crate::{
    builtin,
    decision::{Call, Member, Verdict},
    policy::{Instance, Loader, Module, Refusal},
};
use std::sync::Arc;

fn load(name: &str) -> Arc<dyn Module> {
    loader()
        .load(name, builtin::find(name).unwrap().wasm, &limits())
        .unwrap()
}

fn balancer(weights: &[u32]) -> Box<dyn Instance> {
    let mut instance = load("byrequests")
        .instantiate("{}", &context(), &environment())
        .unwrap();
    let member = |(at, weight): (usize, &u32)| Member {
        id: format!("http://10.0.0.{at}"),
        route: format!("worker{at}"),
        weight: *weight,
        lb_set: 0,
        labels: vec![("zone".into(), "a".into())],
    };
    instance
        .members_changed(
            1,
            &weights.iter().enumerate().map(member).collect::<Vec<_>>(),
        )
        .unwrap();
    instance
}

#[test]
fn all_of_them_load_and_describe_themselves() {
    for policy in builtin::all() {
        let module = load(policy.name);
        module
            .describe("{}", &environment())
            .unwrap_or_else(|refusal| panic!("{}: {refusal}", policy.name));
        assert!(module.size() > 10_000);
    }
}

#[test]
fn what_is_wrong_with_their_configuration_has_a_place() {
    let refused = load("jsessionid").describe(r#"{"cookie": 7}"#, &environment());
    assert!(
        matches!(&refused, Err(Refusal::Config(problems)) if problems[0].at == "/cookie"),
        "{refused:?}"
    );
}

#[test]
fn only_usable_members_are_chosen_and_state_survives_a_handoff() {
    let mut old = balancer(&[100, 200, 300]);
    let call = Call {
        request: Some(&Request),
        pool: Some(&Pool),
        ..NOTHING
    };
    // The third alone is usable in this pool.
    assert_eq!(old.pick(&call, 0, 1), Ok(Verdict::Member(2)));
    let state = old.save().unwrap();
    let mut new = balancer(&[100, 200, 300]);
    assert_eq!(
        new.restore(&load("byrequests").digest(), &[state]),
        Ok(Ok(()))
    );
    assert_eq!(new.pick(&call, 0, 1), Ok(Verdict::Member(2)));
}
