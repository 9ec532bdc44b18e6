//! What is on disk and not in service yet.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    Cause, Failure, Writer,
    bid::{Bid, Change},
    resident::{Resident, within_folders},
    seen::Seen,
    tracked::Look,
};
use crate::{
    config::{self, TenantPart},
    policy::{Digest, Module, thread_time},
    snapshot::{Quota, Snapshot, TenantName},
};

/// Versions that are to enter service without anything else, by tenant: the policy's qualified
/// name, how its file looked, and its code.
pub(super) type NewVersions = Vec<(TenantName, Vec<(String, Seen, Arc<dyn Module>)>)>;

impl Writer {
    /// What tenants want whose files may have changed. What is wrong is told at once.
    pub(super) fn tenants_bids(&mut self, cause: Cause, refused: &mut Vec<String>) -> Vec<Bid> {
        let (names, problems) = match config::tenants(&self.operator) {
            Ok(Some(found)) => found,
            Ok(None) if self.parts().is_empty() => (Vec::new(), Vec::new()),
            // A folder that is swapped is away for a moment.
            Ok(None) => {
                let dir = self.operator.tenancy.dir.clone().unwrap_or_default();
                self.folder_is(Some(format!(
                    "{}: the tenants' folder is gone",
                    dir.display()
                )));
                return Vec::new();
            }
            Err(problem) => {
                self.folder_is(Some(problem.to_string()));
                return Vec::new();
            }
        };
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        self.folder_is((!problems.is_empty()).then(|| problems.join("\n")));
        if cause == Cause::Start
            && let Some(state_dir) = &self.operator.state_dir
            && self
                .operator
                .tenancy
                .dir
                .as_deref()
                .is_some_and(Path::is_dir)
        {
            // Whoever was removed while nobody looked.
            self.kept.retain(state_dir, &names);
        }
        let gone = |name: &&TenantName| names.binary_search(name).is_err();
        let gone: Vec<_> = self.residents.keys().filter(gone).cloned().collect();
        let mut bids = Vec::new();
        for tenant in gone {
            match self.residents.get(&tenant).and_then(Resident::part) {
                Some(_) => bids.push(Bid {
                    tenant,
                    change: Change::Gone,
                    versions: Vec::new(),
                }),
                None => {
                    self.forget_kept(&tenant);
                    self.residents.remove(&tenant);
                }
            }
        }
        for tenant in names {
            match self.tenant_bid(&tenant, cause) {
                Ok(bid) => bids.extend(bid),
                Err(Failure::Loading { .. }) => {
                    self.residents.entry(tenant).or_default().waits();
                }
                Err(failure) => {
                    refused.push(self.refuse_tenant(&tenant, &failure, cause));
                    bids.extend(self.recall(&tenant));
                }
            }
        }
        bids
    }

    fn tenant_bid(&mut self, tenant: &TenantName, cause: Cause) -> Result<Option<Bid>, Failure> {
        let folder = self.folder_of(tenant);
        let resident = self.residents.entry(tenant.clone()).or_default();
        if cause == Cause::Files && !resident.may_have_changed() {
            return Ok(None);
        }
        if self.rests(tenant) {
            return Err(Failure::Loading {
                name: tenant.to_string(),
            });
        }
        let resident = self.residents.entry(tenant.clone()).or_default();
        resident.look(folder);
        let before = thread_time();
        let loaded = config::load_tenant(tenant, &self.operator);
        resident.held_up(Instant::now(), thread_time().saturating_sub(before));
        resident.read(&loaded.files);
        let part = match &loaded.outcome {
            Ok(part) => part,
            Err(report) => return Err(Failure::Config(Box::new(report.clone()))),
        };
        within_folders(part)?;
        if resident.part().is_some_and(|now| now.is_like(part)) {
            resident.unchanged(tenant);
            return Ok(None);
        }
        // One that cannot enter is tried again when its file changes.
        resident.seen_too(part.policies.values().map(|policy| policy.source.clone()));
        Resident::warn(tenant, &loaded);
        let part = match resident.part() {
            Some(now) => Arc::new(part.sharing(now)),
            None => Arc::clone(part),
        };
        self.built_ins(&part.vhosts, &part.balancers)?;
        Ok(Some(Bid {
            tenant: tenant.clone(),
            versions: self.versions(&part.policies)?,
            change: Change::Tenant(part),
        }))
    }

    /// Whether the tenant has held up the others too long to be looked at; it will be later.
    pub(super) fn rests(&mut self, tenant: &TenantName) -> bool {
        // All that is there at the start is there together.
        let until = match self.current.load().number {
            0 => None,
            _ => self.residents.get_mut(tenant).and_then(Resident::rests),
        };
        self.due = self.due.into_iter().chain(until).min();
        until.is_some()
    }

    pub(super) fn folder_of(&self, tenant: &TenantName) -> PathBuf {
        let dir = self.operator.tenancy.dir.as_deref();
        dir.map(|dir| dir.join(tenant.as_str())).unwrap_or_default()
    }

