//! One policy of the operator's own: its file and what came of it.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::{error, info};

use super::{Cause, PolicyFacts, Stock, Trouble, archive, seen::Seen, shelf, stock};
use crate::{
    beneath,
    members::Clock,
    policy::{CanaryState, Digest, Entry, Module, Versions},
    snapshot::{PolicySource, TenantName},
};

/// One policy of the operator's own.
#[derive(Debug)]
pub(super) struct Tracked {
    tenant: TenantName,
    versions: Versions,
    /// Of the version in service.
    source: PathBuf,
    /// Which file was dealt with, and how it looked then.
    seen: Option<(PathBuf, Seen)>,
    /// What was refused last, so that it is refused once and not at every event.
    refused: Option<Digest>,
    trouble: Option<Trouble>,
}

/// What a look at the file brought.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing that was not dealt with before.
    Known,
    /// The version in service.
    InService,
    /// Another version.
    New(Arc<dyn Module>),
    /// One that was undone in an earlier run, and there is no other in service yet.
    Undone(Digest, Vec<u8>),
    /// It is being loaded.
    Loading,
    /// Nothing that could be put into service.
    Bad(Option<Digest>, String),
}

impl Tracked {
    pub fn new(policy: &PolicySource) -> Self {
        Self {
            tenant: policy.tenant.clone(),
            versions: Versions::new(policy.name.as_str().into()),
            source: policy.source.clone(),
            seen: None,
            refused: None,
            trouble: None,
        }
    }

    /// With what happened in an earlier run, the oldest first.
    pub fn recalling(policy: &PolicySource, entries: Vec<Entry>) -> Self {
        let tracked = Self::new(policy);
        tracked.versions.recall(entries);
        tracked
    }

    /// The version in service.
    pub fn in_service(&self) -> Option<Arc<dyn Module>> {
        self.versions.current()
    }

