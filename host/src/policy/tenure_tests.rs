//! When instances are made, saved and let go, and on which thread they are asked.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    Allowance, Background, Binding, FaultKind, Lanes, TenantThreads, cpu,
    testing::{Later, Native, Request, asleep, limits, parts, post, trap},
};
use crate::{
    decision::{Concurrency, Verdict},
    members::{
        Clock, Pool, locked,
        testing::{balancer, member, pool},
    },
};

fn two_members() -> Arc<Pool> {
    pool(balancer([member("a"), member("b")]))
}

fn rewriter() -> Native {
    Native {
        concurrency: Concurrency::Exclusive,
        ..Native::rewriting(|| Ok(()))
    }
}

/// One with a state, and with a switch that makes it fail.
fn stateful() -> (Native, Arc<AtomicBool>) {
    let failing = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&failing);
    let mut native = Native::rewriting(move || match failing.load(Ordering::SeqCst) {
        true => Err(trap()),
        false => Ok(()),
    });
    native.concurrency = Concurrency::Exclusive;
    native.exports.handoff = true;
    (native, switch)
}

async fn asked(binding: &Arc<Binding>) -> bool {
    let answered = post(binding);
    let answered = answered.on_request(0, &Request::default()).await;
    answered.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn instances_are_made_for_the_first_call_of_each_worker() {
    let native = Native::rewriting(|| Ok(()));
    let binding = asleep(parts(&native, None, &Arc::default()), None);
    assert_eq!(native.logged().len(), 0);
    assert_eq!(binding.status().instances, 0);
    assert!(asked(&binding).await && asked(&binding).await);
    assert_eq!(native.logged(), ["init 0/2"]);
    assert_eq!(binding.status().instances, 1);
}

#[tokio::test(start_paused = true)]
async fn instance_that_cannot_be_made_is_a_fault_and_tried_again() {
    let mut native = rewriter();
    native.instances = Arc::new(AtomicU32::new(0));
    let later = Arc::new(Later::default());
    let binding = asleep(parts(&native, None, &later), None);
    assert!(!asked(&binding).await);
    let status = binding.status();
    assert_eq!((status.all_faults(), status.fallbacks), (1, 1));
    assert_eq!(status.faults[FaultKind::Trap as usize], 1);
    native.instances.store(1, Ordering::SeqCst);
    assert_eq!(later.run(), [Duration::from_millis(10)]);
    assert!(asked(&binding).await);
}

#[tokio::test(start_paused = true)]
async fn idle_instance_is_let_go_and_the_next_call_makes_another() {
    let native = rewriter();
    let later = Arc::new(Later::default());
    let binding = asleep(parts(&native, None, &later), None);
    assert!(asked(&binding).await && asked(&binding).await);
    assert_eq!(later.look(), [limits().idle]);
    assert_eq!(binding.status().instances, 1, "it was asked meanwhile");
    later.look();
    assert_eq!(binding.status().instances, 0);
    assert_eq!(later.look(), [], "nobody is there to be looked after");
    assert!(asked(&binding).await);
    assert_eq!(native.logged(), ["init 0/1", "init 0/1"]);
}

#[tokio::test(start_paused = true)]
async fn state_is_saved_after_calls_and_lost_neither_by_a_trap_nor_by_idleness() {
    let (native, failing) = stateful();
    let later = Arc::new(Later::default());
    let binding = asleep(parts(&native, None, &later), None);
    assert!(asked(&binding).await);
    later.look();
    later.look();
    assert_eq!(native.logged(), ["init 0/1", "save"]);
    failing.store(true, Ordering::SeqCst);
    assert!(!asked(&binding).await);
    failing.store(false, Ordering::SeqCst);
    later.run();
    assert_eq!(native.logged()[2..], ["init 0/1", "restore 1"]);
    // 600 s of silence at one look in 10 s, and the look that began before the trap.
    for _ in 0..=60 {
        later.look();
    }
    assert_eq!(binding.status().instances, 0);
    assert!(asked(&binding).await);
    let logged = native.logged();
    assert_eq!(
        logged[logged.len() - 3..],
        ["save", "init 0/1", "restore 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn successor_is_awake_where_its_predecessor_was_and_inherits_either_way() {
    for (awake, expected) in [(true, &["init 0/1", "restore 1"][..]), (false, &[])] {
        let (old, _) = stateful();
        let later = Arc::new(Later::default());
        let before = asleep(parts(&old, None, &later), None);
        assert!(asked(&before).await && asked(&before).await);
        if !awake {
            for _ in 0..=61 {
                later.look();
            }
        }
        let new = Native {
            digest: 9,
            log: Arc::default(),
            ..old.clone()
        };
        let after = asleep(parts(&new, None, &later), Some(&before));
        assert_eq!(new.logged(), expected);
        assert!(asked(&after).await);
        assert_eq!(new.logged(), ["init 0/1", "restore 1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn instance_that_cannot_be_saved_is_replaced_and_not_asked_to_again() {
    let (mut native, _) = stateful();
    native.mute = true;
    let later = Arc::new(Later::default());
    let binding = asleep(parts(&native, None, &later), None);
    assert!(asked(&binding).await);
    later.look();
    assert!(asked(&binding).await);
    later.look();
    assert!(asked(&binding).await, "replaced at once");
    for _ in 0..10 {
        later.look();
        assert!(asked(&binding).await);
    }
    let saves = native.logged().iter().filter(|l| *l == "save").count();
    assert_eq!((saves, binding.status().all_faults()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn tenant_without_cpu_time_gets_the_fallback_until_it_has_some() {
    let tenth = Duration::from_millis(100);
    let allowance = Arc::new(Allowance::new(Clock::start(), Some(tenth)));
    let mut parts = parts(&rewriter(), None, &Arc::default());
    parts.allowance = Some(Arc::clone(&allowance));
    let binding = asleep(parts, None);
    assert!(asked(&binding).await);
    allowance.charge(2 * tenth);
    assert!(!asked(&binding).await);
    let status = binding.status();
    assert_eq!((status.throttled, status.fallbacks), (1, 1));
    assert_eq!(status.all_faults(), 0, "nothing is held against it");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(asked(&binding).await);
    assert!(allowance.used() > 2 * tenth, "its own calls are charged");
}

#[tokio::test]
async fn calls_of_a_slow_policy_run_on_its_tenants_thread_and_see_the_same() {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&threads);
    let native = Native::rewriting(move || {
        let began = cpu::thread_time();
        while cpu::thread_time() - began < Duration::from_micros(150) {}
        let name = thread::current().name().unwrap_or_default().to_owned();
        locked(&names).push(name);
        Ok(())
    });
    let mut parts = parts(&native, None, &Arc::default());
    parts.background = TenantThreads::default().lane("acme");
    let binding = asleep(parts, None);
    for _ in 0..4 {
        assert!(asked(&binding).await);
    }
    let threads = locked(&threads);
    assert_ne!(threads[0], "policy acme");
    assert_eq!(threads[2..], ["policy acme", "policy acme"]);
    assert!(binding.status().slow);
}

#[tokio::test]
async fn slow_balancer_is_asked_with_the_request_and_the_members_tried() {
    let pool = two_members();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let native = Native::picking("p", move |call, attempt, _| {
        let began = cpu::thread_time();
        while cpu::thread_time() - began < Duration::from_micros(150) {}
        let request = call.request.unwrap();
        let header = request.header("x-a").map(<[u8]>::to_vec);
        locked(&note).push((header, request.tried().to_vec(), attempt));
        Ok(Verdict::Member(1))
    });
    let mut parts = parts(&native, Some(&pool), &Arc::default());
    let lane: Arc<dyn Background> = TenantThreads::default().lane("acme");
    parts.background = lane;
    let selector = super::Selector {
        pool: Arc::clone(&pool),
        chain: vec![asleep(parts, None).into()],
        affinity: Vec::new(),
        last_resort: None,
    };
    let request = Request {
        headers: vec![("x-a", "1")],
        ..Request::default()
    };
    let tried = [pool.current().endpoints[0].settings.id.clone()];
    for _ in 0..4 {
        let attempt = super::Attempt {
            worker: 0,
            request: &request,
            number: 1,
            tried: &tried,
            trial_ok: false,
        };
        let chosen = selector.select(attempt, &super::Session::default()).await;
        assert_eq!(chosen.unwrap().in_flight.settings().id.to_string(), "b");
    }
    let seen = locked(&seen);
    assert_eq!(seen.len(), 4);
    let same = (Some(b"1".to_vec()), vec![0], 1);
    assert!(seen.iter().all(|one| *one == same), "{seen:?}");
    assert!(selector.chain[0].is_slow(0));
}

#[tokio::test(start_paused = true)]
async fn successor_waits_for_no_instance_that_is_busy_and_goes_on_from_what_it_saved_last() {
    let (native, _) = stateful();
    let later = Arc::new(Later::default());
    let binding = asleep(parts(&native, None, &later), None);
    assert!(asked(&binding).await);
    later.look();
    assert_eq!(native.logged(), ["init 0/1", "save"]);
    // Its tenant's thread is in there, for as long as it likes.
    let busy = binding.slots[0].enter_blocking();
    let (heir, _) = stateful();
    let heir = Native { digest: 9, ..heir };
    let successor = asleep(parts(&heir, None, &later), Some(&binding));
    assert_eq!(native.logged(), ["init 0/1", "save"], "not asked");
    assert_eq!(heir.logged(), ["init 0/1", "restore 1"]);
    assert_eq!(successor.status().instances, 1);
    drop(busy);
}
