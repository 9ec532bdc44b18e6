//! The binding for a place: found among those of the generation before, or made.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use tracing::error;

use super::{
    LinkError,
    key::{Key, Lineage},
    link::{Fresh, Link},
    place::Place,
};
use crate::{
    members::Pool,
    policy::{Allowance, Binding, BindingParts, Environment, Module, Role},
    recording::{Recordings, Source},
    snapshot::{OnError, PolicyRef, TenantName},
};

/// What a tenant's bindings may take together until they are in service, in `init_deadline`s: five policies that
/// take all of it, or hundreds that are as quick as they should be.
const STARTS: u32 = 5;

impl Link<'_> {
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
            None => self.fresh(module, &key, place)?,
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
        let (name, module, config, limits, on_error, record) = match policy {
            PolicyRef::BuiltIn { name, config } => {
                let module = (self.modules.built_in)(name).ok_or_else(|| missing(name))?;
                let module = module.map_err(|refusal| LinkError::Refused {
                    place: place.to_string(),
                    policy: (*name).into(),
                    refusal,
                })?;
                let limits = &self.snapshot.policy_limits;
                (*name, module, config, limits, OnError::BuiltIn, &None)
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
                    &source.record,
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
            record: record.clone(),
        };
        Ok((module, key))
    }

    /// A binding that was not in service before.
    fn fresh(
        &mut self,
        module: Arc<dyn Module>,
        key: &Key,
        place: Place<'_>,
    ) -> Result<Arc<Binding>, LinkError> {
        let binding = match self.prepared.bindings.find(key) {
            Some(binding) => Arc::clone(binding),
            None => self.prepare(module, key, place)?,
        };
        let predecessor = self.before.and_then(|before| before.predecessor(key));
        self.fresh.push(Fresh {
            tenant: key.lineage.tenant.clone(),
            place: place.to_string(),
            binding: Arc::clone(&binding),
            predecessor: predecessor.cloned(),
        });
        Ok(binding)
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
            tape: Source::None,
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
            allowance: self.allowance(tenant),
            role: key.lineage.role,
            recordings: self.recordings(key),
            on_error: key.on_error,
            pool: key.lineage.pool.clone(),
            workers: self.linker.workers,
            clock: self.linker.live.clock(),
            background: self.linker.lanes.lane(tenant.as_str()),
        };
        self.has_time(tenant)?;
        let prepare = || Binding::prepare(parts);
        let binding = self.prepared.on_account(tenant, prepare);
        let binding = binding.map_err(|refusal| LinkError::Refused {
            place: place.to_string(),
            policy: Arc::clone(&key.lineage.policy),
            refusal,
        })?;
        self.prepared
            .bindings
            .add(key.clone(), Arc::clone(&binding));
        Ok(binding)
    }

    /// Whether the tenant's bindings may take more of the time for which everybody's changes wait.
    pub(super) fn has_time(&self, tenant: &TenantName) -> Result<(), LinkError> {
        let most = self.snapshot.policy_limits.init_deadline * STARTS;
        match self.prepared.is_within(tenant, most) {
            true => Ok(()),
            false => Err(LinkError::TooSlow { most }),
        }
    }

    /// Where its calls are written down. That this is not possible keeps no policy out of service.
    fn recordings(&self, key: &Key) -> Option<Arc<Recordings>> {
        let (recorders, record) = (self.linker.recorders.as_ref()?, key.record.as_ref()?);
        let (tenant, policy) = (&key.lineage.tenant, &key.lineage.policy);
        match recorders.open(tenant.as_str(), policy, record) {
            Ok(recorder) => Some(Arc::new(Recordings::new(recorder))),
            Err(cause) => {
                let path = record.path.display();
                error!(%tenant, %policy, %path, %cause, "No thread can be started; decisions are not recorded");
                None
            }
        }
    }

    fn allowance(&self, tenant: &TenantName) -> Option<Arc<Allowance>> {
        let tenant = self.linker.tenants.of(tenant)?;
        Some(Arc::clone(tenant.allowance()))
    }

    /// Differs between bindings, and is the same whenever the linker's is: also for another version, so that two
    /// builds of a policy can be compared by what they make of the same chance.
    fn seed(&self, key: &Key, binding: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        let parts = (&key.lineage.policy, binding);
        (self.linker.seed, parts).hash(&mut hasher);
        hasher.finish()
    }
}
