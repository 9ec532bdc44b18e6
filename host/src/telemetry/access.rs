//! One access log: a format and where its lines go.

use std::{cell::RefCell, sync::Arc};

use super::{format::Format, record::Record, sink::Sink};

/// Longest line; what is beyond it is cut. Heads are bounded already: this bounds what a format makes of them.
const LONGEST: usize = 64 << 10;

/// Writes one line for each finished exchange.
pub struct AccessLog {
    format: Format,
    sink: Arc<Sink>,
}

thread_local! {
    /// Lines are made here, outside every lock.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl AccessLog {
    pub(super) fn new(format: Format, sink: Arc<Sink>) -> Self {
        Self { format, sink }
    }

    /// Logs a finished exchange. Never waits: a line that finds the buffer full is dropped and counted.
    pub fn write(&self, record: &Record<'_>) {
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.format.render(record, line);
            line.truncate(LONGEST);
            line.push(b'\n');
            self.sink.append(line);
        });
    }

    /// Lines dropped so far, this log's and others' to the same file.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}
