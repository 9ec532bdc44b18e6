//! A balancer's live members.
use std::sync::Arc;

use super::MemberLive;
use crate::{decision, snapshot};

/// A balancer's live members at their newest revision.
#[derive(Debug)]
pub struct Pool {}

/// Members at one revision. Columns, verdicts and records are aligned with `endpoints`.
#[derive(Debug)]
pub struct PoolMembers {
    /// Rises whenever `records` change.
    pub revision: u64,
    /// The configuration they came from.
    pub balancer: Arc<snapshot::Balancer>,
    /// In configuration order.
    pub endpoints: Vec<Endpoint>,
    /// What policies are told.
    pub records: Vec<decision::Member>,
}

/// One member: configuration and live state.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Replaced by a reload.
    pub settings: Arc<snapshot::Member>,
    /// Survives reloads.
    pub live: Arc<MemberLive>,
}

impl Pool {
    /// The balancer's name.
    pub fn name(&self) -> &Arc<str> {
        todo!()
    }
    /// Takes over a new configuration. Off the workers: it tells the policies bound to it.
    pub fn adopt(&self, _balancer: Arc<snapshot::Balancer>) {
        todo!()
    }
    /// The members now.
    pub fn current(&self) -> Arc<PoolMembers> {
        todo!()
    }
}

/// All pools, by balancer. Outlives every reload.
#[derive(Debug)]
pub struct Live {}

impl Live {
    /// No pools yet.
    pub fn new(_clock: super::Clock) -> Self {
        todo!()
    }
    /// The pool of that name, made with this configuration if there was none. Does not adopt.
    pub fn prepare(&self, _balancer: &Arc<snapshot::Balancer>) -> Arc<Pool> {
        todo!()
    }
    /// Adopts all of a new configuration and forgets pools that are not in it.
    pub fn publish<'a>(&self, _balancers: impl IntoIterator<Item = &'a Arc<snapshot::Balancer>>) {
        todo!()
    }
    /// All pools, by name.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        todo!()
    }
}
