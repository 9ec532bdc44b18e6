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
pub(super) const HISTORY: usize = 32;

/// Bytes of a reason that are kept: its whole is in the log.
pub(super) const WHY: usize = 1024;

/// The same for digests that were undone; the oldest are forgotten.
pub(super) const UNDONE: usize = 64;

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
            self.history.remove(self.dispensable());
        }
        self.history.push_back(Entry {
            at_ms,
            digest,
            event,
        });
    }
}

impl State {
    /// Which entry goes when there are too many. However often the file was refused since: without
    /// what entered there would be no way back over a restart, and without the last word about a
    /// version one that was undone would return.
    fn dispensable(&self) -> usize {
        let back = latest_two(standing(&self.history).into_iter().rev());
        let is_way_back = |entry: &Entry| {
            let entered = matches!(entry.event, Event::Entered { .. });
            entered && entry.digest.is_some_and(|d| back.contains(&d))
        };
        let is_verdict = |entry: &Entry| {
            let event = &entry.event;
            !matches!(event, Event::Entered { .. } | Event::Refused { .. })
        };
        let entries = || self.history.iter().enumerate();
        let spare = entries().find(|(at, entry)| {
            let needed = is_way_back(entry) || is_verdict(entry);
            !needed || !self.is_last_word(*at)
        });
        let spare = spare.or_else(|| entries().find(|(_, entry)| !is_way_back(entry)));
        spare.map_or(0, |(at, _)| at)
    }

    /// Whether nothing was said since about what this entry says of its version.
    fn is_last_word(&self, at: usize) -> bool {
        use Event::{Entered, Promoted, Undone, Withdrawn};
        let entry = &self.history[at];
        let is_newer = |later: &Entry| {
            let same_question = match entry.event {
                Promoted { .. } | Withdrawn { .. } => {
                    matches!(later.event, Promoted { .. } | Withdrawn { .. })
                }
                _ => matches!(later.event, Undone { .. } | Entered { .. }),
            };
            same_question && later.digest == entry.digest
        };
        !self.history.iter().skip(at + 1).any(is_newer)
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
