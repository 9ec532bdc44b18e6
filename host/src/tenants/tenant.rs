//! One tenant: what it uses now, and who has to wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tracing::warn;

use super::rate::Rate;
use crate::{
    members::{Clock, Micros, Reach},
    policy::Allowance,
    snapshot::{Quota, TenantName},
};

/// A limit that nobody reaches.
const UNLIMITED: u32 = u32::MAX;

/// That a tenant is over a quota is told this often.
const TOLD: Micros = 60_000_000;

/// One tenant while it lives.
#[derive(Debug)]
pub struct Tenant {
    name: TenantName,
    clock: Clock,
    rate: Rate,
    in_flight: AtomicU32,
    most: AtomicU32,
    over_rate: AtomicU64,
    over_in_flight: AtomicU64,
    /// When somebody was told of either, last; 0 = never.
    told: AtomicU64,
    reach: Arc<Reach>,
    allowance: Arc<Allowance>,
}

/// A request of the tenant's that has not ended.
#[derive(Debug)]
pub struct Admitted<'t>(&'t Tenant);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A request too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// In this second.
    #[error("more requests a second than this site may have")]
    Rate {
        /// Until one may come, seconds.
        wait: u32,
    },
    /// At once.
    #[error("as many requests at once as this site may have")]
    InFlight,
}

/// What a tenant uses, for status and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Its name.
    pub name: TenantName,
    /// Requests that have not ended.
    pub in_flight: u32,
    /// Connections to its members.
    pub connections: u32,
    /// CPU time of its policies so far.
    pub policy_cpu: Duration,
    /// Requests refused for their rate.
    pub over_rate: u64,
    /// Requests refused for their number at once.
    pub over_in_flight: u64,
    /// Connections that were not opened for want of quota.
    pub over_connections: u64,
    /// Connections that were not opened for where they led.
    pub egress_refused: u64,
}

impl Tenant {
    pub(super) fn new(name: TenantName, clock: Clock, reach: Arc<Reach>) -> Self {
        Self {
            name,
            clock,
            rate: Rate::default(),
            in_flight: AtomicU32::new(0),
            most: AtomicU32::new(UNLIMITED),
            over_rate: AtomicU64::new(0),
            over_in_flight: AtomicU64::new(0),
            told: AtomicU64::new(0),
            reach,
            allowance: Arc::new(Allowance::new(clock, None)),
        }
    }

    /// What the operator says from now on; what is in use stays.
    pub(super) fn set(&self, quota: &Quota) {
        self.rate.set(quota.requests);
        self.most
            .store(quota.in_flight.unwrap_or(UNLIMITED), Relaxed);
        self.reach.set(&quota.egress, quota.connections);
        self.allowance.set(quota.policy_cpu);
    }

    /// Its name.
    pub fn name(&self) -> &TenantName {
        &self.name
    }

    /// CPU time of its policies.
    pub fn allowance(&self) -> &Arc<Allowance> {
        &self.allowance
    }

    /// Counts a request until it ends, or says why it may not be.
    pub fn admit(&self) -> Result<Admitted<'_>, Excess> {
        let most = self.most.load(Relaxed);
        let before = self.in_flight.fetch_add(1, Relaxed);
        // Whatever comes of it, it is counted down again.
        let admitted = Admitted(self);
        if before >= most {
            self.over_in_flight.fetch_add(1, Relaxed);
            self.tell("requests in flight");
            return Err(Excess::InFlight);
        }
        let now = self.clock.now();
        match self.rate.take(now) {
            Ok(()) => Ok(admitted),
            Err(wait) => {
                self.over_rate.fetch_add(1, Relaxed);
                self.tell("requests a second");
                Err(Excess::Rate { wait })
            }
        }
    }

    fn tell(&self, quota: &'static str) {
        let now = self.clock.now().max(1);
        let told = self.told.load(Relaxed);
        let is_due = told == 0 || now.saturating_sub(told) > TOLD;
        if is_due
            && self
                .told
                .compare_exchange(told, now, Relaxed, Relaxed)
                .is_ok()
        {
            let refused = self.over_rate.load(Relaxed) + self.over_in_flight.load(Relaxed);
            warn!(tenant = %self.name, quota, refused, "Tenant is over its quota; requests of it are refused");
        }
    }

    /// What it uses now.
    pub fn usage(&self) -> Usage {
        let (egress_refused, over_connections) = self.reach.refusals();
        Usage {
            name: self.name.clone(),
            in_flight: self.in_flight.load(Relaxed),
            connections: self.reach.sockets(),
            policy_cpu: self.allowance.used(),
            over_rate: self.over_rate.load(Relaxed),
            over_in_flight: self.over_in_flight.load(Relaxed),
            over_connections,
            egress_refused,
        }
    }
}
