//! From a snapshot to a generation.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    iter,
    sync::Arc,
};

use super::{
    LinkError, Modules,
    candidates::{Trial, sessions},
    key::{Bindings, Key, Lineage},
    live::{AccessLogs, Forward, Generation, LiveVhost, plans_bodies},
    place::Place,
};
use crate::{
    members::{Clock, Live, Pool},
    policy::{Binding, BindingParts, Environment, Lanes, Module, Post, Role, Selector},
    routing,
    snapshot::{self, Action, OnError, PolicyRef, Snapshot, TenantName},
};

/// Makes generations. Slow, for it instantiates policies: off the workers.
pub struct Linker {
    /// Pools are found and made here.
    pub live: Arc<Live>,
    /// Threads that serve requests.
    pub workers: usize,
    /// Where each tenant's slow work is done.
    pub lanes: Arc<dyn Lanes>,
    /// Makes every binding's random choices its own; the same seed gives the same choices.
    pub seed: u64,
}

/// What a generation comes after, and what it is called.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Counts from 1.
    pub number: u64,
    /// The one in service.
    pub before: Option<&'a Generation>,
}

impl Linker {
    /// Links a snapshot. Whatever can fail fails here, and then leaves the generation before as
    /// it was; pools that only this one would have had are forgotten by the next
    /// [`Live::publish`].
    pub fn link(
        &self,
        snapshot: Arc<Snapshot>,
        modules: &Modules<'_>,
        access: AccessLogs,
        origin: Origin<'_>,
    ) -> Result<Generation, LinkError> {
        let table = routing::Table::new(&snapshot)?;
        let mut link = Link {
            linker: self,
            snapshot: &snapshot,
            modules,
            before: origin.before.map(|before| &before.bindings),
            bindings: Bindings::default(),
            fresh: Vec::new(),
        };
        let mut selectors = BTreeMap::new();
        for (name, balancer) in &snapshot.balancers {
            selectors.insert(name.clone(), link.selector(balancer)?);
        }
        let vhosts = snapshot
            .vhosts
            .iter()
            .zip(access.vhosts.into_iter().chain(iter::repeat(None)))
            .map(|(vhost, access)| {
                let routes = link.routes(vhost, &selectors)?;
                Ok(LiveVhost { routes, access })
            })
            .collect::<Result<_, LinkError>>()?;
        let bindings = link.enter_service()?;
        Ok(Generation {
            number: origin.number,
            loaded_at_ms: Clock::wall_ms(),
            table,
            vhosts,
            access: access.process,
            selectors,
            bindings,
            snapshot,
        })
    }
}

/// One linking under way.
pub(super) struct Link<'a> {
    linker: &'a Linker,
    snapshot: &'a Snapshot,
    modules: &'a Modules<'a>,
    before: Option<&'a Bindings>,
    bindings: Bindings,
    /// Prepared, and not in service before.
    fresh: Vec<Fresh>,
}

struct Fresh {
    place: String,
    binding: Arc<Binding>,
    predecessor: Option<Arc<Binding>>,
}

