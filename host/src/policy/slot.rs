//! Where one instance of a policy sits, and how a caller gets its turn.
//!
//! Nobody sits there before the first call and after a long time without one: a policy that
//! nobody asks costs no memory.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    Digest, Fault, Instance,
    lock::{Guard, Lock},
    timing::{Sampler, Timing, WaitCounters, Waits},
};
use crate::members::{Clock, Micros, PoolMembers, locked};

/// The place of one instance.
#[derive(Default)]
pub(super) struct Slot {
    seat: Lock<Seat>,
    pub timing: Timing,
    waits: WaitCounters,
    /// Somebody is seeing to it that an instance is made.
    waking: AtomicBool,
    /// Told when that came to an end, whichever.
    pub woken: Notify,
    /// What the next instance goes on from.
    saved: StdMutex<Option<Saved>>,
}

/// What instances knew: one state for each that could tell.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    /// Of the version they were of.
    pub digest: Digest,
    pub states: Arc<[Vec<u8>]>,
}

/// Who sits in a slot.
#[derive(Default)]
pub(super) enum Occupant {
    /// Nobody, because nobody asked yet or lately; the next call has an instance made.
    #[default]
    Asleep,
    /// An instance.
    Present(Box<dyn Instance>),
    /// Nobody from a fault until the rebuild; meanwhile the fallback answers.
    Lost,
}

/// Why an instance is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Nobody sat there yet.
    First,
    /// Who sat there was let go.
    Again,
    /// Who sat there failed.
    AfterFault,
}

/// What is guarded by a slot.
#[derive(Default)]
pub(super) struct Seat {
    pub occupant: Occupant,
    /// Of the members it was told last; 0 = none yet.
    pub revision: u64,
    pub sampler: Sampler,
    /// When its latest call was made.
    pub latest: Micros,
    /// Counts the occupants.
    pub tenure: u64,
}

/// One caller's turn at an instance.
pub(super) struct Turn<'a> {
    pub instance: &'a mut dyn Instance,
    pub revision: &'a mut u64,
    pub latest: &'a mut Micros,
}

impl Turn<'_> {
    /// The call's time. What tasks take for now was read some microseconds ago, and by each at another
    /// moment: an instance's time never runs backwards all the same.
    pub fn time(&mut self, clock: Clock) -> Micros {
        *self.latest = clock.now().max(*self.latest);
        *self.latest
    }

    /// Tells it the members, unless it knows them.
    pub fn know(&mut self, members: &PoolMembers) -> Result<(), Fault> {
        if *self.revision < members.revision {
            self.instance
                .members_changed(members.revision, &members.records)?;
            *self.revision = members.revision;
        }
        Ok(())
    }
}

impl Slot {
    /// The caller's turn, on a worker.
    pub async fn enter(&self) -> Guard<'_, Seat> {
        if let Some(seat) = self.seat.try_lock() {
            return seat;
        }
        let started = Instant::now();
        let seat = self.seat.lock().await;
        self.waits.add(started.elapsed());
        seat
    }

    /// How often and how long callers on workers waited for a turn.
    pub fn waits(&self) -> Waits {
        self.waits.so_far()
    }

    /// The caller's turn if nobody else has it.
    pub fn try_enter(&self) -> Option<Guard<'_, Seat>> {
        self.seat.try_lock()
    }

    /// The caller's turn, off the workers: blocks the thread.
    pub fn enter_blocking(&self) -> Guard<'_, Seat> {
        wait_until(self.seat.lock(), None).expect("it waits to the end")
    }

    /// Whether the caller is to have an instance made: nobody else is at it.
    pub fn begin_waking(&self) -> bool {
        !self.waking.swap(true, Ordering::AcqRel)
    }

    /// An instance was made, or could not be.
    pub fn end_waking(&self) {
        self.waking.store(false, Ordering::Release);
        self.woken.notify_waiters();
    }

    /// Likewise, if it comes before `until`.
    pub fn enter_until(&self, until: Instant) -> Option<Guard<'_, Seat>> {
        wait_until(self.seat.lock(), Some(until))
    }

    /// What the next instance goes on from.
    pub fn saved(&self) -> Option<Saved> {
        locked(&self.saved).clone()
    }

    pub fn save(&self, saved: Option<Saved>) {
        *locked(&self.saved) = saved;
    }
}

impl Seat {
    /// The turn of whoever holds the seat, if somebody sits there.
    pub fn turn(&mut self) -> Option<Turn<'_>> {
        self.turn_timed().map(|(turn, _)| turn)
    }

    /// Likewise, with what decides whether the call is timed.
    pub fn turn_timed(&mut self) -> Option<(Turn<'_>, &mut Sampler)> {
        let Occupant::Present(instance) = &mut self.occupant else {
            return None;
        };
        let turn = Turn {
            instance: instance.as_mut(),
            revision: &mut self.revision,
            latest: &mut self.latest,
        };
        Some((turn, &mut self.sampler))
    }

    /// Whether somebody sits there who knows older members than these.
    pub fn is_behind(&self, revision: u64) -> bool {
        self.revision < revision && matches!(self.occupant, Occupant::Present(_))
    }

    /// Why one is to be made, if there is none.
    pub fn start(&self) -> Option<Start> {
        match self.occupant {
            Occupant::Present(_) => None,
            Occupant::Lost => Some(Start::AfterFault),
            Occupant::Asleep if self.tenure == 0 => Some(Start::First),
            Occupant::Asleep => Some(Start::Again),
        }
    }

    pub fn is_asleep(&self) -> bool {
        matches!(self.occupant, Occupant::Asleep)
    }

    /// It failed. Dropped by the caller, which may take a while.
    pub fn lose(&mut self) -> Occupant {
        std::mem::replace(&mut self.occupant, Occupant::Lost)
    }

    /// Another instance sits down; returns the number of its tenure.
    pub fn seat(&mut self, instance: Box<dyn Instance>, revision: u64) -> u64 {
        self.occupant = Occupant::Present(instance);
        self.revision = revision;
        self.tenure += 1;
        self.tenure
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until the future is ready, or this moment has come. Tokio's own `blocking_lock`
/// panics on a thread that drives a runtime, and `control` may be called from such a one.
fn wait_until<F: Future>(future: F, until: Option<Instant>) -> Option<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => thread::park(),
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lock::SPIN, *};

    #[tokio::test]
    async fn a_wait_for_a_turn_is_counted_with_its_length() {
        let slot = Arc::new(Slot::default());
        drop(slot.enter().await);
        assert_eq!(slot.waits(), Waits::default());
        let held = slot.try_enter().unwrap();
        let waiting = tokio::spawn({
            let slot = Arc::clone(&slot);
            async move { drop(slot.enter().await) }
        });
        // Its first poll has spun in vain by the time that this task goes on.
        tokio::task::yield_now().await;
        drop(held);
        waiting.await.unwrap();
        let waits = slot.waits();
        assert_eq!(waits.count, 1);
        assert!(waits.time >= SPIN, "{waits:?}");
    }
}