    /// What becomes of the tenants in service under another configuration of the operator's.
    pub(super) fn held_to(&self, next: &Arc<Snapshot>) -> Vec<(Bid, Option<Failure>)> {
        let now = &self.operator;
        let same_rules = now.policy_limits == next.policy_limits
            && now.log == next.log
            && now.tenancy.dir == next.tenancy.dir
            && now.tenancy.on_error == next.tenancy.on_error;
        let mut held = Vec::new();
        for (tenant, part) in self.parts() {
            let quota = next.tenancy.quota(tenant.as_str());
            let (part, failure) = if same_rules && part.tenant.quota == *quota {
                (part, None)
            } else {
                match config::load_tenant(&tenant, next).outcome {
                    Ok(read) => {
                        match within_folders(&read).and_then(|()| self.versions(&read.policies)) {
                            Ok(_) => (Arc::new(read.sharing(&part)), None),
                            Err(failure) => (Arc::new(requoted(&part, quota)), Some(failure)),
                        }
                    }
                    Err(report) => (
                        Arc::new(requoted(&part, quota)),
                        Some(Failure::Config(Box::new(report))),
                    ),
                }
            };
            held.push(self.holding(tenant, part, failure, next));
        }
        held
    }

    /// The last good part of a tenant whose newest does not work under the operator's new quota.
    pub(super) fn fall_back(&self, tenant: &TenantName, next: &Arc<Snapshot>) -> Option<Bid> {
        let part = self.residents.get(tenant)?.part()?;
        let quota = next.tenancy.quota(tenant.as_str());
        let part = Arc::new(requoted(part, quota));
        Some(self.holding(tenant.clone(), part, None, next).0)
    }

    fn holding(
        &self,
        tenant: TenantName,
        part: Arc<TenantPart>,
        failure: Option<Failure>,
        next: &Arc<Snapshot>,
    ) -> (Bid, Option<Failure>) {
        let nobody = BTreeMap::new();
        if let Some(why) = config::contested(&part, next, &nobody, &nobody) {
            let gone = Bid {
                tenant,
                change: Change::Gone,
                versions: Vec::new(),
            };
            return (gone, Some(Failure::Claim(Box::new(why))));
        }
        let (versions, failure) = match self.versions(&part.policies) {
            Ok(versions) => (versions, failure),
            Err(why) => (Vec::new(), failure.or(Some(why))),
        };
        let change = Change::Tenant(part);
        let bid = Bid {
            tenant,
            change,
            versions,
        };
        (bid, failure)
    }

    /// Versions that are new on disk.
    pub(super) fn changed_policies(
        &mut self,
        cause: Cause,
        refused: &mut Vec<String>,
    ) -> NewVersions {
        let again = cause != Cause::Files;
        let snapshot = Arc::clone(&self.current.load().snapshot);
        let mut changed = BTreeMap::<TenantName, Vec<_>>::new();
        // From the last to the first, since they are taken from the end.
        for (name, policy) in snapshot.policies.iter().rev() {
            let seen = Seen::look(&policy.source);
            if self.rests(&policy.tenant) {
                continue;
            }
            let Some(tracked) = self.policies.get_mut(name) else {
                continue;
            };
            match tracked.look(policy, &self.setup.stock, again) {
                // What is in service stays; an undone one comes back with another file alone.
                Look::Known | Look::Loading | Look::Undone(..) => {}
                Look::InService => {
                    tracked.dealt_with(policy, seen);
                    tracked.unchanged();
                }
                Look::Bad(digest, why) => {
                    self.refuse_policy(name, seen, digest, &why, cause);
                    refused.push(why);
                }
                Look::New(module) => {
                    let of = changed.entry(policy.tenant.clone()).or_default();
                    of.push((name.clone(), seen, module));
                }
            }
        }
        changed.into_iter().collect()
    }

    /// A version is not taken; the one in service stays.
    pub(super) fn refuse_policy(
        &mut self,
        name: &str,
        seen: Seen,
        digest: Option<Digest>,
        why: &str,
        cause: Cause,
    ) {
        let snapshot = &self.current.load().snapshot;
        let tracked = self.policies.get_mut(name);
        if let (Some(tracked), Some(policy)) = (tracked, snapshot.policies.get(name)) {
            tracked.dealt_with(policy, seen);
            // At every event of a file the same once more would say nothing.
            if cause == Cause::Signal || !tracked.said(why) {
                tracked.refuse(digest, why);
            }
        }
    }
}

/// What is in service of a tenant, held to the bounds that count while it serves. Those on its
/// policies were kept when they entered.
fn requoted(part: &TenantPart, quota: &Arc<Quota>) -> TenantPart {
    let mut part = part.clone();
    let old = &part.tenant.quota;
    part.tenant.quota = Arc::new(Quota {
        policy_memory: old.policy_memory.max(quota.policy_memory),
        ..Quota::clone(quota)
    });
    part
}
