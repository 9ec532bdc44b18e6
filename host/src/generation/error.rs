//! Why a snapshot cannot be linked.

use std::sync::Arc;

use crate::{
    policy::{Exports, Refusal},
    routing::TableError,
};

/// Why a snapshot cannot be linked. Nothing was changed.
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
            Self::Table(_) | Self::NoBalancer { .. } | Self::NoPolicy { .. } => None,
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
