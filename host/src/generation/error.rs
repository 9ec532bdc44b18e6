//! Why a snapshot cannot be linked.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    policy::{Exports, Refusal},
    routing::TableError,
    snapshot::{Snapshot, TenantName},
};

/// Why a snapshot cannot be linked, tenant by tenant. Nothing was changed.
#[derive(Debug, Default)]
pub struct LinkErrors(Vec<(TenantName, LinkError)>);

impl LinkErrors {
    pub(super) fn add(&mut self, tenant: &TenantName, error: LinkError) {
        self.0.push((tenant.clone(), error));
    }

    pub(super) fn of_table(error: TableError, snapshot: &Snapshot) -> Self {
        let name = match &error {
            TableError::NoVhost => None,
            TableError::Regex { vhost, .. } | TableError::RegexSet { vhost, .. } => Some(vhost),
        };
        let mut vhosts = snapshot.vhosts.iter();
        let vhost = vhosts.find(|vhost| name.is_some_and(|name| *name == vhost.name));
        let tenant = vhost.map_or_else(TenantName::operator, |vhost| vhost.tenant.clone());
        Self(vec![(tenant, error.into())])
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every one.
    pub fn all(self) -> impl Iterator<Item = (TenantName, LinkError)> {
        self.0.into_iter()
    }

    /// The first error of each tenant that has one.
    pub fn by_tenant(self) -> BTreeMap<TenantName, LinkError> {
        let mut first = BTreeMap::new();
        for (tenant, error) in self.0 {
            first.entry(tenant).or_insert(error);
        }
        first
    }
}

impl fmt::Display for LinkErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (tenant, error)) in self.0.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            match tenant.is_operator() {
                true => write!(f, "{separator}{error}")?,
                false => write!(f, "{separator}tenant `{tenant}`: {error}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for LinkErrors {}

/// Why a snapshot cannot be linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A route's pattern.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A route names a balancer that the snapshot lacks.
    #[error(
        "{place} names the balancer `{balancer}`, which is not defined; add [balancer.{balancer}]"
    )]
    NoBalancer {
        /// The route.
        place: String,
        /// As named.
        balancer: String,
    },
    /// A place names a policy that was not loaded.
    #[error(
        "{place} names the policy `{policy}`, which is not loaded; add [policy.{policy}] with its source"
    )]
    NoPolicy {
        /// Where.
        place: String,
        /// As named.
        policy: String,
    },
    /// A rewriter as `lbmethod`, and the like.
    #[error("{place} needs a policy that exports `{needs}`, but `{policy}` exports {}; name another policy there", listed(.exports))]
    WrongKind {
        /// Where.
        place: String,
        /// Its name.
        policy: Arc<str>,
        /// The interface.
        needs: &'static str,
        /// What it has instead.
        exports: Exports,
    },
    /// A candidate without anybody to be compared with.
    #[error("{place} has nothing to compare `{policy}` with, which exports {}; name a policy of that kind there first", listed(.exports))]
    NothingBeside {
        /// Where.
        place: String,
        /// Its name.
        policy: Arc<str>,
        /// What it can do.
        exports: Exports,
    },
    /// A tenant's instances would have more memory than its quota.
    #[error(
        "its policies' instances may take {wanted} bytes of memory in all, more than the tenant's quota of {most}; lower policy.NAME.limits.memory, or ask the operator to raise the quota `policy_memory`"
    )]
    Memory {
        /// Instances times the memory that each may have.
        wanted: usize,
        /// The quota.
        most: usize,
    },
    /// All wait while a tenant's policies are tried.
    #[error(
        "its policies take more than {most:?} of CPU time together to be tried and to start; let `init` do less, use them in fewer places, or ask the operator to raise limits.policy.init_deadline"
    )]
    TooSlow {
        /// What a tenant may take.
        most: Duration,
    },
    /// It failed while being tried, or refuses its configuration.
    #[error("policy `{policy}` for {place}: {refusal}")]
    Refused {
        /// Where.
        place: String,
        /// Its name.
        policy: Arc<str>,
        /// Why.
        #[source]
        refusal: Refusal,
    },
}

impl LinkError {
    /// The policy to blame, if one is.
    pub fn policy(&self) -> Option<&str> {
        match self {
            Self::WrongKind { policy, .. }
            | Self::NothingBeside { policy, .. }
            | Self::Refused { policy, .. } => Some(policy),
            Self::Table(_)
            | Self::NoBalancer { .. }
            | Self::NoPolicy { .. }
            | Self::Memory { .. }
            | Self::TooSlow { .. } => None,
        }
    }
}

fn listed(exports: &Exports) -> String {
    let names = [
        (exports.balancer, "`balancer`"),
        (exports.affinity, "`affinity`"),
        (exports.rewriter, "`rewriter`"),
    ];
    let present: Vec<_> = names.iter().filter(|n| n.0).map(|n| n.1).collect();
    match present.as_slice() {
        [] => "no decision".to_owned(),
        present => present.join(" and "),
    }
}
