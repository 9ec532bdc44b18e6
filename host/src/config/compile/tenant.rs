//! Tenants: their quotas, and what they are held to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    super::{
        diagnostic::Diagnostic,
        problems::{Place, Problems},
        read::{Named, Node},
        source::{Config, QuotaTable},
    },
    bounds,
    context::{Bounds, Context, Fallback, or, time},
    hosts, http, policy, semantic,
    snapshot::named_balancers,
    vhost,
};
use crate::{
    routing,
    snapshot::{
        Balancer, Egress, HostPattern, PolicyLimits, PolicySource, Quota, Snapshot, Tenancy,
        Tenant, TenantName, Vhost,
    },
};

/// Beside the main file, where it says nothing.
const FOLDER: &str = "tenants";

/// What the operator's file says of tenants.
pub fn tenancy(config: &Config, context: &mut Context<'_>) -> Tenancy {
    let dir = match &config.tenants_dir {
        Some(node) => {
            let path = context.path(node);
            if !path.is_dir() {
                let message = format!("{} is not a folder", path.display());
                let remedy = "create it, with a folder for each tenant, or correct the path";
                context.out.warn(&node.place, message, remedy);
            }
            Some(path)
        }
        None => Some(context.base.join(FOLDER)),
    };
    let each = quota(config.each_tenant.as_ref(), None, context);
    let mut own = BTreeMap::new();
    for (name, node) in config.tenant.iter().flat_map(|n| &n.value.0) {
        if let Some(why) = unfit(name) {
            let remedy = "name a folder of the tenants' folder, and the same here";
            context.out.error(&node.place, why, remedy);
        } else if !dir.as_ref().is_some_and(|dir| dir.join(name).is_dir()) {
            let message = "the tenant has no folder, so there is nothing to hold it to";
            let remedy = format!("create {FOLDER}/{name}, or remove this");
            context.out.warn(&node.place, message, remedy);
        }
        let quota = quota(Some(node), Some(&each), context);
        own.insert(name.clone(), Arc::new(quota));
    }
    Tenancy {
        dir,
        own,
        each: Arc::new(each),
        on_error: context.on_error,
    }
}

/// Why nobody can be called so.
pub fn unfit(name: &str) -> Option<String> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if TenantName::new(name).is_operator() {
        return Some(format!("{name:?} is the operator"));
    }
    // As long as a label of a host name: it becomes a label of metrics.
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!begins || name.len() > 63 || !name.bytes().all(legal)).then(|| {
        format!("{name:?} is not a tenant's name: small letters, digits, - and _, at most 63")
    })
}

fn quota(
    node: Option<&Node<QuotaTable>>,
    fallback: Option<&Quota>,
    context: &mut Context<'_>,
) -> Quota {
    let nothing = QuotaTable::default();
    let table = node.map_or(&nothing, |node| &node.value);
    // Reasons stand in `docs/tenants.md`.
    let built_in = Quota {
        requests: Some(1_000),
        in_flight: Some(512),
        connections: Some(512),
        policy_cpu: Some(Duration::from_millis(200)),
        policy_memory: 1 << 30,
        policies: 16,
        policy_size: 4 << 20,
        folders: 32,
        egress: Egress::Public,
        hosts: None,
    };
    let fallback = fallback.unwrap_or(&built_in);
    let most = |node, most: Option<u32>| Some(or(node, most.unwrap_or(0))).filter(|n| *n > 0);
    let cpu = time(&table.policy_cpu, fallback.policy_cpu.unwrap_or_default());
    let egress = table.egress.as_ref().map(|list| {
        let list = list.value.iter().map(|node| node.value.0);
        Egress::Only(list.collect())
    });
    let names = table.hosts.as_ref().map(|list| {
        let list = list.value.iter();
        list.filter_map(|node| hosts::pattern(node, context))
            .collect()
    });
    let memory = (64 << 10, 1 << 40);
    let size = (1 << 10, 1 << 30);
    Quota {
        requests: most(&table.requests, fallback.requests),
        in_flight: most(&table.in_flight, fallback.in_flight),
        connections: most(&table.connections, fallback.connections),
        policy_cpu: Some(cpu).filter(|cpu| !cpu.is_zero()),
        policy_memory: bounds::size(
            table.policy_memory.as_ref(),
            fallback.policy_memory as u64,
            memory,
            context.out,
        ) as usize,
        policies: or(&table.policies, fallback.policies as u32) as usize,
        policy_size: bounds::size(
            table.policy_size.as_ref(),
            fallback.policy_size as u64,
            size,
            context.out,
        ) as usize,
        folders: or(&table.folders, fallback.folders as u32) as usize,
        egress: egress.unwrap_or_else(|| fallback.egress.clone()),
        hosts: names.or_else(|| fallback.hosts.clone()),
    }
}

