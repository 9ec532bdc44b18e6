//! What the calls of one instance cost, estimated from samples, and how long callers waited for their turn.
//!
//! CPU time of the calling thread, not wall time: a thread that was preempted during a call
//! has not made the policy slow. Some calls are timed, chosen at random so that no
//! policy can tell which; each stands for those since the one before.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::cpu;

/// Upper bounds of the histogram's buckets, nanoseconds; one more takes the rest. Fast calls
/// take 100 to 500 ns, the default deadline is 5 ms.
pub const CALL_TIME_BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 25_000_000,
];

const BUCKETS: usize = CALL_TIME_BOUNDS.len() + 1;

/// One call of so many is timed on average: reading the CPU clock twice costs 300 ns, two short calls.
const SAMPLE: u64 = 64;

/// No more than one of so many calls is left over where a binding ends.
const EARLY: u64 = 4;

/// A call that takes longer holds up everybody else on its worker for too long.
const SLOW: Duration = Duration::from_micros(100);

/// A slow call weighs as much as so many fast ones: a binding is slow if more than 1 % of its calls are.
const HEAT: u32 = 100;
/// From here on it is slow, until all heat is gone: no single call makes it so.
const HOT: u32 = 2 * HEAT;
/// So that one that was slow for long is not so for ever.
const HOTTEST: u32 = 10 * HEAT;

/// How call times are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallTimes {
    /// Calls by bucket, see [`CALL_TIME_BOUNDS`]; the last one takes the rest.
    pub counts: [u64; BUCKETS],
    /// Calls that were timed, by bucket: each stands for some of `counts`.
    pub samples: [u64; BUCKETS],
    /// CPU time of all calls.
    pub total: Duration,
}

impl CallTimes {
    /// Calls in all, as estimated.
    pub fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many were found in buckets that reach beyond `limit`.
    pub fn samples_beyond(&self, limit: Duration) -> u64 {
        let limit = limit.as_nanos();
        let within = CALL_TIME_BOUNDS.partition_point(|bound| u128::from(*bound) <= limit);
        self.samples[within..].iter().sum()
    }

    /// The bound below which `share` (0 to 1) of the calls stay; `None` without calls.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let calls = self.calls();
        let rank = (calls as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        let bucket = bucket.filter(|_| calls > 0)?;
        let last = CALL_TIME_BOUNDS[CALL_TIME_BOUNDS.len() - 1];
        let bound = CALL_TIME_BOUNDS.get(bucket).copied().unwrap_or(last);
        Some(Duration::from_nanos(bound))
    }

    /// Those of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let own = self.counts.iter_mut().chain(&mut self.samples);
        for (count, more) in own.zip(other.counts.into_iter().chain(other.samples)) {
            *count += more;
        }
        self.total += other.total;
        self
    }

    /// Those since `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: Self) -> Self {
        let own = self.counts.iter_mut().chain(&mut self.samples);
        for (count, before) in own.zip(earlier.counts.into_iter().chain(earlier.samples)) {
            *count = count.saturating_sub(before);
        }
        self.total = self.total.saturating_sub(earlier.total);
        self
    }
}

/// How often workers found an instance busy with another's call, and how long they waited in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// Calls.
    pub count: u64,
    /// Together.
    pub time: Duration,
}

impl Waits {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            time: self.time + other.time,
        }
    }
}

/// Waits as they come.
#[derive(Debug, Default)]
pub(super) struct WaitCounters {
    count: AtomicU64,
    ns: AtomicU64,
}

impl WaitCounters {
    /// Counts one of that length.
    pub fn add(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Relaxed);
        self.ns.fetch_add(ns, Relaxed);
    }

    /// All until now.
    pub fn so_far(&self) -> Waits {
        Waits {
            count: self.count.load(Relaxed),
            time: Duration::from_nanos(self.ns.load(Relaxed)),
        }
    }
}

/// What is known of an instance's calls, for everybody.
#[derive(Debug, Default)]
pub(super) struct Timing {
    calls: AtomicU64,
    ns: AtomicU64,
    counts: [AtomicU64; BUCKETS],
    samples: [AtomicU64; BUCKETS],
    slow: AtomicBool,
}

/// What a sample says was used since the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    /// To be paid at once.
    pub now: Duration,
    /// To be paid in instalments: a single slow call says it of those that were not timed. Where the slowness was not
    /// the policy's, as when a hypervisor took the machine away for 8 ms, it would be said of a hundred calls that took
    /// nothing: two seconds' worth of what a tenant may use, and nobody of its own would be asked for so long.
    pub owed: Duration,
}

/// Decides which calls are timed. Whoever has the instance has this too.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    /// Calls since the last sample.
    since: u64,
    /// So many more go untimed.
    skip: u64,
    heat: u32,
}

impl Timing {
    /// Counts a call and times it now and then. Second: the CPU time that was found, for the
    /// calls it stands for.
    pub fn call<T>(&self, sampler: &mut Sampler, call: impl FnOnce() -> T) -> (T, Option<Used>) {
        self.calls.fetch_add(1, Relaxed);
        sampler.since += 1;
        if sampler.skip > 0 {
            sampler.skip -= 1;
            return (call(), None);
        }
        let before = cpu::thread_time();
        let result = call();
        let took = cpu::thread_time().saturating_sub(before);
        (result, Some(self.sample(sampler, took)))
    }

