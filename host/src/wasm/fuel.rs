//! Instructions in place of time.
//!
//! A gateway ends a call by the processor time that it took, which differs from run
//! to run. A simulation must not: its engine counts instructions, and a deadline is
//! a number of them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use wasmtime::Trap;

/// Units in a microsecond. A unit is about one WebAssembly instruction; compiled policies were measured to
/// run one to three of them in a nanosecond.
const PER_MICROSECOND: u64 = 2_000;

/// What calls cost where an engine counts it. One thread calls, and reads this after each call.
#[derive(Debug, Default)]
pub struct Fuel {
    last: AtomicU64,
}

impl Fuel {
    /// What the latest call of any instance took.
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    pub(super) fn spent(&self, units: u64) {
        self.last.store(units, Relaxed);
    }
}

/// What a call may take that has this much time in a gateway.
pub fn of(deadline: Duration) -> u64 {
    let microseconds = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX);
    microseconds.saturating_mul(PER_MICROSECOND)
}

/// Whether a call ended for want of it.
pub(super) fn is_out(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref(), Some(Trap::OutOfFuel))
}
