//! What a policy must hold before it is put into service.

use std::sync::{Arc, Mutex};

use super::{
    Binding, Fault, Refusal,
    testing::{Native, in_service, parts, trap},
};
use crate::{
    decision::{Hook, Trigger, Verdict},
    members::{
        Pool, locked,
        testing::{balancer, member, pool},
    },
    snapshot::Status,
};

fn two_members() -> Arc<Pool> {
    pool(balancer([member("a"), member("b")]))
}

fn frank(native: Native) -> Native {
    Native {
        frank: true,
        ..native
    }
}

/// Why it is not taken into service on two members; `None`: it is.
fn refused(native: Native) -> Option<Refusal> {
    let parts = parts(&frank(native), Some(&two_members()), &Arc::default());
    Binding::prepare(parts).err()
}

#[test]
fn fault_in_any_decision_refuses_and_names_it() {
    let mut observer = Native::byrequests();
    observer.exports.observer = true;
    observer.deaf = true;
    let cases = [
        (Native::picking("p", |_, _, _| Err(trap())), "pick"),
        (Native::locating(|_| Err(trap())), "locate"),
        (Native::rewriting(|| Err(trap())), "on-request"),
        (observer, "completed"),
    ];
    for (native, decision) in cases {
        let refusal = refused(native).unwrap().to_string();
        let expected = format!("smoke call, {decision}: trapped: unreachable");
        assert_eq!(refusal, expected);
    }
}

#[test]
fn member_that_is_not_there_refuses_and_one_that_may_not_serve_does_not() {
    for (verdict, taken) in [
        (Verdict::Member(1), true),
        (Verdict::Member(2), false),
        (Verdict::Member(u32::MAX), false),
        (Verdict::Abstain, true),
        (Verdict::Shed, true),
    ] {
        let mut off = member("b");
        off.status = Status::Disabled;
        let pool = pool(balancer([member("a"), off]));
        let native = frank(Native::picking("p", move |_, _, _| Ok(verdict)));
        let prepared = Binding::prepare(parts(&native, Some(&pool), &Arc::default()));
        assert_eq!(prepared.is_ok(), taken, "{verdict:?}");
        if let Err(refusal) = prepared {
            assert!(matches!(refusal, Refusal::Invalid { .. }));
            assert!(refusal.to_string().contains("of 2"), "{refusal}");
        }
    }
}

#[test]
fn balancer_sees_the_pools_columns_and_somebody_to_choose() {
    for (status, usable) in [(Status::Ok, [1, 1]), (Status::Stopped, [1, 1])] {
        let mut one = member("a");
        (one.status, one.weight) = (status, 300);
        let mut two = member("b");
        two.status = status;
        let pool = pool(balancer([one, two]));
        let native = Native::picking("p", move |call, attempt, _| {
            let seen = call.pool.unwrap();
            assert_eq!((seen.usable(), attempt), (&usable[..], 0));
            assert_eq!(seen.weights(), [300, 100]);
            assert_eq!(call.request.unwrap().method(), "GET");
            Ok(Verdict::Member(0))
        });
        in_service(parts(&frank(native), Some(&pool), &Arc::default()), None);
        let facts = pool.facts(pool.clock().now());
        assert!(
            facts
                .members
                .endpoints
                .iter()
                .all(|e| e.live.elected() == 0)
        );
    }
}

#[test]
fn messages_have_the_triggers_and_hooks_that_cannot_be_triggered_are_left_out() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = Arc::clone(&seen);
    let mut native = Native::locating(move |call| {
        let request = call.request.unwrap();
        let cookie = request.header("cookie").map(String::from_utf8_lossy);
        let cookie = cookie.unwrap_or_default();
        locked(&note).push(format!("{} {cookie}", request.path()));
        Ok(None)
    });
    native.triggers = vec![
        (Hook::Locate, Trigger::Cookie("SID".into())),
        (Hook::Locate, Trigger::PathParameter("sid".into())),
        (Hook::Locate, Trigger::QueryParameter("sid".into())),
        (Hook::Locate, Trigger::AbsentCookie("SID".into())),
        // There is no response yet, so this alone would never call it.
        (Hook::Locate, Trigger::ContentType("text/".into())),
    ];
    assert!(refused(native).is_none());
    let seen = locked(&seen);
    assert_eq!(seen[..3], ["/ SID=1", "/;sid=1 ", "/?sid=1 "]);
    assert_eq!(seen[3..], ["/ ", "/ "], "without the cookie, twice");

    let mut never = Native::locating(|_| Err(trap()));
    never.triggers = vec![(Hook::Locate, Trigger::ResponseHeader("x".into()))];
    assert!(refused(never).is_none());
}

#[test]
fn nothing_of_a_trial_stays_and_what_was_handed_over_is_tried_too() {
    let pool = two_members();
    let mut old = Native::byrequests();
    old.exports.handoff = true;
    let before = in_service(parts(&old, Some(&pool), &Arc::default()), None);
    let new = Native {
        digest: 9,
        log: Arc::default(),
        ..frank(old.clone())
    };
    in_service(parts(&new, Some(&pool), &Arc::default()), Some(&before));
    assert_eq!(
        new.logged(),
        [
            "apart: members 1",
            "apart: restore 1",
            "apart: members 1",
            "init 0/1",
            "restore 1",
            "members 1",
        ]
    );
    assert_eq!(old.logged(), ["init 0/1", "members 1", "save"]);
}

#[test]
fn refused_version_asks_nothing_of_the_one_in_service() {
    let pool = two_members();
    let mut old = Native::byrequests();
    old.exports.handoff = true;
    let _before = in_service(parts(&old, Some(&pool), &Arc::default()), None);
    let fault = Fault::Memory(1);
    let bad = Native::picking("p", move |_, _, _| Err(fault.clone()));
    let refusal = Binding::prepare(parts(&frank(bad), Some(&pool), &Arc::default())).unwrap_err();
    assert!(
        refusal.to_string().starts_with("smoke call, pick: "),
        "{refusal}"
    );
    assert_eq!(old.logged(), ["init 0/1", "members 1"]);
}
