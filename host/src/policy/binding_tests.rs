//! Bindings: placement, faults and what follows, handing over, calls outside decisions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::advance;

use super::{
    Binding, Post, Refused, StandingWord,
    testing::{Later, Native, Request, Response, bound, in_service, limits, parts, post, trap},
};
use crate::{
    decision::{Concurrency, Failure, Hook, Outcome, ResponsePlan, Trigger},
    members::{
        Pool,
        testing::{balancer, member, pool},
    },
    snapshot::{Balancer, OnError},
};

fn two_members() -> Arc<Pool> {
    pool(balancer([member("a"), member("b")]))
}

/// A rewriter that fails while the switch is on, and its switch.
fn switched() -> (Native, Arc<AtomicBool>) {
    let failing = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&failing);
    let mut native = Native::rewriting(move || match failing.load(Ordering::SeqCst) {
        true => Err(trap()),
        false => Ok(()),
    });
    native.concurrency = Concurrency::Exclusive;
    (native, switch)
}

async fn planned(post: &Post, response: &Response) -> Result<Option<ResponsePlan>, Refused> {
    let planned = post.on_response(0, &Request::default(), response).await?;
    Ok(planned.map(|(plan, _)| plan))
}

async fn asked(binding: &Arc<Binding>) -> bool {
    post(binding)
        .on_request(0, &Request::default())
        .await
        .unwrap()
        .is_some()
}

#[tokio::test(start_paused = true)]
async fn exclusive_has_one_instance_and_replicated_one_a_worker() {
    for (concurrency, expected) in [
        (Concurrency::Exclusive, &["init 0/1"][..]),
        (Concurrency::Replicated, &["init 0/2", "init 1/2"]),
    ] {
        let native = Native {
            concurrency,
            ..Native::rewriting(|| Ok(()))
        };
        let binding = bound(&native, &two_members());
        assert_eq!(native.logged(), expected);
        assert_eq!(binding.status().instances, expected.len());
    }
}

#[tokio::test(start_paused = true)]
async fn fault_is_answered_by_the_fallback_until_the_rebuild() {
    let (native, failing) = switched();
    let later = Arc::new(Later::default());
    let binding = in_service(parts(&native, None, &later), None);
    assert!(!asked(&binding).await);
    failing.store(false, Ordering::SeqCst);
    assert!(!asked(&binding).await, "the slot is empty");
    assert_eq!(later.run(), [Duration::from_millis(10)]);
    assert!(asked(&binding).await);
    let status = binding.status();
    assert_eq!(
        (status.all_faults(), status.calls, status.standing),
        (1, 2, StandingWord::Serving)
    );
    assert!(
        status
            .last_error
            .unwrap()
            .what
            .starts_with("on-request: trapped")
    );
}

#[tokio::test(start_paused = true)]
async fn policy_that_keeps_failing_is_quarantined_then_on_probation_then_free() {
    let (native, failing) = switched();
    let later = Arc::new(Later::default());
    let binding = in_service(parts(&native, None, &later), None);
    for delay in [10, 20] {
        assert!(!asked(&binding).await);
        assert_eq!(later.run(), [Duration::from_millis(delay)]);
    }
    assert!(!asked(&binding).await);
    assert_eq!(binding.status().standing, StandingWord::Quarantined);
    failing.store(false, Ordering::SeqCst);
    assert!(!asked(&binding).await);

    advance(limits().quarantine).await;
    assert_eq!(later.run(), [limits().quarantine]);
    assert_eq!(binding.status().standing, StandingWord::Probation);
    assert!(asked(&binding).await);
    failing.store(true, Ordering::SeqCst);
    assert!(!asked(&binding).await);
    assert_eq!(
        binding.status().standing,
        StandingWord::Quarantined,
        "one fault on probation"
    );

    failing.store(false, Ordering::SeqCst);
    later.run();
    advance(limits().failure_window).await;
    assert_eq!(binding.status().standing, StandingWord::Serving);
}

#[tokio::test(start_paused = true)]
async fn rebuild_that_fails_is_a_fault_too_and_tried_again() {
    let (mut native, failing) = switched();
    native.instances = Arc::new(1.into());
    let later = Arc::new(Later::default());
    let binding = in_service(parts(&native, None, &later), None);
    assert!(!asked(&binding).await);
    failing.store(false, Ordering::SeqCst);
    assert_eq!(later.run(), [Duration::from_millis(10)]);
    assert_eq!(binding.status().all_faults(), 2);
    native.instances.store(1, Ordering::SeqCst);
    assert_eq!(later.run(), [Duration::from_millis(20)]);
    assert!(asked(&binding).await);
}

