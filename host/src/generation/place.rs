//! The places where a configuration uses policies.

use std::fmt;

use crate::policy::Exports;

/// A place where the configuration names a policy. `Display` names it for the operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// `lbmethod` of a balancer.
    Method(&'a str),
    /// `affinity` of a balancer.
    Affinity(&'a str),
    /// `rewrite` or `reverse` of a route.
    Rewriter { vhost: &'a str, route: &'a str },
    /// `shadow` or `canary` of a balancer.
    Beside {
        key: &'static str,
        balancer: &'a str,
    },
    /// `shadow` or `canary` of a route.
    BesideRoute {
        key: &'static str,
        vhost: &'a str,
        route: &'a str,
    },
}

impl Place<'_> {
    /// The interface that a policy needs there.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Method(_) => "balancer",
            Self::Affinity(_) => "affinity",
            Self::Beside { .. } => "balancer` or `affinity",
            Self::Rewriter { .. } | Self::BesideRoute { .. } => "rewriter",
        }
    }

    /// Whether a policy with these exports fits.
    pub fn fits(self, exports: Exports) -> bool {
        match self {
            Self::Method(_) => exports.balancer,
            Self::Affinity(_) => exports.affinity,
            Self::Beside { .. } => exports.balancer || exports.affinity,
            Self::Rewriter { .. } | Self::BesideRoute { .. } => exports.rewriter,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(balancer) => write!(f, "lbmethod of balancer `{balancer}`"),
            Self::Affinity(balancer) => write!(f, "affinity of balancer `{balancer}`"),
            Self::Beside { key, balancer } => write!(f, "{key} of balancer `{balancer}`"),
            Self::BesideRoute { key, vhost, route } => {
                write!(f, "{key} of route `{route}` of vhost `{vhost}`")
            }
            Self::Rewriter { vhost, route } => {
                write!(f, "rewrite of route `{route}` of vhost `{vhost}`")
            }
        }
    }
}
