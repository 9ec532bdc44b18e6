//! Shadows and canaries beside policies in service.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::{
    Binding, Canary, CanaryState, Post, Role, Selector, Shadow,
    scene::{fresh, members, sequence},
    testing::{Later, Native, Request, asleep, in_service, parts, post, trap},
};
use crate::{
    decision::{Hold, Pin, Trigger, Verdict},
    members::{
        Pool, locked,
        testing::{balancer, pool},
    },
    snapshot::CanaryBy,
};

fn candidate(native: &Native, role: Role, pool: Option<&Arc<Pool>>) -> Arc<Binding> {
    let mut parts = parts(native, pool, &Arc::<Later>::default());
    parts.role = role;
    in_service(parts, None)
}

fn selector(pool: &Arc<Pool>, native: &Native) -> Selector {
    Selector {
        pool: Arc::clone(pool),
        chain: vec![post(&candidate(native, Role::Serving, Some(pool)))],
        affinity: Vec::new(),
        last_resort: None,
    }
}

fn always(index: u32) -> Native {
    Native::picking("candidate", move |_, _, _| Ok(Verdict::Member(index)))
}

#[tokio::test(start_paused = true)]
async fn shadow_sees_every_pick_before_it_is_made_and_is_never_obeyed() {
    let pool = pool(balancer(members("ab")));
    let mut selector = selector(&pool, &Native::byrequests());
    let busy = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&busy);
    let shadow = Native::picking("candidate", move |call, _, _| {
        let mut column = Vec::new();
        call.pool.unwrap().in_flight(&mut column);
        locked(&note).push(column);
        Ok(Verdict::Member(0))
    });
    let binding = candidate(&shadow, Role::Shadow, Some(&pool));
    selector.chain[0].shadow = Some(Shadow {
        binding: Arc::clone(&binding),
        // A balancer with a state is fed everything whatever is asked for.
        sample: 0,
    });
    assert_eq!(sequence(&selector, 4).await, "abab");
    assert!(locked(&busy).iter().all(|column| *column == [0, 0]));
    let status = binding.status().shadow.unwrap();
    assert_eq!((status.agreed, status.differed), (2, 2));
    assert_eq!(status.distance(), 0.5);
    let example = &status.examples[0];
    assert_eq!((&*example.decided, &*example.candidate), ("b", "a"));
}

#[tokio::test(start_paused = true)]
async fn shadow_that_fails_is_counted_and_nobody_notices() {
    let pool = pool(balancer(members("ab")));
    let mut selector = selector(&pool, &Native::byrequests());
    let bad = Native::picking("candidate", |_, _, _| Err(trap()));
    let binding = candidate(&bad, Role::Shadow, Some(&pool));
    selector.chain[0].shadow = Some(Shadow {
        binding: Arc::clone(&binding),
        sample: 10_000,
    });
    assert_eq!(sequence(&selector, 2).await, "ab");
    let status = binding.status();
    assert_eq!(status.all_faults(), 1);
    assert_eq!(status.shadow.unwrap().unanswered, 2);
}

#[tokio::test(start_paused = true)]
async fn examples_of_an_affinity_are_told_in_words() {
    let hold = Hold {
        pin: Pin::Route("w1".into()),
        strict: false,
    };
    let native = Native::locating(move |_| Ok(Some(hold.clone())));
    let post = Post {
        shadow: Some(Shadow {
            binding: candidate(&native, Role::Shadow, None),
            sample: 10_000,
        }),
        ..post(&candidate(
            &Native::locating(|_| Ok(None)),
            Role::Serving,
            None,
        ))
    };
    assert_eq!(post.locate(0, &Request::default()).await, Ok(None));
    let status = post.shadow.unwrap().binding.status().shadow.unwrap();
    let example = &status.examples[0];
    assert_eq!(
        (&*example.decided, &*example.candidate),
        ("no session", "route w1")
    );
}

