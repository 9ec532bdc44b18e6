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

#[cfg(test)]
mod tests {
    use tracing::{Level, subscriber::with_default};
    use tracing_subscriber::{Layer, layer::SubscriberExt, registry};

    use super::*;

    /// A disk with so many bytes left.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn grow(&self, bytes: usize) {
            lock(&self.0).0 += bytes;
        }

        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).1.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (left, written) = &mut *lock(&self.0);
            let takes = bytes.len().min(*left);
            if takes == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            *left -= takes;
            written.extend_from_slice(&bytes[..takes]);
            Ok(takes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(disk: &Disk) -> Sink {
        let place = Place::File("/nonexistent/folder/access.log".into());
        Sink::new(place, Box::new(disk.clone()), Arc::default())
    }

    /// How many events of each level `during` logs.
    fn reports(during: impl FnOnce()) -> (u64, u64) {
        #[derive(Default)]
        struct Counts {
            warn: AtomicU64,
            error: AtomicU64,
        }
        struct Counter(Arc<Counts>);
        impl<S: tracing::Subscriber> Layer<S> for Counter {
            fn on_event(
                &self,
                event: &tracing::Event<'_>,
                _: tracing_subscriber::layer::Context<'_, S>,
            ) {
                match *event.metadata().level() {
                    Level::WARN => self.0.warn.fetch_add(1, Relaxed),
                    Level::ERROR => self.0.error.fetch_add(1, Relaxed),
                    _ => 0,
                };
            }
        }
        let counts = Arc::new(Counts::default());
        with_default(registry().with(Counter(Arc::clone(&counts))), during);
        (counts.warn.load(Relaxed), counts.error.load(Relaxed))
    }

    #[test]
    fn full_disk_loses_nothing_that_fits_and_goes_on_in_the_middle_of_a_line() {
        let disk = Disk::default();
        let sink = sink(&disk);
        disk.grow(9);
        sink.append(b"first\n");
        sink.append(b"second\n");
        let now = Instant::now();
        let retry = sink.drain(now).expect("it is full");
        assert_eq!(disk.text(), "first\nsec");
        sink.append(b"third\n");
        disk.grow(100);
        assert_eq!(sink.drain(now), Some(retry), "not before it is time");
        assert_eq!(sink.drain(retry), None);
        assert_eq!(disk.text(), "first\nsecond\nthird\n");
        assert!(sink.is_drained());
    }

    #[test]
    fn full_buffer_drops_whole_lines_and_counts_them() {
        let disk = Disk::default();
        let sink = sink(&disk);
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        for _ in 0..CAPACITY / 1024 + 10 {
            sink.append(&line);
        }
        assert_eq!(sink.dropped(), 10);
        disk.grow(usize::MAX);
        sink.drain(Instant::now());
        assert_eq!(disk.text().len(), CAPACITY);
        assert!(disk.text().lines().all(|line| line.len() == 1023));
    }

    #[test]
    fn trouble_is_reported_once_a_minute_and_its_end_once() {
        let disk = Disk::default();
        let sink = sink(&disk);
        sink.append(b"line\n");
        let begin = Instant::now();
        let seen = reports(|| {
            for second in 0..180 {
                sink.drain(begin + Duration::from_secs(second));
            }
        });
        assert_eq!(seen, (0, 3));
        disk.grow(100);
        let end = begin + Duration::from_secs(200);
        let seen = reports(|| {
            sink.drain(end);
            sink.drain(end);
        });
        assert_eq!(seen, (1, 0));
    }

    #[test]
    fn disk_that_fills_up_every_second_is_reported_once_a_minute_too() {
        let disk = Disk::default();
        let sink = sink(&disk);
        let begin = Instant::now();
        let (warn, error) = reports(|| {
            for second in 0..120 {
                sink.append(b"line\n");
                if second % 2 == 1 {
                    disk.grow(10);
                }
                sink.drain(begin + Duration::from_secs(second));
            }
        });
        assert!(warn <= 2 && error <= 2, "{warn} and {error}");
    }
}
