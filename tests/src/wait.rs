//! Waiting: always for a condition, never longer than a deadline.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long anything that should happen at once may take. Two busy cores run a dozen
/// gateways side by side, so this is generous; a passing test never waits for it.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Pause between two looks at a condition that nothing announces.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until `look` gives something.
///
/// For what can only be polled (the admin endpoint, a log file, an exit status).
///
/// # Panics
/// When `deadline` passes; the message names `what`.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {deadline:?} in vain: {what}");
        thread::park_timeout(PAUSE);
    }
}

/// Sets a flag when dropped: threads that run until the flag is set end even where the test fails.
#[derive(Debug)]
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