impl Link<'_> {
    fn selector(&mut self, balancer: &Arc<snapshot::Balancer>) -> Result<Arc<Selector>, LinkError> {
        let pool = self.linker.live.prepare(balancer);
        let (name, tenant) = (balancer.local_name(), &balancer.tenant);
        let place = Place::Method(name);
        let mut chain = self.posts(&balancer.lbmethod, tenant, place, &pool)?;
        let held = Place::Affinity(name);
        let mut affinity = self.posts(&balancer.affinity, tenant, held, &pool)?;
        let last_resort = PolicyRef::BuiltIn {
            name: "byrequests",
            config: serde_json::json!({}),
        };
        let last_resort = self.bind(&last_resort, tenant, place, (&pool, Role::Serving))?;
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
            last_resort: Some(last_resort),
        }))
    }

    fn routes(
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
            let selector = selectors
                .get(&proxy.balancer)
                .ok_or_else(|| LinkError::NoBalancer {
                    place: format!("route `{}` of vhost `{}`", route.name, vhost.name),
                    balancer: proxy.balancer.clone(),
                })?;
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

    /// The binding for a place: this generation's, else that of the one before, else a new one.
    pub(super) fn bind(
        &mut self,
        policy: &PolicyRef,
        tenant: &TenantName,
        place: Place<'_>,
        (pool, role): (&Arc<Pool>, Role),
    ) -> Result<Arc<Binding>, LinkError> {
        let (module, mut key) = self.resolve(policy, tenant, place)?;
        let exports = module.exports();
        if !place.fits(exports) {
            return Err(LinkError::WrongKind {
                place: place.to_string(),
                policy: key.lineage.policy,
                needs: place.needs(),
                exports,
            });
        }
        // Who knows members knows those of one pool; everybody else can be shared.
        let own = exports.balancer || exports.membership;
        key.lineage.pool = own.then(|| Arc::clone(pool));
        key.lineage.role = role;
        if let Some(binding) = self.bindings.find(&key) {
            return Ok(Arc::clone(binding));
        }
        let kept = self.before.and_then(|before| before.find(&key));
        let binding = match kept {
            Some(kept) => Arc::clone(kept),
            None => self.prepare(module, &key, place)?,
        };
        self.bindings.add(key, Arc::clone(&binding));
        Ok(binding)
    }

    fn resolve(
        &self,
        policy: &PolicyRef,
        tenant: &TenantName,
        place: Place<'_>,
    ) -> Result<(Arc<dyn Module>, Key), LinkError> {
        let missing = |name: &str| LinkError::NoPolicy {
            place: place.to_string(),
            policy: tenant.local(name).to_owned(),
        };
        let (name, module, config, limits, on_error) = match policy {
            PolicyRef::BuiltIn { name, config } => {
                let module = (self.modules.built_in)(name).ok_or_else(|| missing(name))?;
                let module = module.map_err(|refusal| LinkError::Refused {
                    place: place.to_string(),
                    policy: (*name).into(),
                    refusal,
                })?;
                let limits = &self.snapshot.policy_limits;
                (*name, module, config, limits, OnError::BuiltIn)
            }
            PolicyRef::Named(name) => {
                let source = self.snapshot.policies.get(name);
                let source = source.ok_or_else(|| missing(name))?;
                let module = self.modules.named.get(name).ok_or_else(|| missing(name))?;
                let (limits, on_error) = (&source.limits, source.on_error);
                (
                    source.name.as_str(),
                    Arc::clone(module),
                    &source.config,
                    limits,
                    on_error,
                )
            }
        };
        let lineage = Lineage {
            tenant: tenant.clone(),
            policy: name.into(),
            built_in: matches!(policy, PolicyRef::BuiltIn { .. }),
            role: Role::Serving,
            pool: None,
        };
        let key = Key {
            lineage,
            digest: module.digest(),
            config: config.to_string().into(),
            limits: limits.clone(),
            on_error,
        };
        Ok((module, key))
    }

    fn prepare(
        &mut self,
        module: Arc<dyn Module>,
        key: &Key,
        place: Place<'_>,
    ) -> Result<Arc<Binding>, LinkError> {
        let tenant = &key.lineage.tenant;
        let pool = key.lineage.pool.as_ref();
        let scope = pool.map_or("*", |pool| pool.local_name());
        let binding = format!("{tenant}/{scope}");
        let environment = Environment {
            tenant: tenant.shared(),
            policy: Arc::clone(&key.lineage.policy),
            limits: key.limits.clone(),
            seed: self.seed(key, &binding),
            clock: self.linker.live.clock(),
        };
        let parts = BindingParts {
            policy: Arc::clone(&key.lineage.policy),
            // What a shadow does must be seen by nobody.
            module: match key.lineage.role {
                Role::Shadow => module.apart(),
                Role::Serving | Role::Canary => module,
            },
            config: Arc::clone(&key.config),
            binding,
            environment,
            allowance: None,
            role: key.lineage.role,
            on_error: key.on_error,
            pool: key.lineage.pool.clone(),
            workers: self.linker.workers,
            clock: self.linker.live.clock(),
            background: self.linker.lanes.lane(tenant.as_str()),
        };
        let binding = Binding::prepare(parts).map_err(|refusal| LinkError::Refused {
            place: place.to_string(),
            policy: Arc::clone(&key.lineage.policy),
            refusal,
        })?;
        let predecessor = self.before.and_then(|before| before.predecessor(key));
        self.fresh.push(Fresh {
            place: place.to_string(),
            binding: Arc::clone(&binding),
            predecessor: predecessor.cloned(),
        });
        Ok(binding)
    }

    /// Differs between bindings, and is the same whenever the linker's is.
    fn seed(&self, key: &Key, binding: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        let parts = (&key.lineage.policy, binding, key.digest, &key.config);
        (self.linker.seed, parts).hash(&mut hasher);
        hasher.finish()
    }

    /// The last step, after everything else has held.
    fn enter_service(self) -> Result<Bindings, LinkError> {
        for fresh in self.fresh {
            let entered = fresh.binding.enter_service(fresh.predecessor.as_ref());
            entered.map_err(|refusal| LinkError::Refused {
                place: fresh.place,
                policy: Arc::clone(fresh.binding.policy()),
                refusal,
            })?;
        }
        Ok(self.bindings)
    }
}
