//! What bounds one call, and what bounds an instance.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use super::{fault::Stop, ticker::PERIOD};
use crate::{policy::thread_time, snapshot::PolicyLimits};

/// Host calls within one call of the guest. A pick over 100 members needs ten;
/// a rewriter that reads every header of a large head some hundreds.
const CALLS: u32 = 20_000;

/// Bytes the host copies into the guest within one call. The largest head (64 KiB)
/// read ten times over fits six times.
const BYTES: usize = 4 << 20;

/// Lines logged within one call.
const LOG_LINES: u32 = 1000;

/// What one call has cost the host. Cells: the host reads the guest's memory while charging.
#[derive(Default)]
pub(super) struct Meter {
    calls: Cell<u32>,
    bytes: Cell<usize>,
    lines: Cell<u32>,
}

impl Meter {
    /// A new call begins.
    pub(super) fn reset(&self) {
        self.calls.set(0);
        self.bytes.set(0);
        self.lines.set(0);
    }

    /// One host call.
    pub(super) fn call(&self) -> wasmtime::Result<()> {
        let calls = self.calls.get() + 1;
        self.calls.set(calls);
        if calls > CALLS {
            Err(Stop::HostLimit("host calls").into())
        } else {
            Ok(())
        }
    }

    /// Bytes about to be copied.
    pub(super) fn bytes(&self, count: usize) -> wasmtime::Result<()> {
        let bytes = self.bytes.get().saturating_add(count);
        self.bytes.set(bytes);
        if bytes > BYTES {
            Err(Stop::HostLimit("bytes copied").into())
        } else {
            Ok(())
        }
    }

    /// One line about to be logged.
    pub(super) fn line(&self) -> wasmtime::Result<()> {
        let lines = self.lines.get() + 1;
        self.lines.set(lines);
        if lines > LOG_LINES {
            Err(Stop::HostLimit("log lines").into())
        } else {
            Ok(())
        }
    }
}

/// Holds the guest's memories, taken together, and its tables to their limits by a trap:
/// a guest that learns of it by a null pointer would fail later and less clearly.
pub(super) struct Limiter {
    memory: Share,
    table: Share,
}

/// How much there may be of something, and how much there is.
struct Share {
    most: usize,
    used: usize,
}

impl Share {
    fn of(most: usize) -> Self {
        Self { most, used: 0 }
    }

    /// Whether what grows may: not over the guest's own bound, which it knows how to live with, and
    /// over ours only by a trap.
    fn grow(
        &mut self,
        (current, desired): (usize, usize),
        own: Option<usize>,
        stop: fn(usize) -> Stop,
    ) -> wasmtime::Result<bool> {
        if own.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.used = self.used.saturating_add(desired.saturating_sub(current));
        match self.used <= self.most {
            true => Ok(true),
            false => Err(stop(self.most).into()),
        }
    }
}

impl Limiter {
    /// For one instance.
    pub(super) fn new(limits: &PolicyLimits) -> Self {
        Self {
            memory: Share::of(limits.memory),
            table: Share::of(limits.table_elements),
        }
    }

    /// Bytes of the guest's memories, which never shrink.
    pub(super) fn taken(&self) -> usize {
        self.memory.used
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory.grow((current, desired), maximum, Stop::Memory)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // Over the engine's own ceiling, or the machine has no more.
        Err(Stop::Memory(self.memory.most).into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let stop = |_| Stop::HostLimit("table elements");
        self.table.grow((current, desired), maximum, stop)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(Stop::HostLimit("table elements").into())
    }
}

/// The CPU time of the call under way.
///
/// Epochs pass by the wall clock, so a thread that was not scheduled for a while would find its deadline gone
/// without having run. Therefore each epoch the call sees reads the thread's CPU clock, and what
/// lies between two readings counts.
#[derive(Default)]
pub(super) struct Budget {
    allowed: Duration,
    seen: Readings,
}

impl Budget {
    /// A new call begins and may use `allowed`.
    pub(super) fn start(&mut self, allowed: Duration) {
        self.allowed = allowed;
        self.seen = Readings::default();
    }

