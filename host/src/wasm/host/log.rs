//! `log`: a policy's lines in the host's log, escaped, cut and rationed.

use std::{
    fmt::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use wasmtime::{
    AsContext, StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, WasmStr},
};

use crate::{
    members::locked,
    policy::Environment,
    wasm::{bounds::Bucket, state::State},
};

/// Bytes of one message; a longer one ends in an ellipsis.
const MESSAGE: usize = 2048;

/// How often the log says of a policy that a limit leaves something out.
const REPEAT: Duration = Duration::from_secs(60);

/// `log.level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[allow(dead_code, reason = "made from the guest's number by wasmtime")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

/// One instance's way into the log.
pub(in crate::wasm) struct Journal {
    tenant: Arc<str>,
    policy: Arc<str>,
    ration: Arc<Mutex<Ration>>,
}

/// What all instances of a policy may log together: a new one for each body, or after each fault,
/// must not bring more.
#[derive(Debug)]
pub(in crate::wasm) struct Ration {
    bucket: Bucket,
    dropped: u64,
    /// Limits that it was said of that they were exceeded, and when.
    exceeded: Vec<(&'static str, Instant)>,
}

impl Ration {
    /// A full second's worth of so many bytes a second.
    pub(in crate::wasm) fn new(rate: u32) -> Self {
        Self {
            bucket: Bucket::new(rate),
            dropped: 0,
            exceeded: Vec::new(),
        }
    }

    /// Whether that may be said of a limit again.
    fn may_say(&mut self, limit: &'static str, now: Instant) -> bool {
        let said = self.exceeded.iter_mut().find(|(other, _)| *other == limit);
        match said {
            Some((_, at)) if now.saturating_duration_since(*at) < REPEAT => return false,
            Some((_, at)) => *at = now,
            None => self.exceeded.push((limit, now)),
        }
        true
    }

    /// Takes what a line has; then, how many were dropped before it. `None`: this one is as well.
    fn take(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        if !self.bucket.take(bytes, now) {
            self.dropped += 1;
            return None;
        }
        Some(std::mem::take(&mut self.dropped))
    }
}

impl Journal {
    /// On its policy's ration.
    pub(in crate::wasm) fn new(environment: &Environment, ration: Arc<Mutex<Ration>>) -> Self {
        let Environment {
            tenant,
            policy,
            limits,
            ..
        } = environment;
        // It may have been another when the ration was made.
        locked(&ration).bucket.set(limits.log_bytes);
        Self {
            tenant: tenant.clone(),
            policy: policy.clone(),
            ration,
        }
    }

    /// Something beyond a limit was left out, which the guest does not learn. Said once a minute.
    pub(in crate::wasm) fn exceeded(&self, limit: &'static str, now: Instant) {
        if !locked(&self.ration).may_say(limit, now) {
            return;
        }
        let (tenant, policy) = (&*self.tenant, &*self.policy);
        tracing::warn!(target: "switchyard::policy", tenant, policy, limit, "Policy asked for more than its limit; what exceeds it is left out");
    }

    /// A line that the guest printed.
    pub(in crate::wasm) fn print(&self, is_error: bool, line: &str) {
        let level = if is_error { Level::Warn } else { Level::Info };
        self.write(level, &legible(line), Instant::now());
    }

    fn write(&self, level: Level, message: &str, now: Instant) {
        let Some(dropped) = locked(&self.ration).take(message.len(), now) else {
            return;
        };
        let (tenant, policy) = (&*self.tenant, &*self.policy);
        if dropped > 0 {
            tracing::warn!(target: "switchyard::policy", tenant, policy, dropped, "Policy logged more than it may; lines were dropped");
        }
        match level {
            Level::Trace => {
                tracing::trace!(target: "switchyard::policy", tenant, policy, "{message}")
            }
            Level::Debug => {
                tracing::debug!(target: "switchyard::policy", tenant, policy, "{message}")
            }
            Level::Info => {
                tracing::info!(target: "switchyard::policy", tenant, policy, "{message}")
            }
            Level::Warn => {
                tracing::warn!(target: "switchyard::policy", tenant, policy, "{message}")
            }
            Level::Error => {
                tracing::error!(target: "switchyard::policy", tenant, policy, "{message}")
            }
        }
    }
}

/// `log`
pub(super) fn link(log: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    log.func_wrap(
        "log",
        |cx: StoreContextMut<'_, State>, (level, message): (Level, WasmStr)| {
            cx.data().meter.call()?;
            cx.data().meter.line()?;
            let message = legible(&message.to_str(cx.as_context())?);
            cx.data().journal.write(level, &message, Instant::now());
            Ok(())
        },
    )
}

/// Cut to size, with nothing in it that a terminal or a log reader would obey.
fn legible(message: &str) -> String {
    let cut = &message[..message.floor_char_boundary(MESSAGE)];
    let mut out = String::with_capacity(cut.len());
    for letter in cut.chars() {
        // Bidirectional controls reorder what an operator reads.
        let hides = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || hides {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}", letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    if cut.len() < message.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_escaped() {
        assert_eq!(
            legible("a\nb\u{1b}[31m\u{202e}"),
            "a\\nb\\u{1b}[31m\\u{202e}"
        );
        let long = legible(&"é".repeat(MESSAGE));
        assert!(long.len() <= MESSAGE + '…'.len_utf8() && long.ends_with('…'));
        assert_eq!(legible("grüße"), "grüße");
    }
}
