//! How much CPU time a tenant's policies may use.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::members::{Clock, Micros};

/// Seconds' worth of the rate that may be owed in instalments: two instances of Python, 0.6 s each, at
/// the default of 200 ms a second.
const OWED: u64 = 10;

/// A bucket of CPU time that refills by the clock and holds one second's worth.
///
/// What was used is charged after the call, as measured, so the bucket may go below empty: then
/// nothing runs until the debt is paid. One for a tenant; it outlives reloads.
///
/// What it takes to start an instance can be many times what the bucket holds, and is owed in instalments
/// instead: half of what is earned goes there until it is paid.
///   200 ms a second, start of 600 ms | 100 ms a second for 6 s, and 200 again
#[derive(Debug)]
pub struct Allowance {
    clock: Clock,
    /// Nanoseconds a second; 0 = no bound.
    rate: AtomicU64,
    /// Nanoseconds left; negative = debt.
    left: AtomicI64,
    /// Nanoseconds of starts that are not paid yet.
    owed: AtomicU64,
    refilled: AtomicU64,
    used: AtomicU64,
}

impl Allowance {
    /// Full. `rate`: CPU time a second; `None` = no bound.
    pub fn new(clock: Clock, rate: Option<Duration>) -> Self {
        let rate = nanos(rate);
        Self {
            clock,
            rate: rate.into(),
            left: i64::try_from(rate).unwrap_or(i64::MAX).into(),
            owed: AtomicU64::new(0),
            refilled: clock.now().into(),
            used: AtomicU64::new(0),
        }
    }

    /// Another bound from now on. Debts stay.
    pub fn set(&self, rate: Option<Duration>) {
        let rate = nanos(rate);
        if self.rate.swap(rate, Relaxed) == 0 {
            self.refilled.store(self.clock.now(), Relaxed);
            self.owed.store(0, Relaxed);
            self.left
                .store(i64::try_from(rate).unwrap_or(i64::MAX), Relaxed);
        }
    }

    /// Whether another call may be made. One atomic load while there is plenty.
    pub fn is_spent(&self) -> bool {
        self.left.load(Relaxed) <= 0 && self.rate.load(Relaxed) > 0 && {
            self.refill(self.clock.now());
            self.left.load(Relaxed) <= 0
        }
    }

    /// How long to wait before a call that cannot be left out; `None` = not at all.
    pub fn wait(&self) -> Option<Duration> {
        if !self.is_spent() {
            return None;
        }
        let debt = self.left.load(Relaxed).unsigned_abs();
        let rate = self.rate.load(Relaxed).max(1);
        let micros = u128::from(debt) * 1_000_000 / u128::from(rate);
        // At least a millisecond: what is earned in less is not worth waking up for.
        Some(Duration::from_micros(
            u64::try_from(micros).unwrap_or(u64::MAX).max(1_000),
        ))
    }

    /// Takes what calls have used.
    pub fn charge(&self, used: Duration) {
        let ns = nanos(Some(used));
        self.used.fetch_add(ns, Relaxed);
        self.take(ns);
    }

    /// Owes what it took to start an instance. Beyond what may be owed it is taken at once; `first`: not at
    /// all, for there are no more first starts than the configuration has instances, and each
    /// configuration was tried at its tenant's cost before.
    pub fn charge_start(&self, used: Duration, first: bool) {
        self.owe(used, first);
    }

    /// Owes what calls may have used of which one was seen, as it owes a start that is not the first.
    pub fn charge_later(&self, used: Duration) {
        self.owe(used, false);
    }

    fn owe(&self, used: Duration, first: bool) {
        let ns = nanos(Some(used));
        self.used.fetch_add(ns, Relaxed);
        let rate = self.rate.load(Relaxed);
        if rate == 0 {
            return;
        }
        self.refill(self.clock.now());
        let most = rate.saturating_mul(OWED);
        let more = |owed: u64| Some(owed.saturating_add(ns).min(most).max(owed));
        let owed = self.owed.fetch_update(Relaxed, Relaxed, more);
        let room = most.saturating_sub(owed.unwrap_or_else(|owed| owed));
        if !first {
            self.take(ns.saturating_sub(room));
        }
    }

    fn take(&self, ns: u64) {
        if self.rate.load(Relaxed) > 0 {
            self.refill(self.clock.now());
            let ns = i64::try_from(ns).unwrap_or(i64::MAX);
            self.left.fetch_sub(ns, Relaxed);
        }
    }

