//! What a binding has done so far.

use std::sync::{Arc, atomic::Ordering};

use super::{
    Binding, CallTimes, CanaryStatus, Digest, FaultKind, LastError, Role, ShadowStatus,
    StandingWord, Waits,
};
use crate::{decision::Concurrency, snapshot::TenantName};

/// What `switchyard status` tells of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingStatus {
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The policy's name.
    pub policy: Arc<str>,
    /// Of its file.
    pub digest: Digest,
    /// `tenant/route-or-pool`.
    pub binding: String,
    /// What it is there for.
    pub role: Role,
    /// How it compares, where it is a shadow.
    pub shadow: Option<ShadowStatus>,
    /// How it does, where it is a canary.
    pub canary: Option<CanaryStatus>,
    /// How its instances are placed.
    pub placement: Concurrency,
    /// Instances there are; made on first use, let go when idle.
    pub instances: usize,
    /// In service, in quarantine or on probation.
    pub standing: StandingWord,
    /// Calls so far.
    pub calls: u64,
    /// Calls and rebuilds that failed, by the number of their kind.
    pub faults: [u64; FaultKind::ALL.len()],
    /// How often it was put in quarantine.
    pub quarantines: u64,
    /// Decisions that were made without it, because it failed, was out of service or throttled.
    pub fallbacks: u64,
    /// Those of them because the tenant's CPU time was used up.
    pub throttled: u64,
    /// Verdicts the host did not follow: out of range, unusable or already tried.
    pub overruled: u64,
    /// The latest fault.
    pub last_error: Option<LastError>,
    /// Its calls run on the tenant's thread, since they take too long for a worker.
    pub slow: bool,
    /// CPU time in calls, estimated from samples.
    pub times: CallTimes,
    /// Waits of workers for a turn at an instance.
    pub waits: Waits,
}

impl BindingStatus {
    /// The policy's name among those of all tenants.
    pub fn qualified_name(&self) -> String {
        TenantName::new(&self.tenant).qualify(&self.policy)
    }

    /// Faults of all kinds.
    pub fn all_faults(&self) -> u64 {
        self.faults.iter().sum()
    }
}

impl Binding {
    /// For `switchyard status`.
    pub fn status(&self) -> BindingStatus {
        BindingStatus {
            tenant: Arc::clone(&self.parts.environment.tenant),
            policy: Arc::clone(&self.parts.policy),
            digest: self.digest(),
            binding: self.parts.binding.clone(),
            role: self.role(),
            shadow: (self.role() == Role::Shadow).then(|| self.comparison().status()),
            canary: (self.role() == Role::Canary).then(|| self.canary_record().status()),
            placement: self.descriptor().concurrency,
            instances: self.present(),
            standing: self.record.word(self.parts.clock.now()),
            calls: self.slots.iter().map(|slot| slot.timing.calls()).sum(),
            faults: self.record.faults(),
            quarantines: self.record.quarantines(),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            overruled: self.overruled.load(Ordering::Relaxed),
            last_error: self.record.last_error(),
            slow: self.slots.iter().any(|slot| slot.timing.is_slow()),
            times: self.times(),
            waits: self.waits(),
        }
    }

    /// How many instances it may have at once.
    pub fn instances(&self) -> usize {
        self.slots.len()
    }

    fn waits(&self) -> Waits {
        let each = self.slots.iter().map(|slot| slot.waits());
        each.fold(Waits::default(), Waits::and)
    }

    /// How long its calls take.
    pub fn times(&self) -> CallTimes {
        let each = self.slots.iter().map(|slot| slot.timing.times());
        each.fold(CallTimes::default(), CallTimes::and)
    }
}
