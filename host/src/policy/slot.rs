//! Where one instance of a policy sits, and how a caller gets its turn.

use std::{
    future::Future,
    hint,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, MutexGuard};

use super::{
    Fault, Instance,
    timing::{Sampler, Timing},
};
use crate::members::PoolMembers;

/// A call takes 150 ns to some microseconds, so its end is near; after this long the caller's
/// task waits instead, and its thread serves others.
const SPIN: Duration = Duration::from_micros(20);

/// The place of one instance. Empty from a fault until the rebuild.
pub(super) struct Slot {
    seat: Mutex<Seat>,
    pub timing: Timing,
}

/// What is guarded by a slot.
pub(super) struct Seat {
    pub instance: Option<Box<dyn Instance>>,
    /// Of the members it was told last; 0 = none yet.
    pub revision: u64,
    pub sampler: Sampler,
}

/// One caller's turn at an instance.
pub(super) struct Turn<'a> {
    pub instance: &'a mut dyn Instance,
    pub revision: &'a mut u64,
}

impl Turn<'_> {
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
    pub fn new(instance: Box<dyn Instance>) -> Self {
        Self {
            seat: Mutex::new(Seat {
                instance: Some(instance),
                revision: 0,
                sampler: Sampler::default(),
            }),
            timing: Timing::default(),
        }
    }

    /// The caller's turn, on a worker.
    pub async fn enter(&self) -> MutexGuard<'_, Seat> {
        if let Ok(seat) = self.seat.try_lock() {
            return seat;
        }
        // Real time, also where tests pause tokio's.
        let started = Instant::now();
        while started.elapsed() < SPIN {
            hint::spin_loop();
            if let Ok(seat) = self.seat.try_lock() {
                return seat;
            }
        }
        self.seat.lock().await
    }

    /// The caller's turn if nobody else has it.
    pub fn try_enter(&self) -> Option<MutexGuard<'_, Seat>> {
        self.seat.try_lock().ok()
    }

    /// The caller's turn, off the workers: blocks the thread.
    pub fn enter_blocking(&self) -> MutexGuard<'_, Seat> {
        wait_for(self.seat.lock())
    }
}

impl Seat {
    /// The turn of whoever holds the seat, if somebody sits there.
    pub fn turn(&mut self) -> Option<Turn<'_>> {
        self.turn_timed().map(|(turn, _)| turn)
    }

    /// Likewise, with what decides whether the call is timed.
    pub fn turn_timed(&mut self) -> Option<(Turn<'_>, &mut Sampler)> {
        let turn = Turn {
            instance: self.instance.as_deref_mut()?,
            revision: &mut self.revision,
        };
        Some((turn, &mut self.sampler))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until the future is ready. Tokio's own `blocking_lock` panics on a thread
/// that drives a runtime, and `control` may be called from such a one.
fn wait_for<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