    fn sample(&self, sampler: &mut Sampler, took: Duration) -> Used {
        let stands_for = std::mem::take(&mut sampler.since);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = CALL_TIME_BOUNDS.partition_point(|bound| *bound < ns);
        self.counts[bucket].fetch_add(stands_for, Relaxed);
        self.samples[bucket].fetch_add(1, Relaxed);
        let all = ns.saturating_mul(stands_for);
        self.ns.fetch_add(all, Relaxed);
        sampler.heat = match took > SLOW {
            true => (sampler.heat + HEAT).min(HOTTEST),
            false => sampler.heat.saturating_sub(1),
        };
        match sampler.heat {
            0 => self.slow.store(false, Relaxed),
            HOT.. => self.slow.store(true, Relaxed),
            _ => {}
        }
        // While it may be slow, every call counts. The first ones are timed more often, since what the last sample has no
        // successor for is charged to nobody: who brings a new version every hundred calls would have most for nothing.
        sampler.skip = match sampler.heat {
            0 => fastrand::u64(0..(2 * SAMPLE - 1).min(1 + self.calls() / EARLY)),
            _ => 0,
        };
        let all = Duration::from_nanos(all);
        match took > SLOW {
            true => Used {
                now: took,
                owed: all.saturating_sub(took),
            },
            false => Used {
                now: all,
                owed: Duration::ZERO,
            },
        }
    }

    /// Whether its calls must not run on a worker.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Relaxed)
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// How they were spread.
    pub fn times(&self) -> CallTimes {
        let all =
            |counts: &[AtomicU64; BUCKETS]| counts.each_ref().map(|count| count.load(Relaxed));
        CallTimes {
            counts: all(&self.counts),
            samples: all(&self.samples),
            total: Duration::from_nanos(self.ns.load(Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_nanos(300);
    const TOO_LONG: Duration = Duration::from_micros(101);

    #[test]
    fn every_call_is_counted_and_samples_stand_for_the_others() {
        let (timing, mut sampler) = (Timing::default(), Sampler::default());
        let mut charged = 0;
        for _ in 0..10_000 {
            charged += u32::from(timing.call(&mut sampler, || ()).1.is_some());
        }
        assert_eq!(timing.calls(), 10_000);
        assert!((50..400).contains(&charged), "{charged}");
        let times = timing.times();
        assert!((9_800..=10_000).contains(&times.calls()));
        assert!(times.total > Duration::ZERO);
    }

    #[test]
    fn what_one_slow_call_says_of_others_is_owed() {
        let (timing, mut sampler) = (Timing::default(), Sampler::default());
        let mut used = |since, took| {
            sampler.since = since;
            let Used { now, owed } = timing.sample(&mut sampler, took);
            (now, owed)
        };
        let jump = Duration::from_millis(8);
        assert_eq!(used(100, FAST), (100 * FAST, Duration::ZERO));
        assert_eq!(used(100, jump), (jump, 99 * jump));
        // From then on every call is timed, and pays for itself alone.
        assert_eq!(used(1, jump), (jump, Duration::ZERO));
        assert_eq!(timing.times().total, 100 * FAST + 101 * jump);
    }

    #[test]
    fn binding_is_slow_if_more_than_a_hundredth_of_its_calls_are() {
        for (every, slow) in [(200, false), (50, true), (1, true)] {
            let (timing, mut sampler) = (Timing::default(), Sampler::default());
            for call in 1..=2_000 {
                sampler.since = 1;
                let took = if call % every == 0 { TOO_LONG } else { FAST };
                timing.sample(&mut sampler, took);
            }
            assert_eq!(timing.is_slow(), slow, "one slow call of {every}");
            for _ in 0..HOTTEST {
                timing.sample(&mut sampler, FAST);
            }
            assert!(!timing.is_slow(), "fast again");
        }
    }

    #[test]
    fn whoever_ends_after_a_few_slow_calls_is_charged_for_nearly_all_of_them() {
        fastrand::seed(64);
        let bindings = 2_000;
        for (fast, slow) in [(1, 1), (1, 5), (2, 20), (8, 10), (64, 20), (200, 30)] {
            let mut charged = Duration::ZERO;
            for _ in 0..bindings {
                let (timing, mut sampler) = (Timing::default(), Sampler::default());
                for call in 0..fast + slow {
                    timing.calls.fetch_add(1, Relaxed);
                    sampler.since += 1;
                    if sampler.skip > 0 {
                        sampler.skip -= 1;
                        continue;
                    }
                    let took = if call < fast {
                        Duration::ZERO
                    } else {
                        TOO_LONG
                    };
                    let used = timing.sample(&mut sampler, took);
                    charged += used.now + used.owed;
                }
            }
            let share = charged.as_secs_f64() / (TOO_LONG * slow * bindings).as_secs_f64();
            assert!(
                (0.6..1.6).contains(&share),
                "{fast} fast, {slow} slow: {share}"
            );
        }
    }

    #[test]
    fn while_a_binding_may_be_slow_every_call_is_timed() {
        let (timing, mut sampler) = (Timing::default(), Sampler::default());
        timing.sample(&mut sampler, TOO_LONG);
        for _ in 0..99 {
            assert!(timing.call(&mut sampler, || ()).1.is_some());
        }
    }

    #[test]
    fn quantiles_are_the_bounds_of_their_buckets() {
        let mut times = CallTimes::default();
        assert_eq!(times.quantile(0.5), None);
        times.counts[1] = 98;
        times.counts[8] = 1;
        times.counts[14] = 1;
        assert_eq!(times.quantile(0.5), Some(Duration::from_nanos(500)));
        assert_eq!(times.quantile(0.99), Some(Duration::from_micros(100)));
        assert_eq!(times.quantile(1.0), Some(Duration::from_millis(25)));
        assert_eq!(times.and(times).since(times), times);
    }
}