    /// An epoch ended during the call.
    pub(super) fn spend(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.seen.add(thread_time());
        match self.seen.is_beyond(self.allowed) {
            true => Err(Stop::Deadline(self.allowed).into()),
            false => Ok(UpdateDeadline::Continue(1)),
        }
    }
}

/// What the CPU clock said at the epochs of one call.
///
/// The clock jumps: what a hypervisor takes from a virtual machine is charged to whoever was running. A thread that does
/// nothing but read its clock saw 5 to 9 ms at once about once a minute, often several within some 20 ms. The longest time between two readings is
/// therefore taken for one epoch's, and a call has to be found running at several epochs before it is ended. Readings at
/// a deadline of 5 ms, in ms:
///   jump in a call of 3 us   | 0, 8             | one stretch: goes on, and is done
///   loop                     | 0, 2.1, 4.2, 6.3 | 6.3 - 2.1 + 2 = 6.2: ended
///   loop, and a jump in it   | 0, 9, 11.1, 13.2 | 13.2 - 9 + 2 = 6.2: ended
#[derive(Default)]
struct Readings {
    last: Option<Duration>,
    /// Times between two readings.
    stretches: u32,
    total: Duration,
    longest: Duration,
}

/// So many stretches are enough for any deadline. A call of microseconds sees one around a jump, from the epoch before it
/// to the one that is due when the machine is back; with this, two jumps in a row do not end it either.
const STRETCHES: u32 = 3;

impl Readings {
    fn add(&mut self, now: Duration) {
        if let Some(last) = self.last.replace(now) {
            let stretch = now.saturating_sub(last);
            self.stretches = self.stretches.saturating_add(1);
            self.total += stretch;
            self.longest = self.longest.max(stretch);
        }
    }

    /// True of a loop at the epoch after `allowed`, or the one after that. Where epochs come late each counts for as long
    /// as it lasted, all but the longest: who computes for long between two of them wins one epoch.
    fn is_beyond(&self, allowed: Duration) -> bool {
        let epochs = allowed.as_nanos().div_ceil(PERIOD.as_nanos());
        // A short deadline too takes two: one may be a jump.
        let enough = epochs.clamp(2, STRETCHES.into());
        let spent = self.total - self.longest + self.longest.min(PERIOD);
        u128::from(self.stretches) >= enough && spent >= allowed
    }
}

/// A token bucket: `rate` a second, at most one second's worth at once.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u32,
    tokens: f64,
    refilled: Instant,
}

