//! The policies' code that a configuration needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use tracing::warn;

use super::{
    Failure, Stock, Writer,
    bid::Named,
    shelf,
    tracked::{Look, Tracked},
};
use crate::{
    policy::{Digest, Module},
    snapshot::{Action, Balancer, PolicyRef, PolicySource, Vhost},
};

impl Writer {
    /// What is on disk of these policies where that can be used, else the versions in service.
    pub(super) fn versions(
        &self,
        policies: &BTreeMap<String, PolicySource>,
    ) -> Result<Vec<Named>, Failure> {
        let (mut latest, mut proven) = (Named::new(), Named::new());
        let mut differ = false;
        let shop = Shop {
            stock: &self.setup.stock,
            state_dir: self.operator.state_dir.as_deref(),
        };
        for (name, policy) in policies {
            let fresh;
            let tracked = match self.policies.get(name) {
                Some(tracked) => tracked,
                None => {
                    let earlier = self.earlier.get(name).cloned().unwrap_or_default();
                    fresh = Tracked::recalling(policy, earlier);
                    &fresh
                }
            };
            let stays = tracked.in_service_from(&policy.source);
            let module = match newest(tracked, policy, shop) {
                Ok(module) => module,
                // Those that go together shall come together.
                Err(loading @ Failure::Loading { .. }) => return Err(loading),
                Err(failure) => stays.clone().ok_or(failure)?,
            };
            let stays = stays.unwrap_or_else(|| Arc::clone(&module));
            differ |= stays.digest() != module.digest();
            proven.insert(name.clone(), stays);
            latest.insert(name.clone(), module);
        }
        Ok(match differ {
            true => vec![latest, proven],
            false => vec![latest],
        })
    }

    /// Whether the built-in policies that these name can be had at once.
    pub(super) fn built_ins(
        &self,
        vhosts: &[Arc<Vhost>],
        balancers: &BTreeMap<String, Arc<Balancer>>,
    ) -> Result<(), Failure> {
        let chosen = balancers.values().flat_map(|balancer| {
            let affinity = balancer.affinity.iter();
            balancer.lbmethod.iter().chain(affinity)
        });
        let routes = vhosts.iter().flat_map(|vhost| &vhost.routes);
        let rewriters = routes.flat_map(|route| match &route.action {
            Action::Proxy(proxy) => proxy.rewrite.as_slice(),
            _ => &[],
        });
        let names: BTreeSet<_> = chosen
            .chain(rewriters)
            .filter_map(|policy| match policy {
                PolicyRef::BuiltIn { name, .. } => Some(*name),
                PolicyRef::Named(_) => None,
            })
            .collect();
        let limits = &self.operator.policy_limits;
        let missing = names
            .into_iter()
            .filter(|name| !self.setup.stock.has_built_in(name, limits));
        match missing.last() {
            Some(name) => Err(Failure::Loading { name: name.into() }),
            None => Ok(()),
        }
    }
}

/// Where versions come from.
#[derive(Clone, Copy)]
pub(super) struct Shop<'a> {
    pub stock: &'a Stock,
    pub state_dir: Option<&'a Path>,
}

/// The version that served when the one on disk was undone in an earlier run. Where it was not
/// kept, the one on disk is better than none.
fn back_from(
    tracked: &Tracked,
    policy: &PolicySource,
    (undone, wasm): (Digest, Vec<u8>),
    shop: Shop<'_>,
) -> Result<Arc<dyn Module>, Failure> {
    let kept = || {
        shelf::find(
            shop.state_dir?,
            &tracked.last_good(&undone)?,
            policy.largest(),
        )
    };
    let wasm = match kept() {
        Some(kept) => kept,
        None => {
            let (policy, digest) = (&policy.name, undone);
            warn!(
                policy,
                ?digest,
                "The version on disk was undone, but none before it was kept; it serves again"
            );
            wasm
        }
    };
    let name = policy.name.clone();
    match shop.stock.fetch(policy, wasm) {
        None => Err(Failure::Loading { name }),
        Some(Ok(module)) => Ok(module),
        Some(Err(refusal)) => Err(Failure::Policy {
            name,
            why: refusal.to_string(),
        }),
    }
}

/// What is on disk of a policy, or why that cannot be used.
pub(super) fn newest(
    tracked: &Tracked,
    policy: &PolicySource,
    shop: Shop<'_>,
) -> Result<Arc<dyn Module>, Failure> {
    let why = match tracked.look(policy, shop.stock, true) {
        Look::New(module) => return Ok(module),
        Look::InService | Look::Known => match tracked.in_service() {
            Some(module) => return Ok(module),
            None => "no version of it was in service yet".to_owned(),
        },
        Look::Undone(digest, wasm) => return back_from(tracked, policy, (digest, wasm), shop),
        Look::Loading => {
            let name = policy.name.clone();
            return Err(Failure::Loading { name });
        }
        Look::Bad(_, why) => why,
    };
    let name = policy.name.clone();
    Err(Failure::Policy { name, why })
}
