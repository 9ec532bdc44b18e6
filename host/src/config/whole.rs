//! The operator's configuration and the tenants' together.

use std::{collections::BTreeMap, sync::Arc};

use super::{Diagnostic, LoadedTenant, TenantPart, compile::forbidden, load_tenant, tenants};
use crate::{
    routing::overlap,
    snapshot::{HostPattern, Snapshot, TenantName, Vhost},
};

/// The operator's snapshot with these tenants in it.
pub fn compose<'p>(
    operator: &Snapshot,
    parts: impl IntoIterator<Item = &'p Arc<TenantPart>>,
) -> Snapshot {
    let mut whole = operator.clone();
    for part in parts {
        whole.vhosts.extend(part.vhosts.iter().cloned());
        let balancers = part.balancers.iter();
        whole
            .balancers
            .extend(balancers.map(|(name, balancer)| (name.clone(), Arc::clone(balancer))));
        let policies = part.policies.iter();
        whole
            .policies
            .extend(policies.map(|(name, policy)| (name.clone(), policy.clone())));
        whole.tenants.insert(part.name.clone(), part.tenant.clone());
        whole.files.extend(part.files.iter().cloned());
    }
    whole
}

/// Everything that is on disk.
#[derive(Debug)]
pub struct Whole {
    /// What can be used, hosts that two of them claim given to the first by name.
    pub parts: BTreeMap<TenantName, Arc<TenantPart>>,
    /// What became of each tenant's files.
    pub loaded: Vec<LoadedTenant>,
    /// What is wrong beside the files: folders that are no tenant's, hosts that are claimed twice.
    pub problems: Vec<Diagnostic>,
}

/// Reads every tenant's files, as if nothing was in service.
pub fn whole(operator: &Snapshot) -> Whole {
    let (names, mut problems) = match tenants(operator) {
        Ok(found) => found.unwrap_or_default(),
        Err(problem) => (Vec::new(), vec![*problem]),
    };
    let loaded: Vec<_> = names
        .iter()
        .map(|name| load_tenant(name, operator))
        .collect();
    let good = loaded.iter().filter_map(|one| one.outcome.as_ref().ok());
    let mut parts: BTreeMap<_, _> = good
        .map(|part| (part.name.clone(), Arc::clone(part)))
        .collect();
    let nobody = BTreeMap::new();
    for name in names {
        let Some(part) = parts.get(&name) else {
            continue;
        };
        if let Some(problem) = contested(part, operator, &nobody, &parts) {
            problems.push(problem);
            parts.remove(&name);
        }
    }
    Whole {
        parts,
        loaded,
        problems,
    }
}

/// A host that a tenant claims and cannot have, told with its place.
///
/// Whoever has a host keeps it: `before` are the tenants that have some. What the operator lists for one tenant
/// is for no other that has no list, and of two that are new, the one with a list gets it, else the first by name.
/// `next` are all as they want to be.
pub fn contested(
    part: &TenantPart,
    operator: &Snapshot,
    before: &BTreeMap<TenantName, Arc<TenantPart>>,
    next: &BTreeMap<TenantName, Arc<TenantPart>>,
) -> Option<Diagnostic> {
    // The operator's wildcards take what is left over; what it names is its own.
    let names = |vhost: &&Arc<Vhost>, claim: &HostPattern| {
        matches!(claim, HostPattern::Exact(_)) && vhost.hosts.contains(claim)
    };
    for (claim, place) in &part.claims {
        if let Some(vhost) = operator.vhosts.iter().find(|vhost| names(vhost, claim)) {
            return Some(taken(place, "the operator", &vhost.name));
        }
        if let Some(why) = forbidden(claim, part.tenant.quota.hosts.as_deref()) {
            return Some(Diagnostic {
                message: format!("{:?}: {why}", shown(claim)),
                remedy: "ask the operator for it (the tenant's `hosts`)".to_owned(),
                ..place.clone()
            });
        }
    }
    let had = |tenant: &TenantName, claim: &HostPattern| {
        let part = before.get(tenant);
        part.is_some_and(|part| part.claims.iter().any(|(host, _)| host == claim))
    };
    if !is_listed(part) {
        let new = part
            .claims
            .iter()
            .filter(|(claim, _)| !had(&part.name, claim));
        for (claim, place) in new {
            if let Some(owner) = reserved(claim, operator) {
                return Some(Diagnostic {
                    message: format!(
                        "the operator keeps {:?} for the tenant `{owner}`",
                        shown(claim)
                    ),
                    remedy: "claim another host, or ask the operator for it (the tenant's `hosts`)"
                        .to_owned(),
                    ..place.clone()
                });
            }
        }
    }
    for other in next.values().filter(|other| other.name != part.name) {
        for (claim, place) in &part.claims {
            let loses = |host: &HostPattern| match (had(&part.name, claim), had(&other.name, host))
            {
                (true, false) => false,
                (false, true) => true,
                // The operator's word comes before the order of names.
                _ => (!is_listed(other), &other.name) < (!is_listed(part), &part.name),
            };
            let mut theirs = other.claims.iter();
            if let Some((host, _)) = theirs.find(|(host, _)| overlap(claim, host) && loses(host)) {
                return Some(taken(place, &whose(&other.name), &shown(host)));
            }
        }
    }
    None
}

/// The tenant that the operator lists the host for, whether it is there or not.
fn reserved<'o>(claim: &HostPattern, operator: &'o Snapshot) -> Option<&'o str> {
    let mut own = operator.tenancy.own.iter();
    let (owner, _) = own.find(|(_, quota)| {
        let listed = quota.hosts.as_deref().unwrap_or_default();
        listed.iter().any(|host| overlap(claim, host))
    })?;
    Some(owner)
}

/// Whether the operator lists the tenant's hosts.
fn is_listed(part: &TenantPart) -> bool {
    part.tenant.quota.hosts.is_some()
}

fn taken(place: &Diagnostic, holder: &str, host: &str) -> Diagnostic {
    Diagnostic {
        message: format!("the host belongs to {holder}, which serves {host:?}"),
        remedy: "claim a host that nobody else has; whoever has it keeps it".to_owned(),
        ..place.clone()
    }
}

fn whose(tenant: &TenantName) -> String {
    format!("the tenant `{tenant}`")
}

/// A pattern as one writes it.
fn shown(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(text) | HostPattern::Glob(text) => text.clone(),
        HostPattern::Suffix(suffix) => format!("*{suffix}"),
    }
}
