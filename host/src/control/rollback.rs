//! From a version to the one before: the one that this process had in service, or the one that an earlier
//! run kept in `state_dir`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use tokio::sync::oneshot;
use tracing::warn;

use super::{
    Cause, Outcome, Writer,
    bid::{Bid, Change, Named},
    shelf::{self, Unkept},
    tracked::Tracked,
    trials::refused,
};
use crate::{
    policy::{Digest, Entry, Module, Refusal, worth_keeping},
    snapshot::PolicySource,
};

/// Why there is no way back.
#[derive(Debug, thiserror::Error)]
enum NoWayBack {
    #[error("there is no policy `{0}`")]
    Unknown(String),
    #[error("policy `{0}` has no version before this one")]
    First(String),
    #[error("policy `{0}` has no version before this one that was not undone")]
    Undone(String),
    #[error(
        "policy `{name}` has no version before this one since the gateway's start, and without `state_dir` none is kept \
         over a restart; put the version that is wanted in the place of {}, and set `state_dir` for the next time",
        file.display()
    )]
    NotKept { name: String, file: PathBuf },
    #[error(
        "the version before this one of policy `{name}` cannot be had: {why}; put its file in the place of {}",
        file.display()
    )]
    Lost {
        name: String,
        why: Unkept,
        file: PathBuf,
    },
    #[error("the version before this one of policy `{name}` cannot serve: {why}")]
    Refused { name: String, why: Refusal },
    #[error("the version before this one of policy `{0}` is being loaded; ask again in a moment")]
    Loading(String),
    #[error(
        "another version of policy `{0}` entered service meanwhile; ask again if that one is meant"
    )]
    Overtaken(String),
}

/// The version in service and the one before it.
type NowAndBefore = (Arc<dyn Module>, Arc<dyn Module>);

/// Somebody waits for a version before to be loaded, so as to go back to it.
pub(super) struct Waiting {
    name: String,
    from: Digest,
    reply: oneshot::Sender<Outcome>,
}

impl Writer {
    /// Goes back to the version before, if that can be had at once.
    pub(super) fn rollback(&mut self, name: &str, why: &str) -> Outcome {
        match self.before(name) {
            Ok((now, back)) => self.go_back(name, (now, back), why),
            Err(none) => refused(none.to_string()),
        }
    }

    /// Likewise because somebody asks, who waits where it has to be loaded.
    pub(super) fn rollback_for(&mut self, name: String, reply: oneshot::Sender<Outcome>) {
        self.setup.stock.begin_pass();
        let outcome = match self.before(&name) {
            Err(NoWayBack::Loading(_)) => {
                let tracked = self.policies.get(&name).and_then(Tracked::in_service);
                if let Some(from) = tracked.map(|module| module.digest()) {
                    self.waiting.push(Waiting { name, from, reply });
                }
                return;
            }
            Err(none) => refused(none.to_string()),
            Ok((now, back)) => self.go_back(&name, (now, back), "asked for"),
        };
        // Whoever asked may have gone; the work is done all the same.
        let _ = reply.send(outcome);
    }

