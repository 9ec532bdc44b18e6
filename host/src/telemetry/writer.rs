//! The thread that carries buffers to their outputs.

use std::{
    io,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::sink::{Sink, lock};

/// Lines gather this long before they are written: a wake-up for each would cost more than writing it.
const GATHER: Duration = Duration::from_millis(20);

/// Longest wait for lines to reach their file when the process ends.
const FLUSH: Duration = Duration::from_secs(5);

/// One thread and the sinks it drains.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    sinks: Mutex<Vec<Arc<Sink>>>,
    wake: Arc<Wake>,
}

/// Wakes a writer.
#[derive(Default)]
pub(super) struct Wake {
    state: Mutex<State>,
    asleep: Condvar,
    drained: Condvar,
}

#[derive(Default)]
struct State {
    pending: bool,
    urgent: bool,
    stop: bool,
    /// Flushes asked for and done.
    asked: u64,
    done: u64,
}

impl Wake {
    /// Lines wait, and more may come.
    pub fn pending(&self) {
        lock(&self.state).pending = true;
        self.asleep.notify_one();
    }

    /// Enough lines wait.
    pub fn urgent(&self) {
        lock(&self.state).urgent = true;
        self.asleep.notify_one();
    }

    /// Sleeps until there is something to do; returns the flushes asked for, or `None` at the end.
    fn sleep(&self, retry_at: Option<Instant>) -> Option<u64> {
        let mut state = lock(&self.state);
        while !state.pending && !state.urgent && !state.stop {
            let left = retry_at.map(|at| at.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) => break,
                Some(left) => state = wait(&self.asleep, state, left),
                // An hour stands for ever.
                None => state = wait(&self.asleep, state, Duration::from_secs(3600)),
            }
        }
        let until = Instant::now() + GATHER;
        while !state.urgent && !state.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = wait(&self.asleep, state, left);
        }
        state.pending = false;
        state.urgent = false;
        (!state.stop).then_some(state.asked)
    }
}

fn wait<'a>(
    condition: &Condvar,
    state: std::sync::MutexGuard<'a, State>,
    longest: Duration,
) -> std::sync::MutexGuard<'a, State> {
    match condition.wait_timeout(state, longest) {
        Ok((state, _)) => state,
        Err(poisoned) => poisoned.into_inner().0,
    }
}

impl Writer {
    /// Starts the thread.
    pub fn start(name: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            sinks: Mutex::default(),
            wake: Arc::default(),
        });
        let ours = Arc::clone(&shared);
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(256 << 10)
            .spawn(move || ours.run())?;
        Ok(Self { shared })
    }

    /// What its sinks wake it with.
    pub fn wake(&self) -> Arc<Wake> {
        Arc::clone(&self.shared.wake)
    }

    /// Drains `sink` until nobody else holds it and it is empty.
    pub fn adopt(&self, sink: Arc<Sink>) {
        lock(&self.shared.sinks).push(sink);
    }

    /// Writes everything logged before, however long that takes up to a bound.
    pub fn flush(&self) {
        let wake = &self.shared.wake;
        let until = Instant::now() + FLUSH;
        let mut state = lock(&wake.state);
        state.asked += 1;
        state.urgent = true;
        let mine = state.asked;
        wake.asleep.notify_one();
        while state.done < mine {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = wait(&wake.drained, state, left);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
        lock(&self.shared.wake.state).stop = true;
        self.shared.wake.asleep.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut retry_at = None;
        while let Some(asked) = self.wake.sleep(retry_at) {
            retry_at = self.drain();
            let mut state = lock(&self.wake.state);
            if state.done < asked {
                state.done = asked;
                self.wake.drained.notify_all();
            }
        }
    }

    fn drain(&self) -> Option<Instant> {
        let sinks = lock(&self.sinks).clone();
        let now = Instant::now();
        let retry_at = sinks.iter().filter_map(|sink| sink.drain(now)).min();
        drop(sinks);
        lock(&self.sinks).retain(|sink| Arc::strong_count(sink) > 1 || !sink.is_drained());
        retry_at
    }
}
