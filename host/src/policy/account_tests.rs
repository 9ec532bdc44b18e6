//! What is done off the workers, and on whose account.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    Allowance, Background, BindingParts, Job,
    asking::Unanswered,
    slot::{Occupant, Seat},
    testing::{Later, Native, asleep, in_service, parts},
};
use crate::{
    decision::{Concurrency, Failure, Outcome},
    members::{
        Clock, locked,
        testing::{balancer, member, pool},
    },
};

/// A tenant's thread that does nothing until it is told to.
#[derive(Default)]
struct Held {
    jobs: Mutex<Vec<Job>>,
    running: Mutex<bool>,
}

impl Background for Held {
    fn after(&self, delay: Duration, job: Job) {
        match (delay.is_zero(), *locked(&self.running)) {
            (true, false) => locked(&self.jobs).push(job),
            (true, true) => job(),
            // Looks after instances, which are none of these tests' concern.
            (false, _) => {}
        }
    }
}

impl Held {
    fn run(&self) -> usize {
        *locked(&self.running) = true;
        let jobs = std::mem::take(&mut *locked(&self.jobs));
        let count = jobs.len();
        jobs.into_iter().for_each(|job| job());
        *locked(&self.running) = false;
        count
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_told_on_the_tenants_thread_before_the_next_decision() {
    let pool = pool(balancer([member("a"), member("b")]));
    let native = Native {
        concurrency: Concurrency::Exclusive,
        ..Native::byrequests()
    };
    let held = Arc::new(Held::default());
    let parts = BindingParts {
        background: Arc::clone(&held) as Arc<dyn Background>,
        ..parts(&native, Some(&pool), &Arc::default())
    };
    let binding = in_service(parts, None);
    held.run();
    let known = native.logged().len();
    // Nobody's reload waits for it …
    pool.adopt(Arc::new(balancer([member("a"), member("c")])));
    assert_eq!(native.logged().len(), known, "not told by who changed them");
    // … and no worker is held up by it: the decision waits as a task.
    let mut asked = pin!(binding.call(0, "pick", |turn| Ok(*turn.revision)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(asked.as_mut().poll(&mut context).is_pending());
    assert_eq!(native.logged().len(), known, "not told on the worker");
    assert_eq!(held.run(), 2, "one was told to, and the other asked for it");
    let Poll::Ready(Ok(revision)) = asked.as_mut().poll(&mut context) else {
        panic!("it was told, and can decide");
    };
    assert_eq!(revision, pool.revision());
    assert_eq!(native.logged()[known..], [format!("members {revision}")]);
    // The next one waits for nobody.
    let mut asked = pin!(binding.call(0, "pick", |_| Ok::<_, super::Fault>(())));
    let ready = asked.as_mut().poll(&mut context);
    assert_eq!(ready, Poll::Ready(Ok::<(), Unanswered>(())));
}

#[tokio::test(start_paused = true)]
async fn starts_are_charged_and_the_first_leads_into_no_debt() {
    let native = Native {
        concurrency: Concurrency::Exclusive,
        ..Native::rewriting(|| Ok(()))
    };
    // Whatever a start takes is more than that holds, and more than may be owed.
    let rate = Some(Duration::from_nanos(1));
    let allowance = Arc::new(Allowance::new(Clock::start(), rate));
    let parts = BindingParts {
        allowance: Some(Arc::clone(&allowance)),
        ..parts(&native, None, &Arc::default())
    };
    let binding = asleep(parts, None);
    binding.make(0);
    let first = allowance.used();
    assert!(first > Duration::ZERO);
    assert!(!allowance.is_spent(), "the first start");
    type Empty = fn(&mut Seat) -> Occupant;
    let empties: [(Empty, &str); 2] = [
        (|seat| seat.lose(), "a rebuild after a fault"),
        (|seat| std::mem::take(&mut seat.occupant), "after idleness"),
    ];
    for (empty, what) in empties {
        allowance.set(None);
        allowance.set(rate);
        let before = allowance.used();
        drop(empty(&mut binding.slots[0].enter_blocking()));
        binding.make(0);
        assert_eq!(binding.status().instances, 1, "{what}");
        assert!(allowance.used() > before, "{what}");
        assert!(allowance.is_spent(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_and_outcomes_cost_cpu_time_and_wait_for_it() {
    let mut native = Native::rewriting(|| Ok(()));
    (native.exports.ticker, native.exports.observer) = (true, true);
    native.tick_ms = 50;
    native.concurrency = Concurrency::Exclusive;
    let later = Arc::new(Later::default());
    let allowance = Arc::new(Allowance::new(Clock::start(), Some(Duration::from_secs(1))));
    let parts = BindingParts {
        allowance: Some(Arc::clone(&allowance)),
        ..parts(&native, None, &later)
    };
    let binding = in_service(parts, None);
    let outcome = Outcome::unanswered((1, 0), Failure::None, Duration::ZERO);
    binding.observe(outcome);
    later.run();
    let told = || native.logged()[1..].join(", ");
    assert_eq!(told(), "tick, completed 1");
    let used = allowance.used();
    assert!(used > Duration::ZERO, "both were charged");
    allowance.charge(Duration::from_secs(3));
    binding.observe(outcome);
    later.run();
    assert_eq!(
        told(),
        "tick, completed 1",
        "its tenant has used up its time"
    );
    allowance.set(None);
    later.run();
    assert_eq!(told(), "tick, completed 1, tick, completed 1");
}
