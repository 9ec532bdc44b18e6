//! Permits and idle connections under contention.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::{
    task::yield_now,
    time::{Instant, advance},
};

use super::{Connections, Full, Kept, Lease, Permit, signal::Signal, testing::member};
use crate::snapshot::Member;

/// Stands in for an idle connection.
#[derive(Debug)]
struct Plug {
    permit: Permit,
    since: Instant,
}

impl Kept for Plug {
    fn into_permit(self) -> Permit {
        self.permit
    }

    fn idle_since(&self) -> Instant {
        self.since
    }
}

fn connections(limit: u32) -> Connections<Plug> {
    Connections::new(2, Some(limit), Arc::new(Signal::default()))
}

fn settings() -> Member {
    member("a")
}

fn open(lease: Lease<Plug>) -> Permit {
    match lease {
        Lease::Open(permit) => permit,
        Lease::Kept(plug) => panic!("kept since {:?}", plug.since),
    }
}

fn plug(permit: Permit) -> Plug {
    let since = Instant::now();
    Plug { permit, since }
}

#[tokio::test(start_paused = true)]
async fn worker_gets_its_own_connection_back_and_another_only_the_permit() {
    let connections = connections(1);
    let permit = open(connections.acquire(0, &settings()).await.unwrap());
    connections.put(0, plug(permit));
    let again = connections.acquire(0, &settings()).await.unwrap();
    assert!(matches!(again, Lease::Kept(_)));
    let Lease::Kept(kept) = again else { return };
    connections.put(0, kept);
    let stolen = connections.acquire(1, &settings()).await.unwrap();
    assert!(matches!(stolen, Lease::Open(_)));
    assert_eq!((connections.idle(), connections.open()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn fresh_connection_may_cost_an_idle_one_of_its_own() {
    let connections = connections(1);
    let permit = open(connections.acquire(0, &settings()).await.unwrap());
    connections.put(0, plug(permit));
    let _permit = connections.acquire_fresh(0, &settings()).await.unwrap();
    assert_eq!((connections.idle(), connections.open()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn waiter_gives_up_after_the_acquire_timeout() {
    let connections = connections(1);
    let _busy = open(connections.acquire(0, &settings()).await.unwrap());
    let started = Instant::now();
    let full = connections.acquire(1, &settings()).await.unwrap_err();
    assert_eq!(
        full,
        Full {
            max: 1,
            waited: Duration::from_secs(1)
        }
    );
    assert_eq!(started.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_line_by_permits_and_by_idle_connections() {
    let connections = Arc::new(connections(1));
    let busy = open(connections.acquire(0, &settings()).await.unwrap());
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for name in 0..4 {
        let (connections, order) = (Arc::clone(&connections), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let lease = connections.acquire(name % 2, &settings()).await.unwrap();
            order.lock().unwrap().push(name);
            let permit = match lease {
                Lease::Open(permit) => permit,
                Lease::Kept(plug) => plug.permit,
            };
            if name == 1 {
                drop(permit);
            } else {
                connections.put(name % 2, plug(permit));
            }
        }));
        yield_now().await;
    }
    connections.put(0, plug(busy));
    // Nobody overtakes the line, although a connection is idle now.
    assert!(connections.acquire(0, &settings()).await.is_ok());
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
    assert_eq!(connections.open(), 0, "the late one dropped what it got");
}

#[tokio::test(start_paused = true)]
async fn permit_freed_before_the_last_waiter_ran_wakes_the_next_one() {
    let connections = Arc::new(connections(2));
    let first = open(connections.acquire(0, &settings()).await.unwrap());
    let second = open(connections.acquire(0, &settings()).await.unwrap());
    let waiter = |worker| {
        let connections = Arc::clone(&connections);
        tokio::spawn(async move { connections.acquire(worker, &settings()).await.map(open) })
    };
    let started = Instant::now();
    let one = waiter(0);
    yield_now().await;
    // Wakes the first waiter, which runs only after the second has joined the line.
    drop(first);
    let settings = settings();
    let mut two = std::pin::pin!(connections.acquire(1, &settings));
    assert!(poll_once(two.as_mut()).is_none());
    drop(second);
    let (_one, _two) = (one.await.unwrap().unwrap(), two.await.unwrap());
    assert_eq!(started.elapsed(), Duration::ZERO);
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn waiter_that_leaves_passes_its_turn_on() {
    let connections = Arc::new(connections(1));
    let busy = open(connections.acquire(0, &settings()).await.unwrap());
    let waiter = |worker| {
        let connections = Arc::clone(&connections);
        tokio::spawn(async move { connections.acquire(worker, &settings()).await.map(open) })
    };
    let first = waiter(0);
    yield_now().await;
    let second = waiter(1);
    yield_now().await;
    first.abort();
    drop(busy);
    assert!(second.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn lowered_limit_shrinks_as_connections_end_and_raised_limit_lets_waiters_in() {
    let connections = Arc::new(connections(2));
    let first = open(connections.acquire(0, &settings()).await.unwrap());
    let second = open(connections.acquire(0, &settings()).await.unwrap());
    connections.set_limit(Some(1));
    connections.put(0, plug(second));
    assert_eq!(
        (connections.open(), connections.idle()),
        (1, 0),
        "one too many is not kept"
    );
    let waiter = {
        let connections = Arc::clone(&connections);
        tokio::spawn(async move { connections.acquire(1, &settings()).await.map(open) })
    };
    yield_now().await;
    connections.set_limit(None);
    assert!(waiter.await.unwrap().is_ok());
    drop(first);
    assert_eq!(connections.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn expired_connections_give_their_permits_back() {
    let connections = connections(1);
    let permit = open(connections.acquire(0, &settings()).await.unwrap());
    connections.put(0, plug(permit));
    advance(Duration::from_secs(61)).await;
    assert_eq!(
        connections.expire(Instant::now(), Duration::from_secs(60)),
        1
    );
    assert_eq!(connections.open(), 0);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Acquire(usize),
    Fresh(usize),
    Keep(usize),
    Close,
    Limit(u32),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Step::Acquire),
        1 => (0..2_usize).prop_map(Step::Fresh),
        3 => (0..2_usize).prop_map(Step::Keep),
        2 => Just(Step::Close),
        1 => (1..5_u32).prop_map(Step::Limit),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn permits_never_exceed_the_limit_they_were_taken_under(
        limit in 1..5_u32,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let connections = connections(limit);
            let mut settings = settings();
            settings.acquire_timeout = Duration::ZERO;
            let (mut limit, mut held) = (limit, Vec::new());
            for step in steps {
                let before = connections.open();
                match step {
                    Step::Acquire(worker) => match connections.acquire(worker, &settings).await {
                        Ok(Lease::Open(permit)) => held.push(permit),
                        Ok(Lease::Kept(plug)) => held.push(plug.permit),
                        Err(_) => prop_assert!(held.len() as u32 >= limit, "refused though not full"),
                    },
                    Step::Fresh(worker) => held.extend(connections.acquire_fresh(worker, &settings).await),
                    Step::Keep(worker) => held.pop().into_iter().for_each(|permit| {
                        connections.put(worker, plug(permit));
                    }),
                    Step::Close => drop(held.pop()),
                    Step::Limit(new) => {
                        limit = new;
                        connections.set_limit(Some(new));
                    }
                    Step::Expire => {
                        connections.close_idle();
                    }
                }
                let open = connections.open();
                prop_assert!(open <= limit || open <= before);
                prop_assert_eq!(open as usize, held.len() + connections.idle());
                prop_assert_eq!(connections.is_full(), open >= limit && connections.idle() == 0);
            }
            held.clear();
            connections.close_idle();
            prop_assert_eq!(connections.open(), 0);
            Ok(())
        })?;
    }
}

#[test]
fn permits_hold_between_threads() {
    const LIMIT: u32 = 3;
    let connections = Arc::new(connections(LIMIT));
    let (busy, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let threads: Vec<_> = (0..2)
        .map(|worker| {
            let (connections, busy, most) = (
                Arc::clone(&connections),
                Arc::clone(&busy),
                Arc::clone(&most),
            );
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                let tasks = tokio::task::LocalSet::new();
                for task in 0..8 {
                    let (connections, busy, most) = (
                        Arc::clone(&connections),
                        Arc::clone(&busy),
                        Arc::clone(&most),
                    );
                    tasks.spawn_local(async move {
                        let mut settings = settings();
                        settings.acquire_timeout = Duration::from_secs(60);
                        for round in 0..500 {
                            let permit = match connections.acquire(worker, &settings).await.unwrap()
                            {
                                Lease::Open(permit) => permit,
                                Lease::Kept(plug) => plug.permit,
                            };
                            let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            yield_now().await;
                            busy.fetch_sub(1, Ordering::SeqCst);
                            if (round + task) % 5 != 0 {
                                connections.put(worker, plug(permit));
                            }
                        }
                    });
                }
                runtime.block_on(tasks);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    connections.close_idle();
    assert_eq!(connections.open(), 0);
}