#[tokio::test(start_paused = true)]
async fn shadow_of_a_rewriter_is_asked_for_its_sample_of_decisions() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let native = Native::rewriting(move || {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    for (sample, expected) in [(10_000, 100), (0, 0)] {
        calls.store(0, Ordering::SeqCst);
        let post = Post {
            shadow: Some(Shadow {
                binding: candidate(&native, Role::Shadow, None),
                sample,
            }),
            ..post(&candidate(
                &Native::rewriting(|| Ok(())),
                Role::Serving,
                None,
            ))
        };
        for _ in 0..100 {
            let planned = post.on_request(0, &Request::default()).await;
            assert!(planned.unwrap().is_some());
        }
        assert_eq!(calls.load(Ordering::SeqCst), expected);
        let status = post.shadow.unwrap().binding.status().shadow.unwrap();
        assert_eq!(status.agreed, u64::from(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_shadow_to_be_made() {
    let pool = pool(balancer(members("ab")));
    let mut selector = selector(&pool, &Native::byrequests());
    let mut parts = parts(&always(0), Some(&pool), &Arc::default());
    parts.role = Role::Shadow;
    let binding = asleep(parts, None);
    selector.chain[0].shadow = Some(Shadow {
        binding: Arc::clone(&binding),
        sample: 10_000,
    });
    assert_eq!(sequence(&selector, 3).await, "aba");
    // The first one found nobody and had it made.
    assert_eq!(binding.status().calls, 2);
}

#[tokio::test(start_paused = true)]
async fn canary_decides_for_its_share_until_it_is_promoted_or_undone() {
    let pool = pool(balancer(members("ab")));
    let mut selector = selector(&pool, &always(0));
    let binding = candidate(&always(1), Role::Canary, Some(&pool));
    selector.chain[0].canary = Some(Canary {
        binding: Arc::clone(&binding),
        share: 10_000,
        by: CanaryBy::Header("x-beta".into()),
        sessions: Arc::default(),
        promote_after: None,
    });
    assert_eq!(
        sequence(&selector, 3).await,
        "aaa",
        "nobody sent the header"
    );
    binding.set_canary_state(CanaryState::Promoted);
    assert_eq!(sequence(&selector, 3).await, "bbb");
    binding.set_canary_state(CanaryState::Undone);
    assert_eq!(sequence(&selector, 3).await, "aaa");
}

#[tokio::test(start_paused = true)]
async fn canary_that_fails_is_answered_for_by_the_one_it_would_replace() {
    let pool = pool(balancer(members("ab")));
    let mut selector = selector(&pool, &always(1));
    let bad = Native::picking("candidate", |_, _, _| Err(trap()));
    selector.chain[0].canary = Some(Canary {
        binding: candidate(&bad, Role::Canary, Some(&pool)),
        share: 10_000,
        by: CanaryBy::Client,
        sessions: Arc::default(),
        promote_after: None,
    });
    assert_eq!(sequence(&selector, 3).await, "bbb");
}

#[tokio::test(start_paused = true)]
async fn first_affinity_of_a_chain_that_finds_a_session_is_followed() {
    let found = Arc::new(AtomicBool::new(true));
    let first = Arc::clone(&found);
    let hold = |route: &str| {
        Some(Hold {
            pin: Pin::Route(route.into()),
            strict: false,
        })
    };
    let pool = pool(balancer(members("ab")));
    let mut selector = selector(&pool, &Native::byrequests());
    selector.affinity = [
        Native::locating(move |_| Ok(hold("b").filter(|_| first.load(Ordering::SeqCst)))),
        Native::locating(move |_| Ok(hold("a"))),
    ]
    .iter()
    .map(|native| post(&candidate(native, Role::Serving, None)))
    .collect();
    let pinned = async || {
        let session = selector.locate(0, &Request::default()).await;
        session.hold().cloned().unwrap().pin
    };
    assert_eq!(pinned().await, Pin::Route("b".into()));
    found.store(false, Ordering::SeqCst);
    assert_eq!(pinned().await, Pin::Route("a".into()));
    assert!(fresh(&selector).await.is_ok());
}

#[test]
fn session_is_looked_for_where_the_affinity_looks() {
    let native = Native::rewriting(|| Ok(()));
    let canary = Canary {
        binding: candidate(&native, Role::Canary, None),
        share: 5_000,
        by: CanaryBy::Session,
        sessions: [Trigger::PathParameter("sid".into())].into(),
        promote_after: None,
    };
    let takes = |value: &'static str| {
        canary.takes(&Request {
            parameters: vec![("sid", value)],
            ..Request::default()
        })
    };
    let names = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"];
    assert!(names.into_iter().any(takes) && !names.into_iter().all(takes));
}
