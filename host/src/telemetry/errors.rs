//! The error log: `tracing`'s events, one line each.
//!
//! `2026-11-22T23:48:12.345Z warn  Member is blocked balancer=app member=http://10.0.0.1:8080 cause=connect_refused`

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io,
    sync::Arc,
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};

use super::{escape, harmless, sink::Sink, time};
use crate::snapshot::{ErrorLog, Level, Snapshot};

/// Longest line; what is beyond it is cut.
const LONGEST: usize = 16 << 10;

/// Trouble with logs themselves: goes to standard error too, should it be the error log that has it.
const OURS: &str = concat!(env!("CARGO_PKG_NAME"), "::telemetry::sink");

/// Where events go, in service.
pub struct Journal {
    stderr: Arc<Sink>,
    current: ArcSwap<ErrorLogs>,
}

/// Opened error logs, of the process and of the vhosts that have their own.
pub struct ErrorLogs {
    process: Destination,
    vhosts: BTreeMap<String, Destination>,
    /// The least important level that any of them takes.
    level: LevelFilter,
}

#[derive(Clone)]
struct Destination {
    sink: Arc<Sink>,
    level: LevelFilter,
}

impl ErrorLogs {
    pub(super) fn open(
        snapshot: &Snapshot,
        mut sink: impl FnMut(&ErrorLog) -> io::Result<Arc<Sink>>,
    ) -> io::Result<Self> {
        let mut open = |log: &ErrorLog| {
            Ok::<_, io::Error>(Destination {
                sink: sink(log)?,
                level: filter(log.level),
            })
        };
        let process = open(&snapshot.log.error)?;
        let mut vhosts = BTreeMap::new();
        for vhost in &snapshot.vhosts {
            let own = vhost.log.as_ref().map(|log| &log.error);
            if let Some(own) = own.filter(|own| **own != snapshot.log.error) {
                match open(own) {
                    Ok(opened) => drop(vhosts.insert(vhost.name.clone(), opened)),
                    // One tenant's disk is nothing to the others.
                    Err(error) if !vhost.tenant.is_operator() => {
                        let (tenant, vhost) = (&vhost.tenant, &vhost.name);
                        tracing::error!(%tenant, vhost, %error, "A tenant's log cannot be opened; its lines go to the operator's");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let all = vhosts.values().map(|d| d.level);
        let level = all.fold(process.level, LevelFilter::max);
        Ok(Self {
            process,
            vhosts,
            level,
        })
    }
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    }
}

impl Journal {
    pub(super) fn new(stderr: Arc<Sink>) -> Self {
        let level = LevelFilter::INFO;
        let process = Destination {
            sink: Arc::clone(&stderr),
            level,
        };
        Self {
            stderr,
            current: ArcSwap::from_pointee(ErrorLogs {
                process,
                vhosts: BTreeMap::new(),
                level,
            }),
        }
    }

    pub(super) fn adopt(&self, errors: ErrorLogs) {
        self.current.store(Arc::new(errors));
        // Call sites remember whether anybody listens.
        tracing::callsite::rebuild_interest_cache();
    }

    pub(super) fn install(
        journal: &Arc<Self>,
    ) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
        let subscriber = tracing_subscriber::registry().with(Arc::clone(journal).layer());
        tracing::subscriber::set_global_default(subscriber)
    }

    /// As a layer, to be combined with others.
    pub fn layer<S>(self: Arc<Self>) -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        JournalLayer(self)
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let level = self.current.load().level;
        // Libraries tell their own developers' stories below `warn`.
        let level = if is_ours(metadata) || level == LevelFilter::TRACE {
            level
        } else {
            level.min(LevelFilter::WARN)
        };
        *metadata.level() <= level
    }

    fn write(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let current = self.current.load();
        let own = fields
            .vhost
            .as_ref()
            .and_then(|name| current.vhosts.get(name));
        let destination = own.unwrap_or(&current.process);
        let metadata = event.metadata();
        if *metadata.level() > destination.level {
            return;
        }
        let line = fields.line(metadata, SystemTime::now());
        destination.sink.append(&line);
        if metadata.target().starts_with(OURS) && !Arc::ptr_eq(&destination.sink, &self.stderr) {
            self.stderr.append(&line);
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(env!("CARGO_PKG_NAME"))
}

struct JournalLayer(Arc<Journal>);

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.0.takes(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.takes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.current.load().level)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.write(event);
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
    vhost: Option<String>,
}

impl Fields {
    fn line(&self, metadata: &Metadata<'_>, now: SystemTime) -> Vec<u8> {
        let mut line = Vec::with_capacity(64 + self.message.len() + self.others.len());
        time::rfc3339(&mut line, now, 3);
        line.push(b' ');
        line.extend_from_slice(word(metadata.level()));
        line.push(b' ');
        line.extend_from_slice(self.message.as_bytes());
        line.extend_from_slice(self.others.as_bytes());
        line.truncate(LONGEST);
        line.push(b'\n');
        line
    }

    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(&harmless(value));
            return;
        }
        if field.name() == "vhost" {
            self.vhost = Some(value.to_owned());
        }
        let _ = write!(self.others, " {}=", field.name());
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
        if !value.is_empty() && value.chars().all(plain) {
            self.others.push_str(value);
        } else {
            let mut quoted = Vec::new();
            escape::json(&mut quoted, value.as_bytes());
            self.others.push_str(&String::from_utf8_lossy(&quoted));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.add(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

fn word(level: &tracing::Level) -> &'static [u8] {
    match *level {
        tracing::Level::ERROR => b"error",
        tracing::Level::WARN => b"warn ",
        tracing::Level::INFO => b"info ",
        tracing::Level::DEBUG => b"debug",
        tracing::Level::TRACE => b"trace",
    }
}
