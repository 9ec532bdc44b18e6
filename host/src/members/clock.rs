//! Time, as the data plane reads it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Monotonic microseconds since the process's own epoch, cheap to store in atomics.
pub type Micros = u64;

/// Reads time. Copied into everything that needs it, so that all agree on the epoch.
///
/// It reads tokio's clock, which tests pause and advance.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock whose epoch is now.
    pub fn start() -> Self {
        Self {
            epoch: Instant::now(),
        }
    }

    /// Microseconds since the epoch, plus one: 0 is free to mean "never".
    pub fn now(&self) -> Micros {
        micros(self.epoch.elapsed()).saturating_add(1)
    }

    /// The instant of a reading, for timers.
    pub fn instant(&self, at: Micros) -> Instant {
        self.epoch + Duration::from_micros(at.saturating_sub(1).min(FAR))
    }

    /// Milliseconds since 1970.
    pub fn wall_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A century: what lies beyond it is never, and `Instant` must not overflow.
const FAR: Micros = 100 * 365 * 24 * 3_600 * 1_000_000;

/// A duration in microseconds, at most a century.
pub(crate) fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(FAR).min(FAR)
}
