//! What the store of one instance holds beside the guest, and what bounds a call.

use std::{
    cell::Cell,
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use super::{
    fault::Stop,
    host::{entropy::Entropy, handles::Handles, log::Journal, shared::Opened},
    services::{Binding, Series},
    views::Views,
    wasi::Console,
};
use crate::{
    policy::{Environment, thread_time},
    recording::Tape,
};

/// Host calls within one call of the guest. A pick over 100 members needs ten;
/// a rewriter that reads every header of a large head some hundreds.
const CALLS: u32 = 20_000;

/// Bytes the host copies into the guest within one call. The largest head (64 KiB)
/// read ten times over fits six times.
const BYTES: usize = 4 << 20;

/// Bytes the guest hands over in one call, either way; wasmtime counts them
/// before it copies.
const GUEST_BYTES: usize = 4 << 20;

/// Handles (cells, metrics) an instance may hold.
const HANDLES: usize = 4096;

/// Entries of the guest's function tables. Rust policies use some hundreds,
/// interpreters compiled to wasm up to ten thousand.
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// Lines logged within one call.
const LOG_LINES: u32 = 1000;

/// The state of one instance's store.
pub(super) struct State {
    pub(super) views: Views,
    pub(super) meter: Meter,
    pub(super) limiter: Limiter,
    pub(super) scratch: Scratch,
    pub(super) budget: Budget,
    pub(super) entropy: Entropy,
    pub(super) journal: Journal,
    pub(super) console: Console,
    pub(super) binding: Arc<Binding>,
    pub(super) cells: Handles<Opened>,
    pub(super) series: Handles<Arc<Series>>,
    /// The clock of calls that bring none: frozen when the call began.
    pub(super) lifecycle_clock: (u64, u64),
    pub(super) tape: Tape,
}

impl State {
    /// Fresh state for one instance of `environment`'s policy.
    pub(super) fn new(environment: &Environment, binding: Arc<Binding>, replica: u32) -> Self {
        Self {
            views: Views::default(),
            meter: Meter::default(),
            limiter: Limiter {
                memory: environment.limits.memory,
                used: 0,
            },
            scratch: Scratch::default(),
            budget: Budget::default(),
            entropy: Entropy::new(environment.seed, replica),
            journal: Journal::new(environment),
            console: Console::default(),
            binding,
            cells: Handles::default(),
            series: Handles::default(),
            lifecycle_clock: (0, 0),
            tape: Tape::Off,
        }
    }

    /// The call's clock: monotonic microseconds, and milliseconds since 1970. It stands still.
    pub(super) fn clock(&self) -> wasmtime::Result<(u64, u64)> {
        self.meter.call()?;
        let call = self.views.call();
        Ok(call.map_or(self.lifecycle_clock, |call| (call.now_us, call.wall_ms)))
    }

    /// The next word of chance.
    pub(super) fn chance(&mut self) -> wasmtime::Result<u64> {
        self.meter.call()?;
        Ok(self.entropy.next())
    }

    /// What the guest printed becomes lines of the log, under its budget.
    pub(super) fn print(&mut self, is_error: bool, bytes: &[u8]) -> wasmtime::Result<()> {
        let (meter, journal) = (&self.meter, &mut self.journal);
        self.console.write(is_error, bytes, |line| {
            meter.line()?;
            journal.print(is_error, line);
            Ok(())
        })
    }

    /// A call is over, well or badly: what it began to print is a line too.
    pub(super) fn settle(&mut self) {
        if !self.console.is_empty() {
            let journal = &mut self.journal;
            self.console
                .finish(|is_error, line| journal.print(is_error, line));
        }
    }

    /// A store with every bound in place.
    pub(super) fn into_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(GUEST_BYTES);
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|mut store| store.data_mut().budget.spend());
        store
    }
}

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
    memory: usize,
    used: usize,
}

impl Limiter {
    /// Bytes of the guest's memories, which never shrink.
    pub(super) fn taken(&self) -> usize {
        self.used
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The guest's own bound, which it knows how to live with.
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.used = self.used.saturating_add(desired.saturating_sub(current));
        if self.used > self.memory {
            Err(Stop::Memory(self.memory).into())
        } else {
            Ok(true)
        }
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        // Over the engine's own ceiling, or the machine has no more.
        Err(Stop::Memory(self.memory).into())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            Err(Stop::HostLimit("table elements").into())
        } else {
            Ok(true)
        }
    }
}

/// The CPU time of the call under way.
///
/// Epochs pass by the wall clock, so a thread that was not scheduled for a while
/// would find its deadline gone without having run. Therefore the first epoch
/// only notes the thread's CPU clock; later ones compare with it.
#[derive(Default)]
pub(super) struct Budget {
    allowed: Duration,
    since: Option<Duration>,
}

impl Budget {
    /// A new call begins and may use `allowed`.
    pub(super) fn start(&mut self, allowed: Duration) {
        self.allowed = allowed;
        self.since = None;
    }

    /// An epoch ended during the call.
    fn spend(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let now = thread_time();
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) >= self.allowed && now != since {
            return Err(Stop::Deadline(self.allowed).into());
        }
        Ok(UpdateDeadline::Continue(1))
    }
}

/// Buffers that a host function fills and wasmtime copies into the guest. Kept
/// between calls: the counters of a pool are asked for at every pick.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) bytes: Reused<Vec<u8>>,
    pub(super) text: Reused<String>,
    pub(super) narrow: Reused<Vec<u32>>,
    pub(super) wide: Reused<Vec<u64>>,
}

/// One reused buffer. wasmtime wants results it can own for the copy; a shared
/// pointer is one, and is ours alone again once it has copied.
#[derive(Default)]
pub(super) struct Reused<B>(Cell<Option<Arc<B>>>);

/// Buffers larger than this are not kept.
const KEPT: usize = 64 << 10;

/// A buffer that can be emptied.
pub(super) trait Buffer: Default {
    /// Empties it, keeping its memory.
    fn reset(&mut self);
    /// Bytes it holds on to.
    fn held(&self) -> usize;
}

impl<T> Buffer for Vec<T> {
    fn reset(&mut self) {
        self.clear();
    }
    fn held(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl Buffer for String {
    fn reset(&mut self) {
        self.clear();
    }
    fn held(&self) -> usize {
        self.capacity()
    }
}

impl<B: Buffer> Reused<B> {
    /// The buffer, filled anew.
    pub(super) fn fill(&self, write: impl FnOnce(&mut B)) -> Arc<B> {
        let mut shared = self.0.take().unwrap_or_default();
        match Arc::get_mut(&mut shared) {
            Some(buffer) => {
                buffer.reset();
                write(buffer);
            }
            // Still on its way into the guest: not while nothing nests, but cheap to allow for.
            None => {
                let mut buffer = B::default();
                write(&mut buffer);
                shared = Arc::new(buffer);
            }
        }
        if shared.held() <= KEPT {
            self.0.set(Some(shared.clone()));
        }
        shared
    }
}

/// A token bucket: `rate` a second, at most one second's worth at once.
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

    #[test]
    fn a_reused_buffer_is_ours_again_once_the_copy_is_done() {
        let column = Reused::<Vec<u32>>::default();
        let first = column.fill(|out| out.extend([1, 2, 3]));
        let at = first.as_ptr();
        drop(first);
        let second = column.fill(|out| out.push(4));
        assert_eq!((second.as_slice(), second.as_ptr()), ([4].as_slice(), at));
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
}