impl Bucket {
    /// Full.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate,
            tokens: f64::from(rate),
            refilled: Instant::now(),
        }
    }

    /// Another rate from now on.
    pub(super) fn set(&mut self, rate: u32) {
        self.rate = rate;
    }

    /// Takes `count` if there are so many.
    pub(super) fn take(&mut self, count: usize, now: Instant) -> bool {
        let rate = f64::from(self.rate);
        let earned = now.saturating_duration_since(self.refilled).as_secs_f64() * rate;
        self.tokens = (self.tokens + earned).min(rate);
        self.refilled = now;
        let count = count as f64;
        let enough = self.tokens >= count;
        if enough {
            self.tokens -= count;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const DEADLINE: Duration = Duration::from_millis(5);

    /// At which reading a call is ended; the CPU clock advances by each of `stretches` in turn.
    fn ended_at(
        allowed: Duration,
        stretches: impl IntoIterator<Item = Duration>,
    ) -> Option<Duration> {
        let begun = 70 * MS;
        let (mut readings, mut now) = (Readings::default(), begun);
        readings.add(now);
        assert!(!readings.is_beyond(allowed), "at its first epoch");
        stretches.into_iter().find_map(|stretch| {
            now += stretch;
            readings.add(now);
            readings.is_beyond(allowed).then(|| now - begun)
        })
    }

    #[test]
    fn a_jump_of_the_clock_ends_no_innocent_call() {
        let deadlines = [MS, 4 * MS, DEADLINE, 10 * MS, 1_000 * MS];
        for allowed in deadlines {
            for jump in [2, 5, 8, 50, 5_000].map(|ms| ms * MS) {
                assert_eq!(ended_at(allowed, [jump]), None, "{allowed:?} {jump:?}");
            }
        }
        // Nor two of them, at the usual deadline.
        assert_eq!(ended_at(DEADLINE, [8 * MS, 8 * MS]), None);
        // An `init` of 600 ms from whose machine 3 s were taken.
        for at in [0, 150, 299] {
            let init = (0..300).map(|epoch| if epoch == at { 3_000 * MS } else { 2 * MS });
            assert_eq!(ended_at(1_000 * MS, init), None, "at epoch {at}");
        }
    }

    #[test]
    fn a_loop_is_ended_soon_whatever_the_clock_does() {
        let epoch = PERIOD + MS / 10;
        let forever = |stretch| std::iter::repeat_n(stretch, 10_000);
        let ended = |allowed, stretches: &mut dyn Iterator<Item = Duration>| {
            ended_at(allowed, stretches).expect("it loops")
        };
        assert_eq!(ended(DEADLINE, &mut forever(epoch)), 3 * epoch);
        assert_eq!(ended(MS, &mut forever(epoch)), 2 * epoch);
        assert!(ended(1_000 * MS, &mut forever(epoch)) < 1_000 * MS + 2 * epoch);
        // A jump is not held against it, and buys it nothing.
        let mut jumped = std::iter::once(8 * MS).chain(forever(epoch));
        assert_eq!(ended(DEADLINE, &mut jumped), 8 * MS + 2 * epoch);
        // Filling a gigabyte is one instruction, and no epoch ends it.
        for late in [5, 10, 100].map(|ms| ms * MS) {
            assert_eq!(ended(DEADLINE, &mut forever(late)), 3 * late);
            assert!(ended(1_000 * MS, &mut forever(late)) <= 1_000 * MS + late);
        }
    }

    #[test]
    fn a_thread_that_is_not_scheduled_spends_nothing() {
        assert_eq!(
            ended_at(DEADLINE, std::iter::repeat_n(MS / 1_000, 1_000)),
            None
        );
        let mut budget = Budget::default();
        budget.start(Duration::ZERO);
        assert!(budget.spend().is_ok(), "the first epoch is never its end");
    }

    #[test]
    fn bucket_refills_by_time_and_never_overflows() {
        let start = Instant::now();
        let mut bucket = Bucket {
            rate: 100,
            tokens: 100.0,
            refilled: start,
        };
        assert!(bucket.take(100, start));
        assert!(!bucket.take(1, start));
        assert!(bucket.take(50, start + Duration::from_millis(500)));
        assert!(
            !bucket.take(101, start + Duration::from_secs(3600)),
            "more than a second's worth"
        );
    }

    #[test]
    fn meter_stops_at_each_limit() {
        let meter = Meter::default();
        for _ in 0..CALLS {
            meter.call().unwrap();
        }
        assert!(meter.call().is_err());
        meter.bytes(BYTES).unwrap();
        assert!(meter.bytes(1).is_err());
        meter.reset();
        meter.bytes(BYTES).unwrap();
        assert!(meter.bytes(usize::MAX).is_err());
    }

    #[test]
    fn memories_and_tables_are_counted_together() {
        let limits = PolicyLimits {
            memory: 3 << 16,
            table_elements: 10,
            ..PolicyLimits::default()
        };
        let mut limiter = Limiter::new(&limits);
        let page = 1 << 16;
        assert!(limiter.memory_growing(0, page, None).unwrap());
        assert!(limiter.memory_growing(0, page, None).unwrap());
        assert!(limiter.memory_growing(page, 2 * page, None).unwrap());
        // The guest's own maximum is an answer that it expects.
        assert!(!limiter.memory_growing(page, 2 * page, Some(page)).unwrap());
        assert!(limiter.memory_growing(page, 2 * page, None).is_err());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(limiter.table_growing(0, 1, None).is_err());
    }
}
