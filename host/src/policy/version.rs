//! Versions of a named policy: which is in service, which was before, and what came of the others.
//!
//! Code only. Instances belong to bindings; a version that left service stays here
//! as a compiled module, so that going back to it takes no compiler.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};

use super::{CanaryState, Digest, Module};
use crate::members::locked;

/// A policy that is replaced every 100 ms must not fill the memory with its history.
const HISTORY: usize = 32;

/// Bytes of a reason that are kept: its whole is in the log.
const WHY: usize = 1024;

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
    totals: [u64; EVENTS.len()],
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Event {
    /// It entered service.
    #[serde(rename = "in_service")]
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
    Undone {
        /// For the operator.
        why: String,
    },
    /// As a canary it decides for all.
    Promoted {
        /// For the operator.
        why: String,
    },
    /// As a canary it decides for nobody any more.
    Withdrawn {
        /// For the operator.
        why: String,
    },
}

/// What can happen to a version, in the order in which it is counted.
pub const EVENTS: [&str; 5] = ["in_service", "refused", "undone", "promoted", "withdrawn"];

impl Event {
    /// One word, one of [`EVENTS`].
    pub fn word(&self) -> &'static str {
        EVENTS[self.number()]
    }

    /// What brought it about, or why it happened.
    pub fn reason(&self) -> &str {
        let (Self::Entered { cause: text }
        | Self::Refused { why: text }
        | Self::Undone { why: text }
        | Self::Promoted { why: text }
        | Self::Withdrawn { why: text }) = self;
        text
    }

    fn shorten(&mut self) {
        let (Self::Entered { cause: text }
        | Self::Refused { why: text }
        | Self::Undone { why: text }
        | Self::Promoted { why: text }
        | Self::Withdrawn { why: text }) = self;
        if text.len() > WHY {
            text.truncate(text.floor_char_boundary(WHY));
            text.push('…');
        }
    }

    /// Its place among [`EVENTS`].
    fn number(&self) -> usize {
        match self {
            Self::Entered { .. } => 0,
            Self::Refused { .. } => 1,
            Self::Undone { .. } => 2,
            Self::Promoted { .. } => 3,
            Self::Withdrawn { .. } => 4,
        }
    }
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
        for entry in entries.into_iter().skip(surplus) {
            match (&entry.event, entry.digest) {
                (Event::Undone { .. }, Some(digest)) => state.undone.push_back(digest),
                (Event::Entered { .. }, Some(digest)) => state.undone.retain(|d| *d != digest),
                _ => {}
            }
            state.history.push_back(entry);
        }
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

    /// How often each of [`EVENTS`] happened since the start.
    pub fn totals(&self) -> [u64; EVENTS.len()] {
        locked(&self.state).totals
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

    /// The latest version that was in service and not undone since, other than this one.
    pub fn last_good(&self, other_than: &Digest) -> Option<Digest> {
        let standing = standing(&locked(&self.state).history);
        standing.into_iter().rev().find(|good| good != other_than)
    }

    /// What going back needs: the version in service and the one before, also where that served in
    /// an earlier run.
    pub fn worth_keeping(&self) -> Vec<Digest> {
        let state = locked(&self.state);
        let modules = [&state.current, &state.previous].into_iter().flatten();
        let modules = modules.map(|module| module.digest());
        latest_two(modules.chain(standing(&state.history).into_iter().rev()))
    }

    /// Somebody went back from this version, so that it must not return by itself.
    pub fn undone(&self, digest: Digest, why: &str, at_ms: u64) {
        let mut state = locked(&self.state);
        if state.undone.len() == UNDONE {
            state.undone.pop_front();
        }
        state.undone.push_back(digest);
        let why = why.to_owned();
        state.note(Some(digest), Event::Undone { why }, at_ms);
    }

    /// As a canary this version decides for all, or for nobody.
    pub fn canary(&self, digest: Digest, state: CanaryState, why: &str, at_ms: u64) {
        let why = why.to_owned();
        let event = match state {
            CanaryState::Running => return,
            CanaryState::Promoted => Event::Promoted { why },
            CanaryState::Undone => Event::Withdrawn { why },
        };
        locked(&self.state).note(Some(digest), event, at_ms);
    }

    /// How far a version came as a canary.
    pub fn canary_state(&self, digest: &Digest) -> CanaryState {
        let state = locked(&self.state);
        let own = state.history.iter().rev();
        let mut own = own.filter(|entry| entry.digest == Some(*digest));
        let state = own.find_map(|entry| match entry.event {
            Event::Promoted { .. } => Some(CanaryState::Promoted),
            Event::Withdrawn { .. } => Some(CanaryState::Undone),
            _ => None,
        });
        state.unwrap_or(CanaryState::Running)
    }
}

/// Likewise of a policy that is not there at present, from its history, the oldest first.
pub fn worth_keeping<'a>(history: impl IntoIterator<Item = &'a Entry>) -> Vec<Digest> {
    latest_two(standing(history).into_iter().rev())
}

