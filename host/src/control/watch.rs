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
    event::{AccessKind, AccessMode, ModifyKind},
};
use tracing::warn;

use super::{
    Cause, Controller,
    trail::{Interest, Trail, Watched},
};
use crate::members::locked;

/// What is there whole (renamed, closed, removed) waits so long for what belongs to it …
const WHOLE: Pace = Pace {
    quiet: Duration::from_millis(15),
    longest: Duration::from_millis(40),
};
/// … and a file that is being written, until nothing happened for so long; but not for ever.
const WRITING: Pace = Pace {
    quiet: Duration::from_millis(50),
    longest: Duration::from_millis(100),
};
/// Events beyond these are nothing new to a pass that has not begun.
const WAITING: usize = 64;

/// Tells the watching thread which paths count.
#[derive(Clone)]
pub struct Watch {
    wake: SyncSender<Woken>,
    paths: Arc<Mutex<Watched>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Somebody is writing.
    Writing,
    /// What has changed is there as it shall be.
    Look,
    Stop,
}

/// How long a pass waits for the end of a burst.
struct Pace {
    /// After the latest event.
    quiet: Duration,
    /// After the first one: ten replacements a second must all be seen.
    longest: Duration,
}

/// The thread's own part.
pub(super) struct Watching {
    woken: Receiver<Woken>,
    paths: Arc<Mutex<Watched>>,
    names: Arc<ArcSwap<Interest>>,
    watcher: RecommendedWatcher,
    watched: Vec<PathBuf>,
    complained: bool,
}

impl Watch {
    /// Nothing is watched yet. The second part is for [`Watch::start`].
    pub(super) fn new() -> notify::Result<(Self, Watching)> {
        let (wake, woken) = sync_channel(WAITING);
        let paths = Arc::<Mutex<Watched>>::default();
        let names = Arc::<ArcSwap<Interest>>::default();
        let (waker, interesting) = (wake.clone(), Arc::clone(&names));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if concerns(&event, &interesting.load()) {
                // Full: there is a pass to come that will see this too.
                let _ = waker.try_send(woken_by(&event));
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
    pub(super) fn paths(&self, paths: &Watched) {
        let mut current = locked(&self.paths);
        if *current != *paths {
            *current = paths.clone();
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

fn concerns(event: &notify::Result<Event>, names: &Interest) -> bool {
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

/// Whether the event is one of many that a file's writer makes, or its last.
fn woken_by(event: &notify::Result<Event>) -> Woken {
    match event {
        Ok(Event {
            kind: EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)),
            ..
        }) => Woken::Writing,
        _ => Woken::Look,
    }
}

impl Watching {
    fn run(mut self, controller: &Controller) {
        while let Ok(woken) = self.woken.recv() {
            if !self.gather(woken) {
                return;
            }
            self.arm();
            if controller.reload(Cause::Files).blocking_recv().is_err() {
                return;
            }
        }
    }

    /// Waits for the end of the burst that `woken` began. False: it is over for good.
    fn gather(&self, mut woken: Woken) -> bool {
        let begun = Instant::now();
        loop {
            let pace = match woken {
                Woken::Look => WHOLE,
                Woken::Writing => WRITING,
                Woken::Stop => return false,
            };
            let left = pace.longest.saturating_sub(begun.elapsed());
            match self.woken.recv_timeout(pace.quiet.min(left)) {
                Ok(Woken::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(_) if left.is_zero() => return true,
                Ok(next) => woken = next,
            }
        }
    }

    /// Watches the folders as they are now. The kernel watches inodes, not paths, so a folder that
    /// was replaced has to be watched anew; that nothing is left out, all are.
    fn arm(&mut self) {
        let trail = Trail::of(&locked(&self.paths));
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
    fn file_that_is_whole_is_looked_at_sooner_than_one_being_written() {
        let (folder, name) = (tempfile::tempdir().unwrap(), "a.toml");
        let path = folder.path().join(name);
        let (seen, events) = std::sync::mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let mut names = Interest::default();
            names.names.insert(path.clone());
            if concerns(&event, &names) {
                seen.send(woken_by(&event)).unwrap();
            }
        })
        .unwrap();
        watcher
            .watch(folder.path(), RecursiveMode::NonRecursive)
            .unwrap();
        // Writers end with the event that says that all is there.
        let next = || events.recv_timeout(Duration::from_secs(20)).unwrap();
        let writing = || {
            let mut count = 0;
            while next() == Woken::Writing {
                count += 1;
            }
            count
        };
        std::fs::write(folder.path().join(name), "one").unwrap();
        assert!(writing() > 0);
        std::fs::write(folder.path().join(name), "two").unwrap();
        assert!(writing() > 0);
        std::fs::write(folder.path().join("beside"), "three").unwrap();
        std::fs::rename(folder.path().join("beside"), folder.path().join(name)).unwrap();
        assert_eq!(writing(), 0, "renamed: it was there whole");
    }

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
        assert!(watching.gather(Woken::Writing));
        passed.store(true, Ordering::Relaxed);
        events.join().unwrap();
    }
}
