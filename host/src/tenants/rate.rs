//! Requests a second, with bursts of one second's worth.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::members::Micros;

const SECOND: u64 = 1_000_000_000;

/// A bucket that is kept as one number: the time at which it will be empty again (GCRA). What
/// comes adds the time that a request is worth; who would be more than a second ahead must wait.
///
///   2 a second, each worth 0.5 s | t=0: empty at 0.5 | t=0: empty at 1.0 | t=0: 1.5 is too far ahead
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Nanoseconds that one request is worth; 0 = nothing.
    worth: AtomicU64,
    /// Nanoseconds since the clock's epoch.
    empty_at: AtomicU64,
}

impl Rate {
    /// So many a second from now on; `None` = as many as come.
    pub fn set(&self, a_second: Option<u32>) {
        let worth = a_second.map_or(0, |n| SECOND / u64::from(n.max(1)));
        self.worth.store(worth, Relaxed);
    }

    /// Counts one; or after how many seconds one may come.
    pub fn take(&self, now: Micros) -> Result<(), u32> {
        let worth = self.worth.load(Relaxed);
        if worth == 0 {
            return Ok(());
        }
        let now = now.saturating_mul(1_000);
        let mut wait = 0;
        let next = |empty_at: u64| {
            let next = empty_at.max(now) + worth;
            wait = (next - now).saturating_sub(SECOND);
            (wait == 0).then_some(next)
        };
        match self.empty_at.fetch_update(Relaxed, Relaxed, next) {
            Ok(_) => Ok(()),
            Err(_) => Err(u32::try_from(wait.div_ceil(SECOND)).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROS: Micros = 1_000_000;

    #[test]
    fn a_burst_is_one_seconds_worth_and_then_it_is_the_rate() {
        let rate = Rate::default();
        rate.set(Some(10));
        let take =
            |now: Micros, wanted: u32| (0..wanted).filter(|_| rate.take(now).is_ok()).count();
        assert_eq!(take(5 * MICROS, 100), 10);
        assert_eq!(rate.take(5 * MICROS), Err(1));
        assert_eq!(take(5 * MICROS + MICROS / 2, 100), 5);
        assert_eq!(
            take(60 * MICROS, 100),
            10,
            "nothing is saved up beyond a second"
        );
        rate.set(None);
        assert_eq!(take(60 * MICROS, 100), 100);
    }

    #[test]
    fn one_a_second_lets_one_a_second_through() {
        let rate = Rate::default();
        rate.set(Some(1));
        assert_eq!(rate.take(0), Ok(()));
        assert_eq!(rate.take(0), Err(1));
        assert_eq!(rate.take(MICROS), Ok(()));
    }
}