    /// Something was loaded: for those who wait it may have been what they wait for.
    pub(super) fn wait_no_longer(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting { name, from, reply } = waiting;
            let now = self.policies.get(&name).and_then(Tracked::in_service);
            if now.is_some_and(|module| module.digest() != from) {
                let why = NoWayBack::Overtaken(name).to_string();
                let _ = reply.send(refused(why));
            } else if !reply.is_closed() {
                // Nobody expects it any longer where nobody waits any longer.
                self.rollback_for(name, reply);
            }
        }
    }

    /// From where to where a rollback leads.
    fn before(&self, name: &str) -> Result<NowAndBefore, NoWayBack> {
        let live = self.current.load();
        let policy = live.snapshot.policies.get(name);
        let tracked = self.policies.get(name);
        let now = tracked.and_then(Tracked::in_service);
        let (Some(policy), Some(tracked), Some(now)) = (policy, tracked, now) else {
            return Err(NoWayBack::Unknown(name.to_owned()));
        };
        let back = match tracked.previous() {
            // One that was undone itself is none to go back to.
            Some(back) if tracked.is_undone(&back.digest()) => {
                return Err(NoWayBack::Undone(name.to_owned()));
            }
            Some(back) => back,
            None => self.kept_before(name, policy, tracked)?,
        };
        Ok((now, back))
    }

    /// The version that served in an earlier run before the one that serves now.
    fn kept_before(
        &self,
        name: &str,
        policy: &PolicySource,
        tracked: &Tracked,
    ) -> Result<Arc<dyn Module>, NoWayBack> {
        let (name, file) = (name.to_owned(), policy.source.clone());
        let Some(state_dir) = &self.operator.state_dir else {
            return Err(NoWayBack::NotKept { name, file });
        };
        let now = tracked.in_service().map(|module| module.digest());
        let Some(digest) = now.and_then(|now| tracked.last_good(&now)) else {
            return Err(NoWayBack::First(name));
        };
        let wasm = match shelf::find_named(state_dir, &digest.to_string(), policy.largest()) {
            Ok(wasm) => wasm,
            Err(why) => return Err(NoWayBack::Lost { name, why, file }),
        };
        match self.setup.stock.fetch(policy, wasm) {
            None => Err(NoWayBack::Loading(name)),
            Some(Ok(module)) => Ok(module),
            Some(Err(why)) => Err(NoWayBack::Refused { name, why }),
        }
    }

    fn go_back(&mut self, name: &str, (now, back): NowAndBefore, why: &str) -> Outcome {
        let tenant = self.current.load().snapshot.policies[name].tenant.clone();
        let (bad, good) = (now.digest(), back.digest());
        warn!(%tenant, policy = name, digest = ?bad, back_to = ?good, why, "Policy is rolled back");
        let bid = Bid {
            tenant,
            change: Change::Policies,
            versions: vec![Named::from([(name.to_owned(), back)])],
        };
        if let Some((_, failure)) = self.settle(vec![bid], Cause::Rollback).pop() {
            return refused(format!("the version before cannot serve: {failure}"));
        }
        self.trials.versions.remove(name);
        if let Some(tracked) = self.policies.get_mut(name) {
            tracked.undone(bad, why);
        }
        self.tell();
        Outcome::Published {
            generation: self.current.load().number,
        }
    }

    /// Lets go of the files of all versions but these: of each policy the one in service and the one before,
    /// of policies that are away likewise, and what tenants served last.
    pub(super) fn keep_versions(&self) {
        let Some(state_dir) = self.current.load().snapshot.state_dir.clone() else {
            return;
        };
        let present = self.policies.values().flat_map(Tracked::worth_keeping);
        let kept = present.chain(self.absent_versions());
        let mut kept: BTreeSet<_> = kept.map(|digest| digest.to_string()).collect();
        kept.extend(self.kept.digests());
        shelf::retain(&state_dir, &kept);
    }

    /// Of each tenant's policies that are away the latest, as many as it may have policies: whoever calls
    /// them something else each day has no more on disk than twice what it may serve.
    fn absent_versions(&self) -> Vec<Digest> {
        let mut absent = BTreeMap::<Option<&str>, Vec<&Vec<Entry>>>::new();
        for (name, entries) in &self.earlier {
            let tenant = name.split_once(':').map(|(tenant, _)| tenant);
            absent.entry(tenant).or_default().push(entries);
        }
        let mut kept = Vec::new();
        for (tenant, mut policies) in absent {
            if let Some(tenant) = tenant {
                let latest = |entries: &&Vec<Entry>| entries.last().map(|entry| entry.at_ms);
                policies.sort_by_key(|entries| Reverse(latest(entries)));
                policies.truncate(self.operator.tenancy.quota(tenant).policies);
            }
            kept.extend(policies.into_iter().flat_map(worth_keeping));
        }
        kept
    }
}
