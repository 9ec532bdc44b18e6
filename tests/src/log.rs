//! Lines of a process's standard error, as they come.

use std::{
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

/// What the gateway wrote to standard error.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Log {
    pub(crate) fn push(&self, line: String) {
        self.state.lock().unwrap().0.push(line);
        self.changed.notify_all();
    }

    pub(crate) fn end(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    pub(crate) fn ended(&self) -> bool {
        self.state.lock().unwrap().1
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap().0.clone()
    }

    pub(crate) fn wait<T>(
        &self,
        deadline: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut state = self.state.lock().unwrap();
        let mut looked = 0;
        loop {
            if let Some(found) = state.0[looked..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            looked = state.0.len();
            let left = end.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}