#[tokio::test(start_paused = true)]
async fn rewriter_that_fails_passes_or_refuses() {
    for (on_error, expected) in [
        (OnError::BuiltIn, Ok(None)),
        (OnError::Previous, Ok(None)),
        (OnError::Refuse, Err(Refused::PolicyRefused)),
    ] {
        let native = Native::rewriting(|| Err(trap()));
        let mut parts = parts(&native, None, &Arc::default());
        parts.on_error = on_error;
        let binding = in_service(parts, None);
        let response = Response::default();
        assert_eq!(planned(&post(&binding), &response).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn previous_version_answers_while_it_is_warm_and_only_one_is_kept() {
    let first = in_service(
        parts(&Native::rewriting(|| Ok(())), None, &Arc::default()),
        None,
    );
    let second = in_service(
        parts(&Native::rewriting(|| Ok(())), None, &Arc::default()),
        Some(&first),
    );
    let mut failing = parts(&Native::rewriting(|| Err(trap())), None, &Arc::default());
    failing.on_error = OnError::Previous;
    let third = in_service(failing, Some(&second));
    assert!(asked(&third).await);
    assert!(second.previous().is_none());
    let gone = Arc::downgrade(&first);
    drop(first);
    assert!(gone.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn state_is_handed_over_before_the_members_are_told() {
    let pool = two_members();
    let mut old = Native::byrequests();
    old.exports.handoff = true;
    let mut new = Native {
        digest: 9,
        log: Arc::default(),
        ..old.clone()
    };
    let before = bound(&old, &pool);
    in_service(parts(&new, Some(&pool), &Arc::default()), Some(&before));
    assert_eq!(old.logged(), ["init 0/1", "members 1", "save"]);
    assert_eq!(new.logged(), ["init 0/1", "restore 1", "members 1"]);

    // A successor that cannot restore starts cold.
    new.exports.handoff = false;
    new.log = Arc::default();
    in_service(parts(&new, Some(&pool), &Arc::default()), Some(&before));
    assert_eq!(new.logged(), ["init 0/1", "members 1"]);
}

#[tokio::test(start_paused = true)]
async fn new_members_are_told_at_once() {
    let pool = two_members();
    let native = Native::byrequests();
    let _binding = bound(&native, &pool);
    let mut config = Balancer::clone(&pool.current().balancer);
    config.members.truncate(1);
    pool.adopt(Arc::new(config));
    assert_eq!(native.logged(), ["init 0/1", "members 1", "members 2"]);
}

#[tokio::test(start_paused = true)]
async fn hooks_that_are_not_exported_or_not_triggered_cost_no_call() {
    let native = Native {
        triggers: vec![(Hook::OnResponse, Trigger::ResponseHeader("location".into()))],
        ..Native::rewriting(|| Ok(()))
    };
    let binding = in_service(parts(&native, None, &Arc::default()), None);
    let (request, mut response) = (Request::default(), Response::default());
    assert_eq!(planned(&post(&binding), &response).await, Ok(None));
    assert_eq!(post(&binding).bind(0, &request, &response).await, Ok(None));
    assert_eq!(binding.status().calls, 0);
    response.headers.push(("location", "/"));
    assert!(
        post(&binding)
            .on_response(0, &request, &response)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        post(&binding)
            .on_request(1, &request)
            .await
            .unwrap()
            .is_some(),
        "no trigger: always"
    );
    assert_eq!(binding.status().calls, 2);
}

#[tokio::test(start_paused = true)]
async fn observer_gets_outcomes_in_one_batch() {
    let mut native = Native::byrequests();
    native.exports.observer = true;
    let pool = two_members();
    let later = Arc::new(Later::default());
    let binding = in_service(parts(&native, Some(&pool), &later), None);
    let outcome = Outcome {
        revision: 1,
        member: 0,
        status: 200,
        failure: Failure::None,
        connect_us: 0,
        first_byte_us: 10,
        total_us: 20,
        bytes_in: 1,
        bytes_out: 1,
    };
    for _ in 0..3 {
        binding.observe(outcome);
    }
    assert_eq!(later.run(), [Duration::from_millis(100)]);
    assert_eq!(native.logged().last().unwrap(), "completed 3");
    for _ in 0..5_000 {
        binding.observe(outcome);
    }
    assert_eq!(binding.outcomes_dropped(), 5_000 - 4_096);
}

#[tokio::test(start_paused = true)]
async fn ticks_end_with_the_binding() {
    let mut native = Native::rewriting(|| Ok(()));
    native.exports.ticker = true;
    native.tick_ms = 50;
    native.concurrency = Concurrency::Exclusive;
    let later = Arc::new(Later::default());
    let binding = in_service(parts(&native, None, &later), None);
    for _ in 0..2 {
        assert_eq!(later.run(), [Duration::from_millis(50)]);
    }
    assert_eq!(native.logged(), ["init 0/1", "tick", "tick"]);
    drop(binding);
    assert_eq!(
        later.run(),
        [Duration::from_millis(50)],
        "the last one finds nobody"
    );
    assert_eq!(later.run(), []);
}

#[tokio::test(start_paused = true)]
async fn body_stream_has_an_instance_of_its_own() {
    let native = Native {
        concurrency: Concurrency::Exclusive,
        ..Native::rewriting(|| Ok(()))
    };
    let binding = in_service(parts(&native, None, &Arc::default()), None);
    let mut body = binding.open_body(b"seed").await.unwrap();
    assert_eq!(body.write(b"x").await.unwrap(), b"x");
    assert_eq!(native.logged(), ["init 0/1", "init 0/1", "body"]);
}

#[test]
fn waiting_for_a_slot_blocks_no_worker() {
    let pool = two_members();
    let native = Native::rewriting(|| Ok(()));
    let native = Native {
        concurrency: Concurrency::Exclusive,
        ..native
    };
    let binding = bound(&native, &pool);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let seat = binding.slots[0].enter().await;
        let other = AtomicBool::new(false);
        let waits = asked(&binding);
        let serves = async {
            // Runs although the call above has not got its turn.
            other.store(true, Ordering::SeqCst);
            drop(seat);
        };
        let (answered, ()) = tokio::join!(waits, serves);
        assert!(answered && other.load(Ordering::SeqCst));
    });
}
