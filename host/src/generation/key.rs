//! What makes two bindings the same.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    members::Pool,
    policy::{Binding, Digest, Role, thread_time},
    snapshot::{OnError, PolicyLimits, Record, TenantName},
};

/// What makes two bindings the same: with all of it unchanged, a reload keeps the instances.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub lineage: Lineage,
    pub digest: Digest,
    /// JSON text.
    pub config: Arc<str>,
    pub limits: PolicyLimits,
    pub on_error: OnError,
    pub record: Option<Record>,
}

/// Whose state a new binding takes over: that of the same policy in the same place.
#[derive(Debug, Clone)]
pub(super) struct Lineage {
    /// Nothing is ever shared between tenants.
    pub tenant: TenantName,
    /// Its name within the tenant.
    pub policy: Arc<str>,
    /// One of the operator's own may have a built-in one's name.
    pub built_in: bool,
    /// A candidate's state is its own.
    pub role: Role,
    /// `None`: shared by all places that agree in everything else.
    pub pool: Option<Arc<Pool>>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.lineage == other.lineage
            && self.digest == other.digest
            && self.config == other.config
            && self.limits == other.limits
            && self.on_error == other.on_error
            && self.record == other.record
    }
}

impl PartialEq for Lineage {
    fn eq(&self, other: &Self) -> bool {
        // Not by name: a balancer that was removed and came back has other members' state.
        let same_pool = match (&self.pool, &other.pool) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same_pool
            && self.tenant == other.tenant
            && self.policy == other.policy
            && self.built_in == other.built_in
            && self.role == other.role
    }
}

/// A binding and what makes it the same.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub key: Key,
    pub binding: Arc<Binding>,
}

/// The bindings of one generation. Few differ in policy and pool, so they are found by these first.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    all: Vec<Keyed>,
    by_digest: std::collections::HashMap<(Digest, usize), Vec<usize>>,
}

impl Bindings {
    pub fn find(&self, key: &Key) -> Option<&Arc<Binding>> {
        let candidates = self.by_digest.get(&shelf(key))?;
        let mut same = candidates.iter().map(|index| &self.all[*index]);
        same.find(|keyed| keyed.key == *key)
            .map(|keyed| &keyed.binding)
    }

    pub fn add(&mut self, key: Key, binding: Arc<Binding>) {
        let shelf = self.by_digest.entry(shelf(&key)).or_default();
        shelf.push(self.all.len());
        self.all.push(Keyed { key, binding });
    }

    /// Whose state a binding with `key` takes over: the one with the same configuration, or the
    /// only one of its lineage.
    pub fn predecessor(&self, key: &Key) -> Option<&Arc<Binding>> {
        let mut related = self.all.iter().filter(|k| k.key.lineage == key.lineage);
        let first = related.next()?;
        let mut rest = related.peekable();
        if rest.peek().is_none() {
            return Some(&first.binding);
        }
        std::iter::once(first)
            .chain(rest)
            .find(|k| k.key.config == key.config)
            .map(|k| &k.binding)
    }

    /// With their keys.
    pub fn keyed(&self) -> impl Iterator<Item = &Keyed> {
        self.all.iter()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.all.iter().map(|keyed| &keyed.binding)
    }
}

/// Bindings that attempts to link have made so far, so that the next one need not make them again.
#[derive(Debug, Default)]
pub struct Prepared {
    pub(super) bindings: Bindings,
    /// Those that have taken over their predecessors' state.
    pub(super) entered: Vec<Arc<Binding>>,
    /// CPU time of this thread that tenants' bindings took.
    pub(super) spent: BTreeMap<TenantName, Duration>,
    /// Whatever can be tried is, though it will not enter service.
    pub(super) thorough: bool,
}

impl Prepared {
    /// For attempts that are to find all that is wrong, and whose bindings will serve nobody: policies are tried
    /// also where something else has failed already.
    #[must_use]
    pub fn thorough() -> Self {
        Self {
            thorough: true,
            ..Self::default()
        }
    }

    /// CPU time that each tenant's bindings have taken so far.
    pub fn spent(&self) -> impl Iterator<Item = (&TenantName, Duration)> {
        self.spent.iter().map(|(tenant, spent)| (tenant, *spent))
    }

    /// Does it on the tenant's account.
    pub(super) fn on_account<T>(&mut self, tenant: &TenantName, work: impl FnOnce() -> T) -> T {
        let before = thread_time();
        let done = work();
        let took = thread_time().saturating_sub(before);
        if !tenant.is_operator() {
            *self.spent.entry(tenant.clone()).or_default() += took;
        }
        done
    }

    /// Whether the tenant's bindings have taken no more than `most`.
    pub(super) fn is_within(&self, tenant: &TenantName, most: Duration) -> bool {
        self.spent.get(tenant).is_none_or(|spent| *spent <= most)
    }

    pub(super) fn has_entered(&self, binding: &Arc<Binding>) -> bool {
        self.entered
            .iter()
            .any(|entered| Arc::ptr_eq(entered, binding))
    }
}

fn shelf(key: &Key) -> (Digest, usize) {
    let pool = key.lineage.pool.as_ref();
    (key.digest, pool.map_or(0, |pool| Arc::as_ptr(pool).addr()))
}
