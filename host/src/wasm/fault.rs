//! Turns wasmtime's errors into a policy's faults.

use std::{fmt::Write, time::Duration};

use rustc_demangle::try_demangle;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::policy::Fault;

/// Bytes of a trap's text: some twenty frames with names.
const TEXT: usize = 4096;

/// Bytes of a function's name in it.
const NAME: usize = 200;

/// Bytes of a name that are demangled. Generic Rust functions have some hundreds.
const MANGLED: usize = 2048;

/// Why the host stopped a guest. Travels through wasmtime as its error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("ran longer than {0:?}")]
    Deadline(Duration),
    #[error("asked for more than {0} bytes of memory")]
    Memory(usize),
    #[error("more {0} than one call may cost")]
    HostLimit(&'static str),
    #[error("`{interface}` is not available here: {why}")]
    Absent {
        interface: &'static str,
        why: &'static str,
    },
    #[error("shared.cells: index {index} of {length}")]
    CellIndex { index: u32, length: usize },
    #[error("the instance ended")]
    Ended,
    #[error("exited with status {0}: a policy serves until it is replaced")]
    Exit(u8),
    #[error("called `{0}`: policies have no files, no network and nothing to wait for")]
    NotGranted(String),
    #[error("a handle that this instance was never given")]
    Handle,
    #[error("asks for what the recording does not hold")]
    Unrecorded,
}

/// What `error` means for the instance that raised it.
pub(super) fn classify(error: &wasmtime::Error) -> Fault {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Deadline(allowed)) => return Fault::Deadline(*allowed),
        Some(Stop::Memory(limit)) => return Fault::Memory(*limit),
        Some(Stop::HostLimit(what)) => return Fault::HostLimit(what),
        Some(Stop::Ended) => return Fault::Ended,
        Some(
            Stop::Absent { .. }
            | Stop::CellIndex { .. }
            | Stop::Exit(_)
            | Stop::NotGranted(_)
            | Stop::Handle
            | Stop::Unrecorded,
        )
        | None => {}
    }
    // A trapped store answers so to whoever comes later.
    if let Some(Trap::CannotEnterComponent) = error.downcast_ref::<Trap>() {
        return Fault::Ended;
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::HostLimit("instances in the whole process");
    }
    let cause = error.root_cause().to_string();
    // wasmtime keeps these errors' types to itself.
    if cause.contains("hostcalls has been exhausted") {
        return Fault::HostLimit("bytes handed over");
    }
    if cause.contains("store handle limit exceeded") {
        return Fault::HostLimit("handles");
    }
    let mut text = match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            "stack overflow: recursion without end, or too large locals".to_owned()
        }
        Some(Trap::UnreachableCodeReached) => "unreachable: a panic or an abort".to_owned(),
        Some(trap) => trap.to_string(),
        None => cause,
    };
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        for frame in trace.frames() {
            if text.len() > TEXT {
                break;
            }
            text.push_str("\n  at ");
            text.push_str(&cut(readable(frame.func_name()), NAME));
            if let Some(offset) = frame.module_offset() {
                // Writing to a string cannot fail.
                let _ = write!(text, " (+{offset:#x})");
            }
        }
    }
    Fault::Trap(cut(text, TEXT))
}

/// A function's name as its author wrote it. Names are the guest's own and may hold anything.
fn readable(name: Option<&str>) -> String {
    let Some(name) = name else {
        return "?".to_owned();
    };
    let name = &name[..name.floor_char_boundary(MANGLED)];
    let plain = match try_demangle(name) {
        // Without the hash that tells two compilations apart.
        Ok(demangled) => {
            let mut plain = Bounded(String::new());
            // It ends early where a name that is nested on purpose would fill the memory.
            let _ = write!(plain, "{demangled:#}");
            plain.0
        }
        Err(_) => name.to_owned(),
    };
    plain
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Text that takes no more than a name may have.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.push_str(text);
        match self.0.len() > NAME {
            true => Err(std::fmt::Error),
            false => Ok(()),
        }
    }
}

/// At most `limit` bytes of `text`, cut between characters.
pub(super) fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé".repeat(2), 2), "a…");
        assert_eq!(cut("short".into(), 10), "short");
    }

    #[test]
    fn names_are_the_authors_and_bounded() {
        let cases = [
            (None, "?"),
            (Some("pick_member"), "pick_member"),
            (
                Some("_ZN4shop7weights5total17h0123456789abcdefE"),
                "shop::weights::total",
            ),
            (
                Some("_RNvNtCs1234_4shop7weights5total"),
                "shop::weights::total",
            ),
            (Some("a\nwarn forged"), "a?warn forged"),
            (Some("_ZN"), "_ZN"),
        ];
        for (name, expected) in cases {
            assert_eq!(readable(name), expected);
        }
        // Each back reference doubles what is written.
        let bomb = format!("_RI{}C1aE", "NvC1ab".repeat(10_000));
        assert!(readable(Some(&bomb)).len() <= MANGLED + 3);
        assert!(cut(readable(Some(&"x".repeat(100_000))), NAME).len() < 210);
    }

    #[test]
    fn the_hosts_own_reasons_keep_their_kind() {
        assert_eq!(classify(&Stop::Memory(7).into()), Fault::Memory(7));
        let deadline = Duration::from_millis(5);
        assert_eq!(
            classify(&Stop::Deadline(deadline).into()),
            Fault::Deadline(deadline)
        );
    }
}
