//! A bounded buffer in front of one log.
//!
//! Two halves: those who log append whole lines under a short lock; the writer
//! thread takes all of them at once and writes them without that lock. What an
//! output did not take stays with the writer and goes first the next time, so a
//! full disk tears no line: it goes on in the middle of the one it stopped in.

use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{output::Place, writer::Wake};

/// Bytes that wait for the writer, for each log: about 5,000 lines, a good tenth of a second of full load.
const CAPACITY: usize = 1 << 20;

/// From here on the writer does not wait for more lines.
const URGENT: usize = CAPACITY / 4;

/// A buffer that grew beyond this is given back once it is written.
const KEPT: usize = 64 << 10;

/// A failing output is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// A pipe whose reader is slow, likewise.
const SLOW: Duration = Duration::from_millis(50);

/// Trouble is reported no more often than this.
const REPORT: Duration = Duration::from_secs(60);

/// One log's buffer and output.
pub(super) struct Sink {
    place: Place,
    waiting: Mutex<Vec<u8>>,
    /// Lines that found the buffer full.
    dropped: AtomicU64,
    reopen: AtomicBool,
    drain: Mutex<Drain>,
    wake: Arc<Wake>,
}

/// The writer's half.
struct Drain {
    output: Box<dyn Write + Send>,
    /// Taken from `waiting`; the first `written` bytes are out.
    taken: Vec<u8>,
    written: usize,
    retry_at: Option<Instant>,
    /// The output is broken rather than full: open it anew before the next try.
    broken: bool,
    /// Failed writes since the last report.
    failures: u64,
    /// `Sink::dropped` at the last report.
    told_dropped: u64,
    told_at: Option<Instant>,
    /// The last report said that it cannot be written.
    told_failing: bool,
}

impl Sink {
    /// An empty buffer before `output`, drained by whoever `wake` wakes.
    pub fn new(place: Place, output: Box<dyn Write + Send>, wake: Arc<Wake>) -> Self {
        Self {
            place,
            waiting: Mutex::default(),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            drain: Mutex::new(Drain {
                output,
                taken: Vec::new(),
                written: 0,
                retry_at: None,
                broken: false,
                failures: 0,
                told_dropped: 0,
                told_at: None,
                told_failing: false,
            }),
            wake,
        }
    }

    /// Takes over a line, which ends in a line feed, or drops it where the buffer is full.
    pub fn append(&self, line: &[u8]) {
        let mut waiting = lock(&self.waiting);
        let before = waiting.len();
        if before + line.len() > CAPACITY {
            drop(waiting);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.extend_from_slice(line);
        drop(waiting);
        if before == 0 {
            self.wake.pending();
        }
        if before < URGENT && before + line.len() >= URGENT {
            self.wake.urgent();
        }
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Has the writer open the place anew, after what was logged so far.
    pub fn ask_to_reopen(&self) {
        self.reopen.store(true, Relaxed);
    }

    /// Writes what waits; returns when to try again if not all of it could be.
    pub fn drain(&self, now: Instant) -> Option<Instant> {
        let mut drain = lock(&self.drain);
        let reopen = self.reopen.swap(false, Relaxed);
        if !reopen && drain.retry_at.is_some_and(|at| now < at) {
            return drain.retry_at;
        }
        let done = self.write_all(&mut drain, now);
        if reopen {
            self.open_anew(&mut drain);
        }
        if reopen && done.is_err() {
            let _ = self.write_all(&mut drain, now);
        }
        self.report(&mut drain, now);
        drain.retry_at
    }

    /// Nothing waits for the writer.
    pub fn is_drained(&self) -> bool {
        let drain = lock(&self.drain);
        drain.written == drain.taken.len() && lock(&self.waiting).is_empty()
    }

    fn write_all(&self, drain: &mut Drain, now: Instant) -> Result<(), ()> {
        if mem::take(&mut drain.broken) {
            self.open_anew(drain);
        }
        loop {
            if drain.written == drain.taken.len() {
                drain.written = 0;
                drain.taken.clear();
                drain.taken.shrink_to(KEPT);
                mem::swap(&mut drain.taken, &mut *lock(&self.waiting));
                if drain.taken.is_empty() {
                    drain.retry_at = None;
                    return Ok(());
                }
            }
            match drain.output.write(&drain.taken[drain.written..]) {
                Ok(0) => return drain.failed(&ErrorKind::WriteZero.into(), now, &self.place),
                Ok(written) => drain.written += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return drain.failed(&error, now, &self.place),
            }
        }
    }

    fn open_anew(&self, drain: &mut Drain) {
        match self.place.open() {
            Ok(output) => {
                drain.output = output;
                // The new file begins with a whole line.
                let out = &drain.taken[..drain.written];
                drain.written = memchr::memrchr(b'\n', out).map_or(0, |at| at + 1);
            }
            Err(error) => {
                tracing::error!(log = %self.place, %error, "Log cannot be reopened; the old file stays in use");
            }
        }
    }

    /// Says that it works again, or that lines were lost while it did.
    fn report(&self, drain: &mut Drain, now: Instant) {
        let dropped = self.dropped();
        let lost = dropped - drain.told_dropped;
        if drain.retry_at.is_some() {
            return;
        }
        if mem::take(&mut drain.told_failing) {
            tracing::warn!(log = %self.place, dropped = lost, "Log is written again");
        } else if lost > 0 && drain.told_at.is_none_or(|at| now >= at + REPORT) {
            tracing::warn!(log = %self.place, dropped = lost, "Log is too slow; lines were dropped");
        } else {
            return;
        }
        drain.told_at = Some(now);
        drain.told_dropped = dropped;
    }
}

impl Drain {
    fn failed(&mut self, error: &io::Error, now: Instant, place: &Place) -> Result<(), ()> {
        if error.kind() == ErrorKind::WouldBlock {
            self.retry_at = Some(now + SLOW);
            return Err(());
        }
        self.retry_at = Some(now + RETRY);
        self.broken = !matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        );
        self.failures += 1;
        if self.told_at.is_none_or(|at| now >= at + REPORT) {
            let failures = mem::take(&mut self.failures);
            tracing::error!(log = %place, %error, failures, "Log cannot be written; traffic goes on without it");
            self.told_at = Some(now);
            self.told_failing = true;
        }
        Err(())
    }
}

/// Whole at every point where the code under these locks could unwind.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
