//! What holds whatever a policy says and whatever happens, also between threads.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::advance;

use super::{
    Attempt, Chosen, Selector, Session,
    scene::{attempt, block, fresh, members, route, selector},
    testing::{Native, Request},
};
use crate::{
    decision::{Failure, Verdict},
    members::{
        Admission,
        testing::{balancer, id, member, pool},
    },
    snapshot::{Balancer, Member, Status},
};

#[derive(Debug, Clone)]
enum Event {
    Select {
        tried: Vec<usize>,
        pin: Option<usize>,
        trial_ok: bool,
    },
    Fail(usize),
    Answer(usize),
    Drop(usize),
    Status(usize, Status),
    Pass(u64),
}

fn event(members: usize) -> impl Strategy<Value = Event> {
    let status = prop_oneof![
        4 => Just(Status::Ok),
        1 => Just(Status::Draining),
        1 => Just(Status::Disabled),
        1 => Just(Status::Stopped),
        1 => Just(Status::Standby),
        1 => Just(Status::Spare),
    ];
    let tried = prop::collection::vec(0..members, 0..3);
    let pin = prop::option::of(0..members);
    prop_oneof![
        8 => (tried, pin, any::<bool>()).prop_map(|(tried, pin, trial_ok)| Event::Select { tried, pin, trial_ok }),
        3 => any::<usize>().prop_map(Event::Fail),
        3 => any::<usize>().prop_map(Event::Answer),
        2 => any::<usize>().prop_map(Event::Drop),
        2 => (0..members, status).prop_map(|(member, status)| Event::Status(member, status)),
        2 => (1..90_u64).prop_map(Event::Pass),
    ]
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

const NAMES: &str = "abcde";

proptest! {
    /// Whatever happens and whatever a policy says.
    #[test]
    fn nobody_unfit_is_ever_chosen_and_busy_returns_to_zero(
        verdicts in prop::collection::vec(0..8_u32, 1..20),
        force_recovery in any::<bool>(),
        events in prop::collection::vec(event(5), 1..120),
    ) {
        run(async {
            let mut config = balancer(members(NAMES));
            config.force_recovery = force_recovery;
            let pool = pool(config);
            let turn = AtomicUsize::new(0);
            let wild = Native::picking("wild", move |_, _, _| {
                let verdict = verdicts[turn.fetch_add(1, Ordering::Relaxed) % verdicts.len()];
                Ok(if verdict == 7 { Verdict::Abstain } else { Verdict::Member(verdict) })
            });
            let selector = selector(&pool, &[&wild]);
            let mut under_way: Vec<Chosen> = Vec::new();
            for event in events {
                match event {
                    Event::Select { tried, pin, trial_ok } => {
                        let tried: Vec<_> = tried.iter().map(|i| id(&NAMES[*i..=*i])).collect();
                        let request = Request::default();
                        let attempt = Attempt { trial_ok, ..attempt(&request, &tried) };
                        let session = pin.map_or_else(Session::default, |i| route(&NAMES[i..=i], false));
                        let now = pool.clock().now();
                        let admissions: HashMap<_, _> = pool.current().endpoints.iter()
                            .map(|e| (e.settings.id.clone(), e.live.admission(now)))
                            .collect();
                        if let Ok(chosen) = selector.select(attempt, &session).await {
                            let settings = chosen.in_flight.settings();
                            prop_assert!(!tried.contains(&settings.id));
                            prop_assert!(!matches!(settings.status, Status::Disabled | Status::Stopped));
                            prop_assert!(chosen.pinned || settings.status != Status::Draining);
                            let fit = admissions[&settings.id] == Admission::Admitting;
                            prop_assert!(fit || chosen.in_flight.is_trial() || force_recovery);
                            under_way.push(chosen);
                        }
                    }
                    Event::Fail(which) if !under_way.is_empty() => {
                        let chosen = under_way.swap_remove(which % under_way.len());
                        chosen.in_flight.failed(Failure::Refused, true);
                    }
                    Event::Answer(which) if !under_way.is_empty() => {
                        let chosen = &under_way[which % under_way.len()];
                        chosen.in_flight.answered(200, Duration::from_millis(1));
                    }
                    Event::Drop(which) if !under_way.is_empty() => {
                        drop(under_way.swap_remove(which % under_way.len()));
                    }
                    Event::Status(which, status) => {
                        let mut config = Balancer::clone(&pool.current().balancer);
                        Arc::make_mut(&mut config.members[which]).status = status;
                        pool.adopt(Arc::new(config));
                    }
                    Event::Pass(seconds) => advance(Duration::from_secs(seconds)).await,
                    Event::Fail(_) | Event::Answer(_) | Event::Drop(_) => {}
                }
                for endpoint in &pool.current().endpoints {
                    let trials = under_way.iter()
                        .filter(|c| c.in_flight.is_trial() && c.in_flight.settings().id == endpoint.settings.id);
                    let is_trial = endpoint.live.admission(pool.clock().now()) == Admission::Trial;
                    prop_assert!(!is_trial || trials.count() >= 1, "a trial is somebody's");
                    let busy = under_way.iter().filter(|c| c.in_flight.settings().id == endpoint.settings.id);
                    prop_assert_eq!(endpoint.live.busy() as usize, busy.count());
                }
            }
            under_way.clear();
            for endpoint in &pool.current().endpoints {
                prop_assert_eq!(endpoint.live.busy(), 0);
            }
            Ok(())
        })?;
    }

    #[test]
    fn shares_converge_to_the_weights(weights in prop::collection::vec(100..1_000_u32, 1..6)) {
        run(async {
            let list = weights.iter().zip(NAMES.chars()).map(|(weight, name)| Member {
                weight: *weight,
                ..member(&name.to_string())
            });
            let pool = pool(balancer(list));
            let selector = selector(&pool, &[&Native::byrequests()]);
            let total: u32 = weights.iter().sum();
            let rounds = 500_u32;
            for _ in 0..rounds {
                drop(fresh(&selector).await.unwrap());
            }
            for (weight, endpoint) in weights.iter().zip(&pool.current().endpoints) {
                let due = f64::from(rounds) * f64::from(*weight) / f64::from(total);
                let off = (endpoint.live.elected() as f64 - due).abs();
                // A smooth schedule is never further off than the number of members.
                prop_assert!(off <= weights.len() as f64, "{} of {due}", endpoint.live.elected());
            }
            Ok(())
        })?;
    }
}

fn threads(
    selector: &Arc<Selector>,
    work: impl Fn(usize, &tokio::runtime::Runtime, &Selector) + Send + Sync + 'static,
) {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..2)
        .map(|worker| {
            let (selector, work) = (Arc::clone(selector), Arc::clone(&work));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                work(worker, &runtime.unwrap(), &selector);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn from_worker<'a>(worker: usize, request: &'a Request) -> Attempt<'a, Request> {
    Attempt {
        worker,
        ..attempt(request, &[])
    }
}

#[test]
fn one_trial_at_a_time_between_threads() {
    let mut list = members("ab");
    list[0].retry = Duration::ZERO;
    let pool = pool(balancer(list));
    let selector = Arc::new(selector(&pool, &[&Native::byrequests()]));
    block(&pool, 0);
    let (now, trials) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&trials);
    threads(&selector, move |worker, runtime, selector| {
        for _ in 0..3_000 {
            let request = Request::default();
            let session = Session::default();
            let chosen = runtime
                .block_on(selector.select(from_worker(worker, &request), &session))
                .unwrap();
            if chosen.in_flight.is_trial() {
                assert_eq!(now.fetch_add(1, Ordering::SeqCst), 0);
                trials.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                chosen.in_flight.failed(Failure::Refused, true);
            } else {
                assert_eq!(chosen.in_flight.settings().route, "b");
            }
        }
    });
    assert!(counted.load(Ordering::SeqCst) > 0);
}

#[test]
fn exclusive_schedule_is_exact_between_threads() {
    let mut list = members("abc");
    list[1].weight = 200;
    list[2].weight = 300;
    let pool = pool(balancer(list));
    let selector = Arc::new(selector(&pool, &[&Native::byrequests()]));
    threads(&selector, |worker, runtime, selector| {
        for _ in 0..6_000 {
            let (request, session) = (Request::default(), Session::default());
            drop(
                runtime
                    .block_on(selector.select(from_worker(worker, &request), &session))
                    .unwrap(),
            );
        }
    });
    let elected: Vec<_> = pool
        .current()
        .endpoints
        .iter()
        .map(|e| e.live.elected())
        .collect();
    assert_eq!(elected, [2_000, 4_000, 6_000]);
    assert_eq!(selector.chain[0].status().calls, 12_000);
    assert!(pool.current().endpoints.iter().all(|e| e.live.busy() == 0));
}