/// Versions that were in service and not undone since, by when they entered last, the oldest first.
fn standing<'a>(history: impl IntoIterator<Item = &'a Entry>) -> Vec<Digest> {
    let mut standing = Vec::new();
    for entry in history {
        let Some(digest) = entry.digest else { continue };
        match entry.event {
            Event::Entered { .. } => {
                standing.retain(|other| *other != digest);
                standing.push(digest);
            }
            Event::Undone { .. } => standing.retain(|other| *other != digest),
            _ => {}
        }
    }
    standing
}

fn latest_two(digests: impl Iterator<Item = Digest>) -> Vec<Digest> {
    let mut two = Vec::with_capacity(2);
    for digest in digests {
        if two.len() < 2 && !two.contains(&digest) {
            two.push(digest);
        }
    }
    two
}

impl State {
    fn note(&mut self, digest: Option<Digest>, mut event: Event, at_ms: u64) {
        event.shorten();
        if let Some(last) = self.history.back_mut()
            && last.digest == digest
            && last.event == event
        {
            last.at_ms = at_ms;
            return;
        }
        self.totals[event.number()] += 1;
        if self.history.len() == HISTORY {
            // However often the file was refused since: without these there would be no way back over a restart.
            let needed = latest_two(standing(&self.history).into_iter().rev());
            let is_needed = |entry: &Entry| {
                let entered = matches!(entry.event, Event::Entered { .. });
                entered && entry.digest.is_some_and(|d| needed.contains(&d))
            };
            let oldest = self.history.iter().position(|entry| !is_needed(entry));
            self.history.remove(oldest.unwrap_or(0));
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
    fn version_before_is_kept_and_one_that_was_undone_does_not_return_by_itself() {
        let versions = Versions::new("canary".into());
        versions.entered(module(1), "start", 1);
        versions.entered(module(2), "file changed", 2);
        assert_eq!(in_service(&versions), (Some(2), Some(1)));
        versions.entered(module(2), "configuration changed", 3);
        assert_eq!(in_service(&versions), (Some(2), Some(1)));
        versions.entered(module(1), "rollback", 4);
        let bad = module(2).digest();
        versions.undone(bad, "it was worse", 4);
        assert_eq!(in_service(&versions), (Some(1), Some(2)));
        assert!(versions.is_undone(&bad));

        let later = Versions::new("canary".into());
        later.recall(versions.history().into_iter().rev().collect());
        assert!(later.is_undone(&bad), "over restarts too");
        assert_eq!(later.last_good(&bad), Some(module(1).digest()));
        assert_eq!(later.worth_keeping(), [module(1).digest()]);
        versions.entered(module(2), "asked for", 5);
        assert!(!versions.is_undone(&bad));
    }

    #[test]
    fn two_versions_are_worth_keeping_however_many_there_were() {
        let versions = Versions::new("own".into());
        for digest in [1, 2, 3, 2] {
            versions.entered(module(digest), "file changed", 1);
        }
        let two = [module(2).digest(), module(3).digest()];
        assert_eq!(versions.worth_keeping(), two);
        let history: Vec<_> = versions.history().into_iter().rev().collect();
        assert_eq!(worth_keeping(&history), two, "of one that is not there");
        let later = Versions::new("own".into());
        later.recall(history);
        assert_eq!(later.worth_keeping(), two, "in a later run");
        later.entered(module(2), "start", 2);
        assert_eq!(later.worth_keeping(), two);
        for number in 0..100 {
            later.refused(None, &format!("refusal {number}"), 3);
        }
        assert_eq!(later.history().len(), HISTORY);
        let last = Versions::new("own".into());
        last.recall(later.history().into_iter().rev().collect());
        assert_eq!(last.worth_keeping(), two, "though much happened since");
    }

    #[test]
    fn what_became_of_a_canary_is_remembered() {
        let versions = Versions::new("canary".into());
        let digest = module(1).digest();
        versions.entered(module(1), "start", 1);
        assert_eq!(versions.canary_state(&digest), CanaryState::Running);
        for state in [CanaryState::Promoted, CanaryState::Undone] {
            versions.canary(digest, state, "said so", 2);
            assert_eq!(versions.canary_state(&digest), state);
        }
    }

    #[test]
    fn history_is_bounded_newest_first_and_notes_a_repeated_refusal_once() {
        let versions = Versions::new("canary".into());
        for at in 0..3 {
            versions.refused(None, "not a policy", at);
        }
        assert_eq!(versions.history().len(), 1);
        assert_eq!(versions.history()[0].at_ms, 2);
        for at in 0..2 {
            versions.refused(None, &"é".repeat(10_000), at);
        }
        let history = versions.history();
        assert_eq!(history.len(), 2, "the same reason, however long");
        assert!(matches!(&history[0].event, Event::Refused { why } if why.len() < 1_100));
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
