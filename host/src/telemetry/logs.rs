//! The files that are open, shared by vhosts and kept across reloads.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, Weak},
};

use super::{
    access::AccessLog,
    errors::{ErrorLogs, Journal},
    format::Format,
    output::Place,
    sink::{Sink, lock},
    writer::Writer,
};
use crate::snapshot::{self, AccessFormat, Snapshot};

/// All logs of the process.
pub struct Logs {
    open: Mutex<Open>,
    journal: Arc<Journal>,
}

/// A writer for each kind of output: a pipe that nobody reads must not hold up the files.
struct Open {
    files: Writer,
    stderr: Writer,
    /// Made when somebody logs there.
    stdout: Option<Writer>,
    sinks: BTreeMap<Place, Weak<Sink>>,
    access: Vec<(Place, AccessFormat, Weak<AccessLog>)>,
}

impl Logs {
    /// Starts the writers. Until [`Logs::adopt`] the error log is standard error, at `info`.
    pub fn start() -> io::Result<Arc<Self>> {
        let mut open = Open {
            files: Writer::start("log-files")?,
            stderr: Writer::start("log-stderr")?,
            stdout: None,
            sinks: BTreeMap::new(),
            access: Vec::new(),
        };
        let stderr = open.sink(Place::Stderr)?;
        let journal = Arc::new(Journal::new(stderr));
        Ok(Arc::new(Self {
            open: Mutex::new(open),
            journal,
        }))
    }

    /// The access log that is configured so; the same one for all who ask for the same.
    pub fn access(&self, log: &snapshot::AccessLog) -> io::Result<Arc<AccessLog>> {
        let place = Place::of(log.path.as_ref(), log.beneath.as_ref(), Place::Stdout);
        let format = Format::compile(&log.format)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut open = lock(&self.open);
        open.access.retain(|(_, _, log)| log.strong_count() > 0);
        let known = open.access.iter().find_map(|(at, shape, known)| {
            (*at == place && *shape == log.format).then(|| known.upgrade())?
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let sink = open.sink(place.clone())?;
        let made = Arc::new(AccessLog::new(format, sink));
        open.access
            .push((place, log.format.clone(), Arc::downgrade(&made)));
        Ok(made)
    }

    /// Opens the error logs of a configuration, of the process and of vhosts, without using them yet.
    pub fn errors(&self, snapshot: &Snapshot) -> io::Result<ErrorLogs> {
        let mut open = lock(&self.open);
        ErrorLogs::open(snapshot, |log| {
            open.sink(Place::of(
                log.path.as_ref(),
                log.beneath.as_ref(),
                Place::Stderr,
            ))
        })
    }

    /// Uses these error logs from now on.
    pub fn adopt(&self, errors: ErrorLogs) {
        self.journal.adopt(errors);
    }

    /// Where events go: the layer for `tracing`. [`Logs::install`] puts it to use.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Makes this the process's log of events; once a process.
    pub fn install(&self) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        Journal::install(&self.journal)
    }

    /// Opens every file anew, after logrotate renamed it. What was logged before is in the old one.
    pub fn reopen(&self) {
        for sink in lock(&self.open).sinks.values().filter_map(Weak::upgrade) {
            sink.ask_to_reopen();
        }
        self.flush();
    }

    /// Waits until all that was logged is written, or five seconds.
    pub fn flush(&self) {
        let open = lock(&self.open);
        open.files.flush();
        open.stderr.flush();
        if let Some(stdout) = &open.stdout {
            stdout.flush();
        }
    }
}

impl Open {
    fn sink(&mut self, place: Place) -> io::Result<Arc<Sink>> {
        if let Some(known) = self.sinks.get(&place).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let output = place.open()?;
        let writer = match place {
            Place::File(_) | Place::Beneath(..) => &self.files,
            Place::Stderr => &self.stderr,
            Place::Stdout => match &mut self.stdout {
                Some(writer) => writer,
                none => none.insert(Writer::start("log-stdout")?),
            },
        };
        let sink = Arc::new(Sink::new(place.clone(), output, writer.wake()));
        writer.adopt(Arc::clone(&sink));
        self.sinks.retain(|_, sink| sink.strong_count() > 0);
        self.sinks.insert(place, Arc::downgrade(&sink));
        Ok(sink)
    }
}
