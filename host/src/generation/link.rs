//! One linking: who serves each balancer and route, and what holds for all together.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    LinkError, LinkErrors, Linker, Modules,
    candidates::{Trial, sessions},
    key::{Bindings, Prepared},
    live::{Forward, plans_bodies},
    place::Place,
};
use crate::{
    members::Pool,
    policy::{Binding, Post, Role, Selector},
    snapshot::{self, Action, PolicyRef, Snapshot, TenantName},
};

/// One linking under way.
pub(super) struct Link<'a> {
    pub linker: &'a Linker,
    pub snapshot: &'a Snapshot,
    pub modules: &'a Modules<'a>,
    pub before: Option<&'a Bindings>,
    pub bindings: Bindings,
    /// By this attempt or an earlier one.
    pub prepared: &'a mut Prepared,
    pub errors: LinkErrors,
    /// Not in service before.
    pub fresh: Vec<Fresh>,
}

pub(super) struct Fresh {
    pub tenant: TenantName,
    pub place: String,
    pub binding: Arc<Binding>,
    pub predecessor: Option<Arc<Binding>>,
}

impl Link<'_> {
    pub fn selector(
        &mut self,
        balancer: &Arc<snapshot::Balancer>,
    ) -> Result<Arc<Selector>, LinkError> {
        let pool = self.linker.live.prepare(balancer);
        let (name, tenant) = (balancer.local_name(), &balancer.tenant);
        let place = Place::Method(name);
        let mut chain = self.posts(&balancer.lbmethod, tenant, place, &pool)?;
        let held = Place::Affinity(name);
        let mut affinity = self.posts(&balancer.affinity, tenant, held, &pool)?;
        let last_resort = match balancer.lbmethod.is_empty() {
            true => None,
            false => {
                let byrequests = PolicyRef::BuiltIn {
                    name: "byrequests",
                    config: serde_json::json!({}),
                };
                Some(self.bind(&byrequests, tenant, place, (&pool, Role::Serving))?)
            }
        };
        let beside = |key| Place::Beside {
            key,
            balancer: name,
        };
        let mut trial = Trial {
            tenant,
            pool: &pool,
            shadow: beside("shadow"),
            canary: beside("canary"),
            sessions: sessions(affinity.first()),
            posts: chain
                .first_mut()
                .into_iter()
                .chain(affinity.first_mut())
                .collect(),
        };
        self.try_beside(&balancer.candidates, &mut trial)?;
        Ok(Arc::new(Selector {
            pool,
            chain,
            affinity,
            last_resort,
        }))
    }

    pub fn routes(
        &mut self,
        vhost: &snapshot::Vhost,
        selectors: &BTreeMap<String, Arc<Selector>>,
    ) -> Result<Vec<Option<Arc<Forward>>>, LinkError> {
        let mut routes = Vec::with_capacity(vhost.routes.len());
        for route in &vhost.routes {
            let Action::Proxy(proxy) = &route.action else {
                routes.push(None);
                continue;
            };
            let place = Place::Rewriter {
                vhost: &vhost.name,
                route: &route.name,
            };
            let Some(selector) = selectors.get(&proxy.balancer) else {
                if self.snapshot.balancers.contains_key(&proxy.balancer) {
                    // Its own trouble is known already.
                    routes.push(None);
                    continue;
                }
                return Err(LinkError::NoBalancer {
                    place: format!("route `{}` of vhost `{}`", route.name, vhost.name),
                    balancer: vhost.tenant.local(&proxy.balancer).to_owned(),
                });
            };
            let pool = &selector.pool;
            let mut rewriters = self.posts(&proxy.rewrite, &vhost.tenant, place, pool)?;
            let beside = |key| Place::BesideRoute {
                key,
                vhost: &vhost.name,
                route: &route.name,
            };
            let mut trial = Trial {
                tenant: &vhost.tenant,
                pool,
                shadow: beside("shadow"),
                canary: beside("canary"),
                sessions: sessions(selector.affinity.first()),
                // The last one: `reverse` comes first where it is asked for.
                posts: rewriters.last_mut().into_iter().collect(),
            };
            self.try_beside(&proxy.candidates, &mut trial)?;
            routes.push(Some(Arc::new(Forward {
                proxy: Arc::clone(proxy),
                selector: Arc::clone(selector),
                plans_bodies: rewriters.iter().any(|rewriter| plans_bodies(rewriter)),
                rewriters,
            })));
        }
        Ok(routes)
    }

    fn posts(
        &mut self,
        policies: &[PolicyRef],
        tenant: &TenantName,
        place: Place<'_>,
        pool: &Arc<Pool>,
    ) -> Result<Vec<Post>, LinkError> {
        let serving = (pool, Role::Serving);
        let bind = |policy| self.bind(policy, tenant, place, serving);
        let bindings = policies.iter().map(bind);
        bindings.map(|binding| Ok(binding?.into())).collect()
    }

    /// Whether each tenant's own policies stay within the memory that it may have.
    pub fn weigh(&mut self) {
        for (tenant, settings) in &self.snapshot.tenants {
            let most = settings.quota.policy_memory;
            let own = self.bindings.keyed().filter(|keyed| {
                let lineage = &keyed.key.lineage;
                lineage.tenant == *tenant && !lineage.built_in
            });
            let wanted = own
                .map(|keyed| keyed.binding.instances() * keyed.key.limits.memory)
                .fold(0, usize::saturating_add);
            if wanted > most {
                self.errors.add(tenant, LinkError::Memory { wanted, most });
            }
        }
    }

    /// The last step, after everything else has held.
    pub fn enter_service(mut self) -> Result<Bindings, LinkErrors> {
        if !self.errors.is_empty() && !self.prepared.thorough {
            return Err(self.errors);
        }
        for fresh in std::mem::take(&mut self.fresh) {
            if self.prepared.has_entered(&fresh.binding) {
                continue;
            }
            if let Err(error) = self.has_time(&fresh.tenant) {
                self.errors.add(&fresh.tenant, error);
                continue;
            }
            let enter = || fresh.binding.enter_service(fresh.predecessor.as_ref());
            match self.prepared.on_account(&fresh.tenant, enter) {
                Ok(()) => self.prepared.entered.push(fresh.binding),
                Err(refusal) => {
                    let policy = Arc::clone(fresh.binding.policy());
                    let place = fresh.place;
                    let error = LinkError::Refused {
                        place,
                        policy,
                        refusal,
                    };
                    self.errors.add(&fresh.tenant, error);
                }
            }
        }
        match self.errors.is_empty() {
            true => Ok(self.bindings),
            false => Err(self.errors),
        }
    }
}
