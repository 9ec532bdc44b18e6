//! The policies' code that a configuration needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Failure, Stock, Writer,
    bid::Named,
    tracked::{Look, Tracked},
};
use crate::{
    policy::Module,
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
        for (name, policy) in policies {
            let fresh;
            let tracked = match self.policies.get(name) {
                Some(tracked) => tracked,
                None => {
                    fresh = Tracked::new(policy);
                    &fresh
                }
            };
            let stays = tracked.in_service_from(&policy.source);
            let module = match newest(tracked, policy, &self.setup.stock) {
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

/// What is on disk of a policy, or why that cannot be used.
fn newest(
    tracked: &Tracked,
    policy: &PolicySource,
    stock: &Stock,
) -> Result<Arc<dyn Module>, Failure> {
    let why = match tracked.look(policy, stock, true) {
        Look::New(module) => return Ok(module),
        Look::InService | Look::Known => match tracked.in_service() {
            Some(module) => return Ok(module),
            None => "no version of it was in service yet".to_owned(),
        },
        Look::Loading => {
            let name = policy.name.clone();
            return Err(Failure::Loading { name });
        }
        Look::Bad(_, why) => why,
    };
    let name = policy.name.clone();
    Err(Failure::Policy { name, why })
}
