//! What somebody wants in service instead of what is there.

use std::{collections::BTreeMap, sync::Arc};

use super::Failure;
use crate::{
    config::{self, Diagnostic, TenantPart},
    policy::Module,
    snapshot::{Snapshot, TenantName},
};

/// Versions of policies, by qualified name.
pub(super) type Named = BTreeMap<String, Arc<dyn Module>>;

/// What the operator or a tenant wants in service. All bids of one time are tried together; who
/// fails is left out, and what it has stays.
#[derive(Debug, Clone)]
pub(super) struct Bid {
    pub tenant: TenantName,
    pub change: Change,
    /// Of its policies, the most wanted first: where they do not go together with the rest, the
    /// next are tried.
    pub versions: Vec<Named>,
}

/// What changes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// The operator's file.
    Operator(Arc<Snapshot>),
    /// A tenant's files.
    Tenant(Arc<TenantPart>),
    /// What a tenant served last, in place of files that are broken.
    Recalled {
        part: Arc<TenantPart>,
        /// When it was kept.
        at_ms: u64,
    },
    /// The tenant leaves.
    Gone,
    /// Its policies alone.
    Policies,
}

impl Change {
    /// What a tenant would have in service.
    fn part(&self) -> Option<&Arc<TenantPart>> {
        match self {
            Self::Tenant(part) | Self::Recalled { part, .. } => Some(part),
            Self::Operator(_) | Self::Gone | Self::Policies => None,
        }
    }
}

/// A bid that lost, and why.
pub(super) type Lost = (Bid, Failure);

/// Tenants' parts that are in service.
pub(super) type Parts = BTreeMap<TenantName, Arc<TenantPart>>;

/// The operator's part and the tenants' if these bids win.
pub(super) fn outcome(
    operator: &Arc<Snapshot>,
    parts: &Parts,
    bids: &[Bid],
) -> (Arc<Snapshot>, Parts) {
    let (mut operator, mut parts) = (Arc::clone(operator), parts.clone());
    for bid in bids {
        match &bid.change {
            Change::Operator(next) => operator = Arc::clone(next),
            Change::Tenant(part) | Change::Recalled { part, .. } => {
                parts.insert(bid.tenant.clone(), Arc::clone(part));
            }
            Change::Gone => drop(parts.remove(&bid.tenant)),
            Change::Policies => {}
        }
    }
    (operator, parts)
}

/// Takes out bids for hosts that somebody else has, until none is left.
pub(super) fn contest(operator: &Arc<Snapshot>, parts: &Parts, bids: &mut Vec<Bid>) -> Vec<Lost> {
    let mut lost = Vec::new();
    loop {
        let (operator, next) = outcome(operator, parts, bids);
        let loser = bids.iter().enumerate().find_map(|(index, bid)| {
            let part = bid.change.part()?;
            let why = config::contested(part, &operator, parts, &next)?;
            Some((index, why))
        });
        let Some((index, why)) = loser else {
            return lost;
        };
        lost.push((bids.remove(index), refusal(why)));
    }
}

/// Of something found after the tenant's files were checked.
pub(super) fn refusal(why: Diagnostic) -> Failure {
    Failure::Claim(Box::new(why))
}
