//! One policy's file and the thread that writes it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tracing::{error, info};

use super::{
    Frame, Opening,
    frame::{self, append},
    redact::Redactor,
};
use crate::snapshot::Record;

/// Bytes that wait for the thread; a second of 10,000 calls of 1 KiB, all recorded, fit.
const QUEUE: usize = 8 << 20;

/// The thread is woken for this much at once, and otherwise looks after [`LINGER`].
const BATCH: usize = 256 << 10;

/// What was recorded is in the file after this long.
const LINGER: Duration = Duration::from_millis(100);

/// A process that ends waits this long for its disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes one policy's recordings.
pub struct Recorder {
    shared: Arc<Shared>,
    pub(super) redactor: Redactor,
    settings: Record,
}

/// What `switchyard status` and the metrics tell of a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecorderStatus {
    /// Windows begun.
    pub windows: u64,
    /// Calls recorded.
    pub calls: u64,
    /// Windows that ended early because the thread could not keep up.
    pub dropped: u64,
    /// Bytes written.
    pub bytes: u64,
    /// How often a full file was put aside.
    pub rotations: u64,
    /// The file could not be written, so nothing is recorded any more.
    pub failed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    ended: Condvar,
    counters: Counters,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Rises when a file is put aside: windows that began in it end.
    file: u64,
    next_window: u64,
    /// The recorder is gone; the thread writes what is there and ends.
    closing: bool,
    ended: bool,
    failed: bool,
}

#[derive(Default)]
struct Counters {
    windows: AtomicU64,
    calls: AtomicU64,
    dropped: AtomicU64,
    bytes: AtomicU64,
    rotations: AtomicU64,
}

/// Where a window writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub window: u64,
    pub file: u64,
}

