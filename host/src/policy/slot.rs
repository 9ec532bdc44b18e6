//! Where one instance of a policy sits, and how a caller gets its turn.

use std::{
    future::Future,
    hint,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, MutexGuard};

use super::{Fault, Instance};
use crate::members::PoolMembers;

/// A call takes 150 ns to some microseconds, so its end is near; after this long the caller's
/// task waits instead, and its thread serves others.
const SPIN: Duration = Duration::from_micros(20);

/// Every 64th call is timed: reading the clock twice costs half as much as a short call.
const SAMPLE: u64 = 64;

/// The place of one instance. Empty from a fault until the rebuild.
pub(super) struct Slot {
    seat: Mutex<Seat>,
    calls: AtomicU64,
    sampled_ns: AtomicU64,
}

/// What is guarded by a slot.
pub(super) struct Seat {
    pub instance: Option<Box<dyn Instance>>,
    /// Of the members it was told last; 0 = none yet.
    pub revision: u64,
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
            }),
            calls: AtomicU64::new(0),
            sampled_ns: AtomicU64::new(0),
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

    /// Counts a call and times it now and then.
    pub fn timed<T>(&self, call: impl FnOnce() -> T) -> T {
        if !self.calls.fetch_add(1, Relaxed).is_multiple_of(SAMPLE) {
            return call();
        }
        let started = Instant::now();
        let result = call();
        let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.sampled_ns.fetch_add(ns, Relaxed);
        result
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Time spent in all calls, estimated from the timed ones.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.sampled_ns.load(Relaxed).saturating_mul(SAMPLE))
    }
}

impl Seat {
    /// The turn of whoever holds the seat, if somebody sits there.
    pub fn turn(&mut self) -> Option<Turn<'_>> {
        let instance = self.instance.as_deref_mut()?;
        Some(Turn {
            instance,
            revision: &mut self.revision,
        })
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