/// What a tenant's files say, checked.
#[derive(Debug, Clone)]
pub struct TenantPart {
    /// Its name.
    pub name: TenantName,
    /// Its folder and what it may use.
    pub tenant: Tenant,
    /// In the order of its files.
    pub vhosts: Vec<Arc<Vhost>>,
    /// By qualified name.
    pub balancers: BTreeMap<String, Arc<Balancer>>,
    /// By qualified name.
    pub policies: BTreeMap<String, PolicySource>,
    /// Hosts that its vhosts claim, each with where it says so.
    pub claims: Vec<(HostPattern, Diagnostic)>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// Those of its folder, as they were read.
    pub texts: Arc<[(PathBuf, String)]>,
}

impl TenantPart {
    /// Whether both mean the same, wherever in the files it stands.
    pub fn is_like(&self, other: &Self) -> bool {
        self.tenant == other.tenant
            && self.vhosts == other.vhosts
            && self.balancers == other.balancers
            && self.policies == other.policies
            && self.files == other.files
    }

    /// With the objects of another one where they are equal, so that what hangs on them stays.
    pub fn sharing(&self, other: &Self) -> Self {
        let mut part = self.clone();
        for vhost in &mut part.vhosts {
            share(vhost, &other.vhosts);
        }
        for (name, balancer) in &mut part.balancers {
            share(balancer, other.balancers.get(name));
        }
        part
    }
}

/// Keeps the objects of `old` that are equal to new ones.
fn share<'o, T: PartialEq + 'o>(new: &mut Arc<T>, old: impl IntoIterator<Item = &'o Arc<T>>) {
    if let Some(same) = old.into_iter().find(|old| old == &&*new) {
        *new = Arc::clone(same);
    }
}

/// Checks a tenant's files, which were put together, and fills in defaults.
pub fn tenant(
    config: &Config,
    name: &TenantName,
    folder: &Arc<Path>,
    operator: &Snapshot,
    out: &mut Problems,
) -> (TenantPart, Vec<(HostPattern, Place)>) {
    let nothing = Named::default();
    let balancers = config.balancer.as_ref().map_or(&nothing, |n| &n.value);
    let no_policies = Named::default();
    let policies = config.policy.as_ref().map_or(&no_policies, |n| &n.value);
    let quota = operator.tenancy.quota(name.as_str());
    let limits = PolicyLimits {
        memory: operator.policy_limits.memory.min(quota.policy_memory),
        module_size: operator.policy_limits.module_size.min(quota.policy_size),
        ..operator.policy_limits.clone()
    };
    let bounds = Bounds {
        folder: Arc::clone(folder),
        quota: Arc::clone(quota),
        limits: limits.clone(),
    };
    let fallback = Fallback {
        log: operator.log.clone(),
        policy_limits: limits,
        raises: Arc::clone(&operator.raises),
        on_error: operator.tenancy.on_error,
    };
    let whose = (name.clone(), Some(bounds));
    let named = (balancers, policies);
    let mut context = Context::new(whose, folder.to_path_buf(), named, fallback, out);
    context.own_log = config.log.is_some();
    context.log = http::log(config.log.as_ref(), &mut context);
    let vhosts = vhost::vhosts(config, &mut context);
    let mut named = named_balancers(balancers, &mut context);
    named.append(&mut context.anonymous);
    if let Some((_, node)) = policies.0.get(quota.policies) {
        let (has, most) = (policies.0.len(), quota.policies);
        let message = format!("{has} policies are more than the {most} that this tenant may have");
        let remedy = "remove some, or ask the operator to raise the quota `policies`";
        context.out.error(&node.place, message, remedy);
    }
    let policies = policy::sources(policies, &mut context);
    if !context.out.has_errors() {
        semantic::unused(config, &mut context);
    }
    let part = TenantPart {
        name: name.clone(),
        tenant: Tenant {
            folder: Arc::clone(folder),
            quota: Arc::clone(quota),
        },
        vhosts,
        balancers: named,
        policies,
        claims: vec![],
        files: context.files,
        texts: Arc::default(),
    };
    (part, context.claims)
}

/// Notes a host that the operator does not let the tenant claim.
pub fn may_claim(claim: &HostPattern, node: &Node<String>, context: &mut Context<'_>) {
    let Some(bounds) = &context.bounds else {
        return;
    };
    if let Some(why) = forbidden(claim, bounds.quota.hosts.as_deref()) {
        let message = format!("{:?}: {why}", node.value);
        let remedy = "claim another name, or ask the operator for it (the tenant's `hosts`)";
        context.out.error(&node.place, message, remedy);
    }
}

/// Why a tenant may not claim a host, given those that the operator lists.
pub fn forbidden(claim: &HostPattern, listed: Option<&[HostPattern]>) -> Option<&'static str> {
    match (claim, listed) {
        (claim, Some(listed)) => {
            let covered = listed.iter().any(|one| routing::covers(one, claim));
            (!covered).then_some("not among the hosts that this tenant may claim")
        }
        (HostPattern::Exact(_), None) => None,
        // `*.com` would be half of the world.
        (HostPattern::Suffix(suffix), None) => (suffix.matches('.').count() < 2)
            .then_some("so wide a claim is the operator's to allow"),
        (HostPattern::Glob(_), None) => Some("such a pattern is the operator's to allow"),
    }
}