    /// CPU time that was charged so far.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    fn refill(&self, now: Micros) {
        let rate = self.rate.load(Relaxed);
        let since = self.refilled.load(Relaxed);
        let earned = u128::from(now.saturating_sub(since)) * u128::from(rate) / 1_000_000;
        // Without a bound of its own: a debt may be of several seconds.
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        // Whoever comes first pays it in; the others find it paid.
        let mine = earned > 0
            && self
                .refilled
                .compare_exchange(since, now, Relaxed, Relaxed)
                .is_ok();
        if mine {
            let half = earned.unsigned_abs() / 2;
            let paid = |owed: u64| Some(owed.saturating_sub(half));
            let owed = self.owed.fetch_update(Relaxed, Relaxed, paid);
            let paid = owed.unwrap_or_else(|owed| owed).min(half);
            let earned = earned.saturating_sub_unsigned(paid);
            let full = i64::try_from(rate).unwrap_or(i64::MAX);
            let add = |left: i64| Some(left.saturating_add(earned).min(full));
            let _ = self.left.fetch_update(Relaxed, Relaxed, add);
        }
    }
}

fn nanos(rate: Option<Duration>) -> u64 {
    rate.map_or(0, |rate| u64::try_from(rate.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn debt_is_paid_by_the_clock_before_anything_runs_again() {
        let allowance = Allowance::new(Clock::start(), Some(TENTH));
        allowance.charge(TENTH);
        assert!(allowance.is_spent());
        advance(Duration::from_millis(10)).await;
        assert!(!allowance.is_spent(), "1 ms has been earned");
        allowance.charge(TENTH);
        advance(Duration::from_millis(900)).await;
        assert!(allowance.is_spent());
        let wait = allowance.wait().unwrap();
        assert!((89..92).contains(&wait.as_millis()), "{wait:?}");
        advance(TENTH).await;
        assert!(!allowance.is_spent());
        assert_eq!(allowance.used(), 2 * TENTH);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_seconds_worth_is_saved() {
        let allowance = Allowance::new(Clock::start(), Some(TENTH));
        advance(Duration::from_secs(3_600)).await;
        assert!(!allowance.is_spent());
        allowance.charge(TENTH);
        assert!(allowance.is_spent());
        allowance.charge(2 * TENTH);
        advance(Duration::from_millis(2_010)).await;
        assert!(
            !allowance.is_spent(),
            "a debt of two seconds is paid in two"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn start_is_paid_in_instalments_and_nothing_waits_for_it() {
        let allowance = Allowance::new(Clock::start(), Some(TENTH));
        allowance.charge_start(5 * TENTH, true);
        assert!(!allowance.is_spent(), "no debt");
        assert_eq!(allowance.used(), 5 * TENTH);
        // Half of what is earned goes there, and the other half is to be had.
        allowance.charge(TENTH);
        for second in 1..=10 {
            advance(Duration::from_secs(1)).await;
            assert!(!allowance.is_spent());
            allowance.charge(TENTH / 2);
            assert!(allowance.is_spent(), "second {second}");
        }
        // It is paid.
        advance(Duration::from_secs(1)).await;
        allowance.charge(TENTH * 9 / 10);
        assert!(!allowance.is_spent());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_starts_again_and_again_is_in_debt_and_first_starts_are_not() {
        let allowance = Allowance::new(Clock::start(), Some(TENTH));
        for _ in 0..5 {
            allowance.charge_start(10 * TENTH, true);
        }
        assert!(!allowance.is_spent(), "more is not charged for the first");
        allowance.charge_start(10 * TENTH, false);
        let wait = allowance.wait().unwrap();
        assert!((8_900..9_100).contains(&wait.as_millis()), "{wait:?}");
        allowance.set(None);
        allowance.set(Some(TENTH));
        allowance.charge_start(10 * TENTH, false);
        assert!(!allowance.is_spent(), "another bound, and nothing is owed");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_guessed_throttles_nobody_and_is_paid_all_the_same() {
        let allowance = Allowance::new(Clock::start(), Some(2 * TENTH));
        // A call of 8 ms that stands for a hundred.
        allowance.charge(Duration::from_millis(8));
        allowance.charge_later(Duration::from_millis(792));
        assert!(!allowance.is_spent());
        assert_eq!(allowance.used(), Duration::from_millis(800));
        allowance.charge(Duration::from_millis(192));
        assert!(allowance.is_spent());
        advance(Duration::from_secs(1)).await;
        assert!(!allowance.is_spent());
        allowance.charge(TENTH);
        assert!(allowance.is_spent(), "half of a second's worth went there");
        // Beyond ten seconds' worth it is paid at once, so that nobody lives on guesses.
        advance(Duration::from_secs(1)).await;
        allowance.charge_later(25 * TENTH);
        let wait = allowance.wait().unwrap();
        assert!((4_900..5_000).contains(&wait.as_millis()), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bound_can_be_lifted_and_set_and_all_that_is_used_is_counted() {
        let allowance = Allowance::new(Clock::start(), None);
        allowance.charge(10 * TENTH);
        assert!(!allowance.is_spent());
        allowance.set(Some(TENTH));
        assert!(!allowance.is_spent());
        allowance.charge(2 * TENTH);
        assert!(allowance.is_spent());
        allowance.set(None);
        assert!(!allowance.is_spent());
        assert_eq!(allowance.used(), 12 * TENTH);
    }
}
