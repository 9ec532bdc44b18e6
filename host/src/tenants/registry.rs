//! All tenants that live.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::{Tenant, Usage};
use crate::{
    members::{Live, locked},
    snapshot::{self, Snapshot, TenantName},
};

/// All tenants in service. Made once, outlives every reload.
#[derive(Debug)]
pub struct Tenants {
    live: Arc<Live>,
    all: Mutex<BTreeMap<TenantName, Arc<Tenant>>>,
}

impl Tenants {
    /// Nobody yet.
    pub fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            all: Mutex::default(),
        }
    }

    /// The tenant of that name, made if there was none: it may do nothing until [`Self::adopt`].
    /// `None` is the operator.
    pub fn of(&self, name: &TenantName) -> Option<Arc<Tenant>> {
        let reach = self.live.reach(name)?;
        let mut all = locked(&self.all);
        let make = || Arc::new(Tenant::new(name.clone(), self.live.clock(), reach));
        Some(Arc::clone(all.entry(name.clone()).or_insert_with(make)))
    }

    /// What the operator says counts from now on; who left is forgotten.
    pub fn adopt(&self, next: &Snapshot) {
        for (name, snapshot::Tenant { quota, .. }) in &next.tenants {
            if let Some(tenant) = self.of(name) {
                tenant.set(quota);
            }
        }
        locked(&self.all).retain(|name, _| next.tenants.contains_key(name));
    }

    /// What each uses now, by name.
    pub fn usage(&self) -> Vec<Usage> {
        let all: Vec<_> = locked(&self.all).values().cloned().collect();
        all.iter().map(|tenant| tenant.usage()).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::{members::Clock, snapshot::Quota, tenants::Excess};
    use std::time::Duration;

    fn acme(quota: &Quota) -> Arc<Tenant> {
        let live = Arc::new(Live::new(Clock::start(), 1));
        let tenant = Tenants::new(live).of(&TenantName::new("acme")).unwrap();
        tenant.set(quota);
        tenant
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_flight_are_counted_until_they_end() {
        let tenant = acme(&Quota {
            in_flight: Some(2),
            ..Quota::unlimited()
        });
        let (one, _two) = (tenant.admit().unwrap(), tenant.admit().unwrap());
        assert_eq!(tenant.admit().unwrap_err(), Excess::InFlight);
        drop(one);
        drop(tenant.admit().unwrap());
        assert_eq!(tenant.usage().in_flight, 1);
        assert_eq!(tenant.usage().over_in_flight, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_too_fast_is_told_when_to_come_again_and_is_not_in_flight() {
        let tenant = acme(&Quota {
            requests: Some(1),
            ..Quota::unlimited()
        });
        drop(tenant.admit().unwrap());
        assert_eq!(tenant.admit().unwrap_err(), Excess::Rate { wait: 1 });
        assert_eq!(tenant.usage().in_flight, 0);
        advance(Duration::from_secs(1)).await;
        tenant.admit().unwrap();
        assert_eq!(tenant.usage().over_rate, 1);
    }

    #[test]
    fn the_operator_is_no_tenant() {
        let live = Arc::new(Live::new(Clock::start(), 1));
        assert!(Tenants::new(live).of(&TenantName::operator()).is_none());
    }
}
