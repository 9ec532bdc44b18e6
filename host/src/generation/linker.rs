//! Who makes generations, and of what.

use std::{collections::BTreeMap, iter, sync::Arc};

use super::{
    LinkErrors, Modules,
    key::{Bindings, Prepared},
    link::Link,
    live::{AccessLogs, Generation, LiveVhost},
};
use crate::{
    members::{Clock, Live},
    policy::Lanes,
    recording::Recorders,
    routing,
    snapshot::{Snapshot, TenantName},
    tenants::Tenants,
};

/// Makes generations. Slow, for it instantiates policies: off the workers.
pub struct Linker {
    /// Pools are found and made here.
    pub live: Arc<Live>,
    /// What tenants use is counted here.
    pub tenants: Arc<Tenants>,
    /// Threads that serve requests.
    pub workers: usize,
    /// Where each tenant's slow work is done.
    pub lanes: Arc<dyn Lanes>,
    /// Makes every binding's random choices its own; the same seed gives the same choices.
    pub seed: u64,
    /// Writes down what policies decide; `None` where nothing is in service.
    pub recorders: Option<Arc<Recorders>>,
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
    ) -> Result<Generation, LinkErrors> {
        self.link_with(snapshot, modules, access, origin, &mut Prepared::default())
    }

    /// Likewise, with what an earlier attempt has prepared. Every tenant is tried, so that all
    /// that fail are known at once.
    pub fn link_with(
        &self,
        snapshot: Arc<Snapshot>,
        modules: &Modules<'_>,
        access: AccessLogs,
        origin: Origin<'_>,
        prepared: &mut Prepared,
    ) -> Result<Generation, LinkErrors> {
        let before = origin.before.map(|before| &before.table);
        let table = routing::Table::after(&snapshot, before);
        let table = table.map_err(|error| LinkErrors::of_table(error, &snapshot))?;
        let mut link = Link {
            prepared,
            errors: LinkErrors::default(),
            linker: self,
            snapshot: &snapshot,
            modules,
            before: origin.before.map(|before| &before.bindings),
            bindings: Bindings::default(),
            fresh: Vec::new(),
        };
        let mut selectors = BTreeMap::new();
        for (name, balancer) in &snapshot.balancers {
            match link.selector(balancer) {
                Ok(selector) => drop(selectors.insert(name.clone(), selector)),
                Err(error) => link.errors.add(&balancer.tenant, error),
            }
        }
        let vhosts = snapshot
            .vhosts
            .iter()
            .zip(access.vhosts.into_iter().chain(iter::repeat(None)))
            .map(|(vhost, access)| {
                let routes = link.routes(vhost, &selectors).unwrap_or_else(|error| {
                    link.errors.add(&vhost.tenant, error);
                    Vec::new()
                });
                let tenant = self.tenants.of(&vhost.tenant);
                let exchanges = self.live.exchanges().of(&vhost.tenant, &vhost.name);
                LiveVhost {
                    exchanges,
                    tenant,
                    routes,
                    access,
                }
            })
            .collect();
        link.weigh();
        let bindings = link.enter_service()?;
        Ok(Generation {
            number: origin.number,
            loaded_at_ms: Clock::wall_ms(),
            table,
            vhosts,
            access: access.process,
            exchanges: self.live.exchanges().of(&TenantName::operator(), ""),
            selectors,
            bindings,
            snapshot,
        })
    }
}
