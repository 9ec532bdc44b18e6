//! All pools, by balancer.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use super::{
    Clock, ExchangeBook, KnownNames, OwnAddresses, Pool, Reach, reach::Reaches, signal::locked,
};
use crate::snapshot::{Balancer, TenantName};

/// Live state of all balancers. Made once, outlives every reload.
#[derive(Debug)]
pub struct Live {
    clock: Clock,
    workers: usize,
    names: Arc<KnownNames>,
    reaches: Reaches,
    exchanges: ExchangeBook,
    pools: Mutex<BTreeMap<String, Arc<Pool>>>,
}

impl Live {
    /// No pools yet. `workers` = threads that serve requests.
    pub fn new(clock: Clock, workers: usize) -> Self {
        Self {
            clock,
            workers: workers.max(1),
            names: Arc::default(),
            reaches: Reaches::default(),
            exchanges: ExchangeBook::default(),
            pools: Mutex::default(),
        }
    }

    /// Reads the time that all live state is kept in.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Where members' names lead.
    pub fn names(&self) -> &KnownNames {
        &self.names
    }

    /// Where the tenant's members may be; `None`: they are the operator's.
    pub fn reach(&self, tenant: &TenantName) -> Option<Arc<Reach>> {
        self.reaches.of(tenant)
    }

    /// Where this process listens, which no tenant reaches.
    pub fn own_addresses(&self) -> &OwnAddresses {
        self.reaches.own()
    }

    /// Finished requests, by virtual host.
    pub fn exchanges(&self) -> &ExchangeBook {
        &self.exchanges
    }

    /// The pool of that name, made with this configuration if there was none. An existing one
    /// is not changed: a reload that fails later must leave everything as it was.
    pub fn prepare(&self, balancer: &Arc<Balancer>) -> Arc<Pool> {
        let mut pools = locked(&self.pools);
        let names = || Arc::clone(&self.names);
        let reach = || self.reaches.of(&balancer.tenant);
        let make = || {
            let (workers, clock) = (self.workers, self.clock);
            Arc::new(Pool::new(balancer, clock, workers, names(), reach()))
        };
        let pool = pools.entry(balancer.name.clone()).or_insert_with(make);
        Arc::clone(pool)
    }

    /// Adopts a new configuration in every pool and forgets pools that are not in it. Requests
    /// under way keep what they hold.
    pub fn publish<'a>(&self, balancers: impl IntoIterator<Item = &'a Arc<Balancer>>) {
        let mut kept = HashSet::new();
        for balancer in balancers {
            self.prepare(balancer).adopt(Arc::clone(balancer));
            kept.insert(balancer.name.as_str());
        }
        let mut gone = Vec::new();
        locked(&self.pools).retain(|name, pool| {
            let keep = kept.contains(name.as_str());
            if !keep {
                gone.push(Arc::clone(pool));
            }
            keep
        });
        for pool in gone {
            pool.close_idle();
        }
    }

    /// All pools, by name.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        locked(&self.pools).values().cloned().collect()
    }
}
