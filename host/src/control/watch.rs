//! Notices that watched files may have changed.
//!
//! Events only wake the writer, which compares contents. Every pass follows the
//! watched paths anew and watches all folders on the way before the writer looks:
//! whatever happens later makes an event, whatever happened before is seen. So
//! it does not matter what an editor, `mv`, Kubernetes or a deploy tool does.
//!
//! The debouncer of `notify-debouncer-full` is not used: a pass must follow an
//! event within 100 ms even while events keep coming, and needs no history of them.

use std::{
    collections::HashSet,
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tracing::warn;

use super::{Cause, Controller, trail::Trail};
use crate::members::locked;

/// A file that is being written is left alone until nothing happened for so long …
const QUIET: Duration = Duration::from_millis(50);
/// … but no longer than this: ten replacements a second must all be seen.
const LONGEST: Duration = Duration::from_millis(100);
/// Events beyond these are nothing new to a pass that has not begun.
const WAITING: usize = 64;

/// Tells the watching thread which paths count.
#[derive(Clone)]
pub struct Watch {
    wake: SyncSender<Woken>,
    paths: Arc<Mutex<Vec<PathBuf>>>,
}

enum Woken {
    Look,
    Stop,
}

/// The thread's own part.
pub(super) struct Watching {
    woken: Receiver<Woken>,
    paths: Arc<Mutex<Vec<PathBuf>>>,
    names: Arc<ArcSwap<HashSet<PathBuf>>>,
    watcher: RecommendedWatcher,
    watched: Vec<PathBuf>,
    complained: bool,
}

impl Watch {
    /// Nothing is watched yet. The second part is for [`Watch::start`].
    pub(super) fn new() -> notify::Result<(Self, Watching)> {
        let (wake, woken) = sync_channel(WAITING);
        let paths = Arc::<Mutex<Vec<PathBuf>>>::default();
        let names = Arc::<ArcSwap<HashSet<PathBuf>>>::default();
        let (waker, interesting) = (wake.clone(), Arc::clone(&names));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if concerns(&event, &interesting.load()) {
                // Full: there is a pass to come that will see this too.
                let _ = waker.try_send(Woken::Look);
            }
        })?;
        let watching = Watching {
            woken,
            paths: Arc::clone(&paths),
            names,
            watcher,
            watched: Vec::new(),
            complained: false,
        };
        Ok((Self { wake, paths }, watching))
    }

    /// Watches on a thread of its own what `controller` has loaded and will load.
    pub fn start(controller: &Controller) -> io::Result<Self> {
        let (watch, watching) = Self::new().map_err(io::Error::other)?;
        controller.watch_with(watch.clone());
        let controller = controller.clone();
        thread::Builder::new()
            .name("watch".into())
            .spawn(move || watching.run(&controller))?;
        Ok(watch)
    }

    /// Watches these from now on, and looks at them.
    pub(super) fn paths(&self, paths: Vec<PathBuf>) {
        let mut current = locked(&self.paths);
        if *current != paths {
            *current = paths;
            drop(current);
            let _ = self.wake.try_send(Woken::Look);
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        // An error means that it has ended.
        let _ = self.wake.send(Woken::Stop);
    }
}

fn concerns(event: &notify::Result<Event>, names: &HashSet<PathBuf>) -> bool {
    match event {
        // Reading is no change, and we read ourselves.
        Ok(Event {
            kind: EventKind::Access(kind),
            ..
        }) if *kind != AccessKind::Close(AccessMode::Write) => false,
        Ok(event) => event.need_rescan() || event.paths.iter().any(|path| names.contains(path)),
        Err(_) => true,
    }
}

impl Watching {
    fn run(mut self, controller: &Controller) {
        while let Ok(Woken::Look) = self.woken.recv() {
            if !self.gather() {
                return;
            }
            self.arm();
            if controller.reload(Cause::Files).blocking_recv().is_err() {
                return;
            }
        }
    }

    /// Waits for the end of a burst. False: it is over for good.
    fn gather(&self) -> bool {
        let end = Instant::now() + LONGEST;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.woken.recv_timeout(QUIET.min(left)) {
                Ok(Woken::Look) if !left.is_zero() => {}
                Ok(Woken::Look) | Err(RecvTimeoutError::Timeout) => return true,
                Ok(Woken::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Watches the folders as they are now. The kernel watches inodes, not paths, so a folder that
    /// was replaced has to be watched anew; that nothing is left out, all are.
    fn arm(&mut self) {
        let trail = Trail::of(locked(&self.paths).iter());
        self.names.store(Arc::new(trail.names));
        for folder in self.watched.drain(..) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(&folder);
        }
        let mut failed = None;
        for folder in trail.folders {
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.push(folder),
                Err(error) => failed = Some((folder, error)),
            }
        }
        match failed {
            Some((folder, error)) if !self.complained => {
                self.complained = true;
                warn!(folder = %folder.display(), %error, "A folder cannot be watched; changes in it need SIGHUP");
            }
            Some(_) => {}
            None => self.complained = false,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn pass_comes_even_while_events_keep_coming() {
        let (watch, watching) = Watch::new().unwrap();
        let passed = Arc::new(AtomicBool::new(false));
        let enough = Arc::clone(&passed);
        let events = thread::spawn(move || {
            while !enough.load(Ordering::Relaxed) {
                let _ = watch.wake.try_send(Woken::Look);
                thread::yield_now();
            }
        });
        assert!(watching.gather());
        passed.store(true, Ordering::Relaxed);
        events.join().unwrap();
    }
}
