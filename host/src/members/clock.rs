//! Time, as the data plane reads it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, UNIX_EPOCH},
};

use tokio::time::Instant;

use super::moment;

/// Monotonic microseconds since the process's own epoch, cheap to store in atomics.
pub type Micros = u64;

/// Reads time. Copied into everything that needs it, so that all agree on the epoch.
///
/// It reads tokio's clock, which tests pause and advance; or a [`HeldClock`], which moves only
/// when it is told to.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
    held: Option<&'static AtomicU64>,
}

/// The time of a simulation. What it shows is the same at every run.
#[derive(Debug)]
pub struct HeldClock {
    passed: &'static AtomicU64,
}

/// 2026-01-01T00:00:00Z, milliseconds since 1970: where the calendar of a held clock begins.
const HELD_SINCE_MS: u64 = 1_767_225_600_000;

impl HeldClock {
    /// A clock that stands still at its epoch. Its eight bytes stay for as long as the process does, since
    /// everything that reads time has its own copy of [`Clock`].
    pub fn new() -> Self {
        Self {
            passed: Box::leak(Box::default()),
        }
    }

    /// Reads this time.
    pub fn clock(&self) -> Clock {
        Clock {
            epoch: Instant::now(),
            held: Some(self.passed),
        }
    }

    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        let passed = self.passed.load(Relaxed).saturating_add(micros(by));
        self.passed.store(passed.min(FAR), Relaxed);
    }
}

impl Default for HeldClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl Clock {
    /// A clock whose epoch is now.
    pub fn start() -> Self {
        Self {
            epoch: Instant::now(),
            held: None,
        }
    }

    /// Microseconds since the epoch, plus one: 0 is free to mean "never".
    pub fn now(&self) -> Micros {
        let passed = match self.held {
            None => micros(moment::now().saturating_duration_since(self.epoch)),
            Some(held) => held.load(Relaxed),
        };
        passed.saturating_add(1)
    }

    /// The instant of a reading, for timers.
    pub fn instant(&self, at: Micros) -> Instant {
        self.epoch + Duration::from_micros(at.saturating_sub(1).min(FAR))
    }

    /// Milliseconds since 1970 as policies see them.
    pub fn calendar_ms(&self) -> u64 {
        match self.held {
            None => Self::wall_ms(),
            Some(held) => HELD_SINCE_MS + held.load(Relaxed) / 1_000,
        }
    }

    /// Milliseconds since 1970.
    pub fn wall_ms() -> u64 {
        let since = moment::calendar().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A century: what lies beyond it is never, and `Instant` must not overflow.
const FAR: Micros = 100 * 365 * 24 * 3_600 * 1_000_000;

/// A duration in microseconds, at most a century.
pub(crate) fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(FAR).min(FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_it_is_told_to() {
        let held = HeldClock::new();
        let clock = held.clock();
        assert_eq!((clock.now(), clock.calendar_ms()), (1, HELD_SINCE_MS));
        held.advance(Duration::from_millis(1_500));
        assert_eq!(
            (clock.now(), clock.calendar_ms()),
            (1_500_001, HELD_SINCE_MS + 1_500)
        );
        held.advance(Duration::MAX);
        assert_eq!(clock.now(), FAR + 1, "never beyond what instants can hold");
    }
}
