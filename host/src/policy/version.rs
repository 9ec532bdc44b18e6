//! Versions of a named policy: which is in service, which was before, and what came of the others.
//!
//! Code only. Instances belong to bindings; a version that left service stays here
//! as a compiled module, so that going back to it takes no compiler.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use super::{Digest, Module};
use crate::members::locked;

/// A policy that is replaced every 100 ms must not fill the memory with its history.
const HISTORY: usize = 32;

/// The same for digests that were undone; the oldest are forgotten.
const UNDONE: usize = 64;

/// Versions of one named policy.
pub struct Versions {
    name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<dyn Module>>,
    previous: Option<Arc<dyn Module>>,
    history: VecDeque<Entry>,
    undone: VecDeque<Digest>,
}

/// One thing that happened to a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Of the file; `None` where it could not even be read.
    pub digest: Option<Digest>,
    /// What happened.
    pub event: Event,
}

/// What happened to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It entered service.
    Entered {
        /// `start`, `file changed`, `configuration changed`, …
        cause: String,
    },
    /// It did not; the version in service stayed.
    Refused {
        /// For the operator.
        why: String,
    },
    /// It was taken out of service again in favour of the version before.
    Undone,
}

impl Versions {
    /// Of a policy that has none yet.
    pub fn new(name: Arc<str>) -> Self {
        Self {
            name,
            state: Mutex::default(),
        }
    }

    /// Begins with what happened in an earlier run, the oldest first.
    pub fn recall(&self, entries: Vec<Entry>) {
        let mut state = locked(&self.state);
        let surplus = entries.len().saturating_sub(HISTORY);
        state.history = entries.into_iter().skip(surplus).collect();
    }

    /// The policy's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The version in service.
    pub fn current(&self) -> Option<Arc<dyn Module>> {
        locked(&self.state).current.clone()
    }

    /// The version before.
    pub fn previous(&self) -> Option<Arc<dyn Module>> {
        locked(&self.state).previous.clone()
    }

    /// What happened lately, the newest first.
    pub fn history(&self) -> Vec<Entry> {
        locked(&self.state).history.iter().rev().cloned().collect()
    }

    /// Whether somebody went back from this version, so that it must not return by itself.
    pub fn is_undone(&self, digest: &Digest) -> bool {
        locked(&self.state).undone.contains(digest)
    }

    /// A version entered service. The same one again, under another configuration, leaves the
    /// version before as it was.
    pub fn entered(&self, module: Arc<dyn Module>, cause: &str, at_ms: u64) {
        let mut state = locked(&self.state);
        let digest = module.digest();
        let old = state.current.replace(module);
        if let Some(old) = old.filter(|old| old.digest() != digest) {
            state.previous = Some(old);
        }
        state.undone.retain(|undone| *undone != digest);
        let cause = cause.to_owned();
        state.note(Some(digest), Event::Entered { cause }, at_ms);
    }

    /// A version was refused. The same refusal over and over is noted once, with its latest time.
    pub fn refused(&self, digest: Option<Digest>, why: &str, at_ms: u64) {
        let mut state = locked(&self.state);
        let why = why.to_owned();
        state.note(digest, Event::Refused { why }, at_ms);
    }

    /// Goes back to the version before, which is returned. `None`, and nothing changes, if there is none.
    pub fn undo(&self, at_ms: u64) -> Option<Arc<dyn Module>> {
        let mut state = locked(&self.state);
        let back = state.previous.take()?;
        let undone = state.current.replace(Arc::clone(&back));
        if let Some(undone) = undone {
            let digest = undone.digest();
            if state.undone.len() == UNDONE {
                state.undone.pop_front();
            }
            state.undone.push_back(digest);
            state.note(Some(digest), Event::Undone, at_ms);
        }
        let cause = "undo".to_owned();
        state.note(Some(back.digest()), Event::Entered { cause }, at_ms);
        Some(back)
    }
}

impl State {
    fn note(&mut self, digest: Option<Digest>, event: Event, at_ms: u64) {
        if let Some(last) = self.history.back_mut()
            && last.digest == digest
            && last.event == event
        {
            last.at_ms = at_ms;
            return;
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(Entry {
            at_ms,
            digest,
            event,
        });
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versions")
            .field("name", &self.name)
            .field("current", &self.current().map(|m| m.digest()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Native, *};

    fn module(digest: u8) -> Arc<dyn Module> {
        Arc::new(Native {
            digest,
            ..Native::byrequests()
        })
    }

    fn in_service(versions: &Versions) -> (Option<u8>, Option<u8>) {
        let first = |m: Arc<dyn Module>| m.digest().0[0];
        (
            versions.current().map(first),
            versions.previous().map(first),
        )
    }

    #[test]
    fn version_before_is_kept_and_can_be_gone_back_to_once() {
        let versions = Versions::new("canary".into());
        assert!(versions.undo(0).is_none());
        versions.entered(module(1), "start", 1);
        versions.entered(module(2), "file changed", 2);
        assert_eq!(in_service(&versions), (Some(2), Some(1)));
        versions.entered(module(2), "configuration changed", 3);
        assert_eq!(in_service(&versions), (Some(2), Some(1)));
        assert_eq!(versions.undo(4).unwrap().digest(), module(1).digest());
        assert_eq!(in_service(&versions), (Some(1), None));
        assert!(versions.is_undone(&module(2).digest()));
        versions.entered(module(2), "asked for", 5);
        assert!(!versions.is_undone(&module(2).digest()));
    }

    #[test]
    fn history_is_bounded_newest_first_and_notes_a_repeated_refusal_once() {
        let versions = Versions::new("canary".into());
        for at in 0..3 {
            versions.refused(None, "not a policy", at);
        }
        assert_eq!(versions.history().len(), 1);
        assert_eq!(versions.history()[0].at_ms, 2);
        for digest in 0..100 {
            versions.entered(module(digest), "file changed", 3);
        }
        assert_eq!(versions.history().len(), HISTORY);
        assert_eq!(versions.history()[0].digest, Some(module(99).digest()));
        let later = Versions::new("canary".into());
        later.recall([versions.history(), versions.history()].concat());
        assert_eq!(later.history().len(), HISTORY);
    }
}
