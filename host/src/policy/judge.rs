//! Whether a version is worse than the one it replaces.

use std::time::Duration;

use super::{BindingStatus, CallTimes, Fates, StandingWord};
use crate::snapshot::Rollback;

/// Fewer failures, or slow calls that were timed, are no rate.
const FEWEST: u64 = 3;

/// Calls from which on the slowest hundredth means something.
const TIMED: u64 = 200;

/// Calls that stay below are fast enough, whatever came before them: a request takes hundreds.
const FAST_ENOUGH: Duration = Duration::from_micros(50);

/// What is known of a version, or of a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measure {
    /// Decisions it was asked for.
    pub calls: u64,
    /// Those and rebuilds that failed.
    pub faults: u64,
    /// How long they took.
    pub times: CallTimes,
    /// It is in quarantine somewhere.
    pub quarantined: bool,
    /// What became of requests that followed its decisions; of canaries only.
    pub fates: Fates,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// It has not been watched for long enough.
    Undecided,
    /// It may stay.
    NoWorse,
    /// It must go; why, for the operator.
    Worse(String),
}

impl Measure {
    /// With what a binding has done.
    #[must_use]
    pub fn and(mut self, status: &BindingStatus) -> Self {
        self.calls += status.calls;
        self.faults += status.all_faults();
        self.times = self.times.and(status.times);
        self.quarantined |= status.standing == StandingWord::Quarantined;
        self
    }

    fn error_rate(&self) -> f64 {
        share(self.faults, self.calls.max(self.faults))
    }
}

/// Of a bound without end: more than any call takes.
fn within(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Compares a version with the one before, after so long a time.
pub fn judge(before: &Measure, now: &Measure, elapsed: Duration, bounds: &Rollback) -> Opinion {
    if now.quarantined && !before.quarantined {
        return Opinion::Worse("it keeps failing and is in quarantine".to_owned());
    }
    let (was, is) = (before.error_rate(), now.error_rate());
    if now.faults >= FEWEST && is > was + bounds.errors {
        return Opinion::Worse(format!(
            "{:.1} % of its calls failed, against {:.1} % before",
            is * 100.0,
            was * 100.0
        ));
    }
    let fate = |fates: &Fates| share(fates.failed, fates.answered);
    let (was, is) = (fate(&before.fates), fate(&now.fates));
    if now.fates.failed >= FEWEST && is > was + bounds.errors {
        return Opinion::Worse(format!(
            "{:.1} % of the requests it decided for failed, against {:.1} % of the others",
            is * 100.0,
            was * 100.0
        ));
    }
    let slowest = |measure: &Measure| {
        let enough = measure.times.calls() >= TIMED;
        measure.times.quantile(0.99).filter(|_| enough)
    };
    if let (Some(was), Some(is)) = (slowest(before), slowest(now))
        && let limit = FAST_ENOUGH.as_secs_f64().max(was.as_secs_f64() * bounds.slower)
        && is.as_secs_f64() > limit
        // One sample stands for some sixty calls: of a few hundred a single one is a hundredth.
        && now.times.samples_beyond(within(limit)) >= FEWEST
    {
        return Opinion::Worse(format!(
            "99 % of its calls take up to {is:?}, against {was:?} before"
        ));
    }
    match elapsed >= bounds.time || now.calls >= bounds.calls {
        true => Opinion::NoWorse,
        false => Opinion::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Rollback = Rollback {
        calls: 1_000,
        time: Duration::from_secs(60),
        errors: 0.01,
        slower: 4.0,
    };

    fn measure(calls: u64, faults: u64, bucket: usize) -> Measure {
        let mut times = CallTimes::default();
        times.counts[bucket] = calls;
        times.samples[bucket] = calls;
        Measure {
            calls,
            faults,
            times,
            ..Measure::default()
        }
    }

    fn said(before: Measure, now: Measure) -> Opinion {
        judge(&before, &now, Duration::ZERO, &BOUNDS)
    }

    #[test]
    fn rate_of_failures_counts_from_three_on_and_beyond_the_one_before() {
        let good = measure(500, 0, 1);
        assert_eq!(said(good, measure(10, 2, 1)), Opinion::Undecided);
        assert!(matches!(said(good, measure(10, 3, 1)), Opinion::Worse(_)));
        assert_eq!(
            said(measure(500, 150, 1), measure(10, 3, 1)),
            Opinion::Undecided
        );
        assert_eq!(said(good, measure(900, 8, 1)), Opinion::Undecided);
    }

    #[test]
    fn quarantine_is_worse_unless_it_was_no_better() {
        let bad = Measure {
            quarantined: true,
            ..Measure::default()
        };
        assert!(matches!(said(Measure::default(), bad), Opinion::Worse(_)));
        assert_eq!(said(bad, bad), Opinion::Undecided);
    }

    #[test]
    fn slowest_hundredth_counts_where_it_is_slow_at_all() {
        // Buckets: 1 = 500 ns, 6 = 25 us, 8 = 100 us, 10 = 500 us.
        let fast = measure(500, 0, 1);
        assert_eq!(said(fast, measure(500, 0, 6)), Opinion::Undecided);
        assert!(matches!(said(fast, measure(500, 0, 8)), Opinion::Worse(_)));
        assert_eq!(
            said(fast, measure(100, 0, 8)),
            Opinion::Undecided,
            "too few"
        );
        assert_eq!(
            said(measure(500, 0, 9), measure(500, 0, 10)),
            Opinion::Undecided
        );
    }

    #[test]
    fn one_slow_call_is_no_hundredth_though_its_sample_stands_for_many() {
        let fast = measure(500, 0, 1);
        let slow = |calls, samples| {
            let mut now = measure(500, 0, 1);
            now.times.counts[10] = calls;
            now.times.samples[10] = samples;
            now
        };
        assert_eq!(said(fast, slow(120, 2)), Opinion::Undecided);
        assert!(matches!(said(fast, slow(120, 3)), Opinion::Worse(_)));
        // Scattered over buckets they are as slow: beyond 50 us all of them.
        let mut scattered = slow(40, 1);
        for bucket in [8, 9] {
            scattered.times.counts[bucket] = 40;
            scattered.times.samples[bucket] = 1;
        }
        assert!(matches!(said(fast, scattered), Opinion::Worse(_)));
    }

    #[test]
    fn requests_that_fail_after_its_choices_count() {
        let fates = |answered, failed| Measure {
            fates: Fates { answered, failed },
            ..Measure::default()
        };
        assert!(matches!(
            said(fates(100, 1), fates(100, 10)),
            Opinion::Worse(_)
        ));
        assert_eq!(said(fates(100, 10), fates(100, 10)), Opinion::Undecided);
    }

    #[test]
    fn it_may_stay_after_so_many_calls_or_so_long() {
        let none = Measure::default();
        assert_eq!(said(none, measure(1_000, 0, 1)), Opinion::NoWorse);
        assert_eq!(judge(&none, &none, BOUNDS.time, &BOUNDS), Opinion::NoWorse);
    }
}
