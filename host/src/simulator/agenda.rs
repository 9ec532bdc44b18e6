//! What is to happen when: the only thing that moves a scenario's clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    members::{Clock, HeldClock, Micros, locked},
    policy::{Background, Job, Lanes},
};

/// Jobs and sleepers by the time they are due, those of one time in the order they came.
pub(super) struct Agenda {
    held: HeldClock,
    clock: Clock,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_time: BTreeMap<(Micros, u64), Due>,
    /// The requests among them.
    asleep: BTreeSet<usize>,
    made: u64,
}

/// What is due.
pub(super) enum Due {
    /// A policy's tick, its feedback, its rebuilding.
    Job(Job),
    /// The request of this number goes on.
    Wake(usize),
}

impl Agenda {
    /// Nothing is due, and no time has passed.
    pub fn new() -> Arc<Self> {
        let held = HeldClock::new();
        Arc::new(Self {
            clock: held.clock(),
            held,
            entries: Mutex::default(),
        })
    }

    /// Reads the scenario's time.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What is due first, but not after `until`. Time moves there.
    pub fn next(&self, until: Micros) -> Option<Due> {
        let mut entries = locked(&self.entries);
        let first = entries.by_time.first_entry()?;
        let (at, _) = *first.key();
        if at > until {
            return None;
        }
        let due = first.remove();
        if let Due::Wake(request) = due {
            entries.asleep.remove(&request);
        }
        drop(entries);
        self.reach(at);
        Some(due)
    }

    /// Whether the request of this number sleeps.
    pub fn is_asleep(&self, request: usize) -> bool {
        locked(&self.entries).asleep.contains(&request)
    }

    /// Whether any request sleeps. Jobs alone may go on for ever: ticks do.
    pub fn is_awaited(&self) -> bool {
        !locked(&self.entries).asleep.is_empty()
    }

    /// Moves time forward to `at`, unless it is there already.
    pub fn reach(&self, at: Micros) {
        let left = at.saturating_sub(self.clock.now());
        self.held.advance(Duration::from_micros(left));
    }

    /// Ends when `time` has passed, for the request of this number.
    pub fn sleep(&self, request: usize, time: Duration) -> Sleep<'_> {
        let until = self.in_time(time);
        Sleep {
            agenda: self,
            request,
            until,
            noted: false,
        }
    }

    fn in_time(&self, time: Duration) -> Micros {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.clock.now().saturating_add(time)
    }

    fn note(&self, at: Micros, due: Due) {
        let mut entries = locked(&self.entries);
        entries.made += 1;
        let number = entries.made;
        if let Due::Wake(request) = due {
            entries.asleep.insert(request);
        }
        entries.by_time.insert((at, number), due);
    }
}

impl Background for Agenda {
    fn after(&self, delay: Duration, job: Job) {
        self.note(self.in_time(delay), Due::Job(job));
    }
}

/// All tenants do their slow work here.
pub(super) struct OneLane(pub Arc<Agenda>);

impl Lanes for OneLane {
    fn lane(&self, _: &str) -> Arc<dyn Background> {
        Arc::clone(&self.0) as Arc<dyn Background>
    }
}

/// A request that waits for a time.
pub(super) struct Sleep<'a> {
    agenda: &'a Agenda,
    request: usize,
    until: Micros,
    noted: bool,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.agenda.clock.now() >= self.until {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.noted, true) {
            self.agenda.note(self.until, Due::Wake(self.request));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_and_takes_time_along() {
        let agenda = Agenda::new();
        agenda.note(30, Due::Wake(3));
        agenda.note(10, Due::Wake(1));
        agenda.note(10, Due::Wake(2));
        let mut seen = Vec::new();
        while let Some(Due::Wake(request)) = agenda.next(20) {
            seen.push((request, agenda.clock().now()));
        }
        assert_eq!(seen, [(1, 10), (2, 10)]);
        agenda.reach(20);
        agenda.reach(15);
        assert_eq!(agenda.clock().now(), 20, "time does not go back");
    }
}