impl Recorder {
    /// Starts the thread. The file is made when there is something to write.
    pub fn start(tenant: &str, policy: &str, settings: Record) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            filled: Condvar::new(),
            ended: Condvar::new(),
            counters: Counters::default(),
        });
        let opening = Opening {
            host: env!("CARGO_PKG_VERSION").to_owned(),
            tenant: tenant.to_owned(),
            policy: policy.to_owned(),
            at_ms: 0,
            redact: settings.redact.clone(),
        };
        let shared_by_thread = Arc::clone(&shared);
        let mut writer = Writer {
            path: settings.path.clone(),
            max_size: settings.max_size,
            opening,
            file: None,
            shared: Arc::clone(&shared),
        };
        thread::Builder::new()
            .name("recording".into())
            .spawn(move || {
                writer.run();
                shared_by_thread.locked().ended = true;
                shared_by_thread.ended.notify_all();
            })?;
        Ok(Arc::new(Self {
            shared,
            redactor: Redactor::new(&settings.redact),
            settings,
        }))
    }

    /// As configured.
    pub fn settings(&self) -> &Record {
        &self.settings
    }

    /// What it has done so far.
    pub fn status(&self) -> RecorderStatus {
        let counters = &self.shared.counters;
        RecorderStatus {
            windows: counters.windows.load(Relaxed),
            calls: counters.calls.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            rotations: counters.rotations.load(Relaxed),
            failed: self.shared.locked().failed,
        }
    }

    /// Records nothing more; the thread writes what it has and ends.
    pub(super) fn close(&self) {
        self.shared.locked().closing = true;
        self.shared.filled.notify_one();
    }

    /// Nothing more comes: waits until what was recorded is in the file, for as long as a process that
    /// ends may wait for a disk that hangs.
    pub fn finish(&self) {
        let mut queue = self.shared.locked();
        queue.closing = true;
        self.shared.filled.notify_all();
        let ended = self
            .shared
            .ended
            .wait_timeout_while(queue, PATIENCE, |queue| !queue.ended);
        drop(ended);
    }

    /// Begins a window with the frame that `start` makes of its number; `None` where nothing is
    /// recorded now.
    pub(super) fn begin(&self, start: impl FnOnce(u64) -> Frame) -> Option<Place> {
        let mut queue = self.shared.locked();
        if queue.failed || queue.closing {
            return None;
        }
        let window = queue.next_window;
        let place = Place {
            window,
            file: queue.file,
        };
        let frame = start(window);
        if !self.put(&mut queue, place, |out| append(out, &frame)) {
            return None;
        }
        queue.next_window += 1;
        self.shared.counters.windows.fetch_add(1, Relaxed);
        Some(place)
    }

    /// Hands a call's frame over; `false` where the window ends with this.
    pub(super) fn call(&self, place: Place, frame: &Frame) -> bool {
        // Outside the lock: others wait for it.
        let mut bytes = Vec::new();
        let fits = append(&mut bytes, frame);
        let mut queue = self.shared.locked();
        let fits = fits
            && self.put(&mut queue, place, |out| {
                out.extend_from_slice(&bytes);
                true
            });
        if fits {
            self.shared.counters.calls.fetch_add(1, Relaxed);
        } else if !queue.failed && !queue.closing && queue.file == place.file {
            self.shared.counters.dropped.fetch_add(1, Relaxed);
        }
        fits
    }

    /// Writes that a window ended.
    pub(super) fn end(&self, place: Place, frame: &Frame) {
        let mut queue = self.shared.locked();
        // A reader takes a window without an end for one that was cut off.
        let _ = self.put(&mut queue, place, |out| append(out, frame));
    }

    fn put(
        &self,
        queue: &mut Queue,
        place: Place,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        if queue.failed || queue.closing || queue.file != place.file {
            return false;
        }
        let before = queue.bytes.len();
        if !write(&mut queue.bytes) || queue.bytes.len() > QUEUE {
            queue.bytes.truncate(before);
            return false;
        }
        if before < BATCH && queue.bytes.len() >= BATCH || before == 0 {
            self.shared.filled.notify_one();
        }
        true
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's part.
struct Writer {
    path: PathBuf,
    max_size: u64,
    opening: Opening,
    /// And the bytes it has.
    file: Option<(File, u64)>,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(&mut self) {
        let mut batch = Vec::new();
        loop {
            let closing = self.wait(&mut batch);
            if !batch.is_empty() {
                if let Err(cause) = self.write(&batch) {
                    let (path, policy) = (self.path.display(), &self.opening.policy);
                    error!(policy, %path, %cause, "The recording cannot be written; nothing is recorded until the configuration changes");
                    self.shared.locked().failed = true;
                    return;
                }
                batch.clear();
            }
            if closing {
                return;
            }
        }
    }

    /// Takes what is there, after a while in which more may come.
    fn wait(&self, batch: &mut Vec<u8>) -> bool {
        let shared = &self.shared;
        let waiting = |queue: &mut Queue| queue.bytes.is_empty() && !queue.closing;
        let queue = shared.filled.wait_while(shared.locked(), waiting);
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        let gathering = |queue: &mut Queue| queue.bytes.len() < BATCH && !queue.closing;
        let queue = shared.filled.wait_timeout_while(queue, LINGER, gathering);
        let (mut queue, _) = queue.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut queue.bytes, batch);
        queue.closing
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let counters = &self.shared.counters;
        if self.file.is_none() {
            let mut first = frame::title().into_bytes();
            self.opening.at_ms = wall_ms();
            append(&mut first, &Frame::Opening(self.opening.clone()));
            let mut file = create(&self.path)?;
            file.write_all(&first)?;
            let path = self.path.display();
            info!(policy = self.opening.policy, %path, "Records decisions");
            self.file = Some((file, first.len() as u64));
        }
        if let Some((file, size)) = &mut self.file {
            let fits = whole_frames(batch, self.max_size.saturating_sub(*size));
            file.write_all(fits)?;
            *size += fits.len() as u64;
            counters.bytes.fetch_add(fits.len() as u64, Relaxed);
            if fits.len() < batch.len() {
                self.put_aside();
            }
        }
        Ok(())
    }

    /// The file is full. What waits belongs to windows that end with it.
    fn put_aside(&mut self) {
        self.file = None;
        let mut queue = self.shared.locked();
        queue.file += 1;
        queue.bytes.clear();
        self.shared.counters.rotations.fetch_add(1, Relaxed);
    }
}

/// As many frames from the start of `batch` as have room.
fn whole_frames(batch: &[u8], room: u64) -> &[u8] {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let mut end = 0;
    while let Some((length, _)) = batch.get(end..).and_then(<[u8]>::split_first_chunk) {
        let next = end + 4 + u32::from_le_bytes(*length) as usize;
        if next > room || next > batch.len() {
            break;
        }
        end = next;
    }
    batch.get(..end).unwrap_or(batch)
}

/// A file for its user alone; what was there is put aside as `NAME.1`. Never follows a link.
fn create(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok() {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        fs::rename(path, aside)?;
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