    /// What happened to it, the oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.versions.history();
        entries.reverse();
        entries
    }

    /// The version before it.
    pub fn previous(&self) -> Option<Arc<dyn Module>> {
        self.versions.previous()
    }

    /// Versions whose files going back needs.
    pub fn worth_keeping(&self) -> Vec<Digest> {
        self.versions.worth_keeping()
    }

    /// Whether somebody went back from this version.
    pub fn is_undone(&self, digest: &Digest) -> bool {
        self.versions.is_undone(digest)
    }

    /// The latest version that can be gone back to, where the one on disk was undone.
    pub fn last_good(&self, undone: &Digest) -> Option<Digest> {
        self.versions.last_good(undone)
    }

    /// Somebody went back from this version.
    pub fn undone(&mut self, digest: Digest, why: &str) {
        let now = Clock::wall_ms();
        self.versions.undone(digest, why, now);
        self.trouble = Some(Trouble {
            at_ms: now,
            what: format!(
                "the version on disk was undone: {why}; it stays out until the file changes"
            ),
        });
    }

    /// As a canary this version decides for all, or for nobody.
    pub fn canary(&self, digest: Digest, state: CanaryState, why: &str) {
        self.versions.canary(digest, state, why, Clock::wall_ms());
    }

    /// How far it came as a canary.
    pub fn canary_state(&self, digest: &Digest) -> CanaryState {
        self.versions.canary_state(digest)
    }

    /// Likewise, if it came from this file.
    pub fn in_service_from(&self, source: &Path) -> Option<Arc<dyn Module>> {
        self.in_service().filter(|_| self.source == source)
    }

    /// Looks at the file, and loads what is new. `again`: also what was dealt with before.
    pub fn look(&self, policy: &PolicySource, stock: &Stock, again: bool) -> Look {
        let source = &policy.source;
        let same = |(path, seen): &(PathBuf, Seen)| path == source && seen.is_same(path);
        if !again && self.seen.as_ref().is_some_and(same) {
            return Look::Known;
        }
        let wasm = match read(policy) {
            Ok(wasm) => wasm,
            Err(why) => {
                return Look::Bad(None, unreadable(source, &why));
            }
        };
        let digest = stock::digest(&wasm);
        if self.in_service().is_some_and(|m| m.digest() == digest) {
            return Look::InService;
        }
        if self.versions.is_undone(&digest) {
            return match self.in_service() {
                Some(_) => Look::Known,
                None => Look::Undone(digest, wasm),
            };
        }
        if self.refused == Some(digest) && !again {
            return Look::Known;
        }
        match stock.fetch(policy, wasm) {
            None => Look::Loading,
            Some(Ok(module)) => Look::New(module),
            Some(Err(refusal)) => Look::Bad(Some(digest), refusal.to_string()),
        }
    }

    /// The file is dealt with as it looked then.
    pub fn dealt_with(&mut self, policy: &PolicySource, seen: Seen) {
        self.seen = Some((policy.source.clone(), seen));
    }

    /// The file holds the version in service.
    pub fn unchanged(&mut self) {
        if self.trouble.take().is_some() {
            let policy = self.versions.name();
            info!(tenant = %self.tenant, %policy, "Policy file holds the version in service again");
        }
        self.refused = None;
    }

    /// Whether this was said last.
    pub fn said(&self, why: &str) -> bool {
        self.trouble.as_ref().is_some_and(|t| t.what == why)
    }

    /// A version was refused; the one in service, if any, stays.
    pub fn refuse(&mut self, digest: Option<Digest>, why: &str) {
        let policy = self.versions.name();
        let stays = self.in_service().map(|m| m.digest());
        error!(tenant = %self.tenant, %policy, digest = digest.map(tracing::field::debug), stays = stays.map(tracing::field::debug), why, "Policy is refused; the version in service stays");
        let now = Clock::wall_ms();
        self.versions.refused(digest, why, now);
        self.refused = digest;
        self.trouble = Some(Trouble {
            at_ms: now,
            what: why.to_owned(),
        });
    }

    /// This version is in service now, as part of a published generation. Returns the one it
    /// took the place of.
    pub fn enter(
        &mut self,
        module: &Arc<dyn Module>,
        policy: &PolicySource,
        (cause, state_dir): (Cause, Option<&Path>),
    ) -> Option<Digest> {
        self.source = policy.source.clone();
        let (old, new) = (self.in_service().map(|m| m.digest()), module.digest());
        if old == Some(new) {
            return None;
        }
        let name = self.versions.name();
        info!(tenant = %self.tenant, policy = %name, digest = ?new, before = old.map(tracing::field::debug), %cause, "Policy is in service");
        let cause = cause.to_string();
        self.versions
            .entered(Arc::clone(module), &cause, Clock::wall_ms());
        self.refused = None;
        self.trouble = None;
        // What is on disk may be another one by now; then that will be kept in its turn.
        if let Some(state_dir) = state_dir
            && let Ok(wasm) = read(policy)
            && stock::digest(&wasm) == new
        {
            shelf::keep(state_dir, &new, &wasm);
        }
        old
    }

    /// For `switchyard status`.
    pub fn facts(&self) -> PolicyFacts {
        let in_service = self.in_service();
        PolicyFacts {
            tenant: self.tenant.clone(),
            name: self.versions.name().to_string(),
            source: self.source.clone(),
            digest: in_service
                .as_ref()
                .map_or_else(String::new, |m| m.digest().to_string()),
            size: in_service.map_or(0, |m| m.size()),
            last_error: self.trouble.clone(),
            history: self
                .versions
                .history()
                .into_iter()
                .map(archive::facts)
                .collect(),
            totals: self.versions.totals(),
        }
    }
}

fn unreadable(source: &Path, why: &io::Error) -> String {
    let remedy = match why.kind() {
        io::ErrorKind::NotFound => "; build it there, or correct the policy's `source`",
        io::ErrorKind::PermissionDenied => "; let the user that runs switchyard read it",
        _ => "",
    };
    format!("{} cannot be read: {why}{remedy}", source.display())
}

/// Reads a policy, of which no more than one byte over the limit is wanted: the loader says the rest.
fn read(policy: &PolicySource) -> io::Result<Vec<u8>> {
    let mut wasm = Vec::new();
    let limit = u64::try_from(policy.largest()).unwrap_or(u64::MAX);
    let file = beneath::regular(policy.beneath.as_deref(), &policy.source)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut wasm)?;
    Ok(wasm)
}
