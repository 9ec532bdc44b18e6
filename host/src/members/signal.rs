//! How members tell their pool that something about them changed.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Counts changes that may make a member usable or unusable, and wakes those who wait for one.
#[derive(Debug, Default)]
pub(super) struct Signal {
    changes: AtomicU64,
    changed: Notify,
}

impl Signal {
    /// Something changed; call it after the change.
    pub fn raise(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Changes so far; read it before reading what changes.
    pub fn seen(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Wakes at the next change.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

/// The guarded value, also after a panic elsewhere: what these locks guard is
/// whole at every point where the code under them could unwind.
pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
