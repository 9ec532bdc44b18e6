//! What a replay found.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// What became of one recorded decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The same again.
    Unchanged,
    /// Another.
    Changed,
    /// The recording does not tell.
    Indeterminate,
}

/// How many decisions became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// The same again.
    pub unchanged: u64,
    /// Another.
    pub changed: u64,
    /// The recording does not tell.
    pub indeterminate: u64,
}

impl Tally {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.unchanged + self.changed + self.indeterminate
    }

    pub(super) fn add(&mut self, change: Change) {
        *match change {
            Change::Unchanged => &mut self.unchanged,
            Change::Changed => &mut self.changed,
            Change::Indeterminate => &mut self.indeterminate,
        } += 1;
    }
}

/// One decision that is not the same, or may not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Number of its window in the file.
    pub window: u64,
    /// Number of the call within it, from 1.
    pub call: u64,
    /// `pick`
    pub hook: &'static str,
    /// Method and path, as far as the recorded version read them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What the recorded version said.
    pub recorded: String,
    /// What the other one said; `None` where it could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<String>,
    /// Whether it is another decision.
    pub change: Change,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Of the recording.
    pub tenant: String,
    /// Of the recording.
    pub policy: String,
    /// Digests of the versions that were recorded.
    pub recorded: BTreeSet<String>,
    /// Digest of the version that was asked.
    pub replayed: String,
    /// Windows in the file.
    pub windows: u64,
    /// Calls in the file, decisions and others.
    pub calls: u64,
    /// Decisions by what became of them.
    pub decisions: Tally,
    /// Likewise, by hook.
    pub hooks: BTreeMap<&'static str, Tally>,
    /// Calls other than decisions that went otherwise, by hook: how often, and the first one.
    pub others: BTreeMap<&'static str, (u64, String)>,
    /// Reasons for which decisions are indeterminate, and how many are for each.
    pub reasons: BTreeMap<String, u64>,
    /// The first decisions that are not the same.
    pub examples: Vec<Example>,
    /// The file ends in the middle of a call, which is left out.
    pub truncated: bool,
}

impl Report {
    /// Whether everything went as recorded.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.decisions.changed == 0 && self.decisions.indeterminate == 0 && self.others.is_empty()
    }
}
