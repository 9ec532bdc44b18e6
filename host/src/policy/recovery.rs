//! What follows when a policy fails: the record, the rebuild, the quarantine.
//!
//! All of it happens after the caller has turned to its fallback, and all slow
//! parts on the background thread.

use std::{
    sync::{
        Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::{error, info, warn};

use super::{
    Binding, Fault, FaultKind, Instance, Refusal, StandingWord,
    background::Owner,
    binding::spare,
    slot::Occupant,
    standing::{Consequence, Standing},
};
use crate::{
    members::{Clock, Micros, locked},
    snapshot::PolicyLimits,
};

/// The latest thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// For the operator.
    pub what: String,
}

/// The faults of one binding, and where it stands because of them.
pub(super) struct Record {
    /// Not in quarantine; readable without a lock, for every call asks.
    open: AtomicBool,
    standing: Mutex<Standing>,
    /// By the number of their kind.
    faults: [AtomicU64; FaultKind::ALL.len()],
    quarantines: AtomicU64,
    checkpoints: AtomicBool,
    last_error: Mutex<Option<LastError>>,
}

impl Record {
    pub fn new() -> Self {
        Self {
            open: AtomicBool::new(true),
            standing: Mutex::new(Standing::new()),
            faults: Default::default(),
            quarantines: AtomicU64::new(0),
            checkpoints: AtomicBool::new(true),
            last_error: Mutex::default(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub fn word(&self, now: Micros) -> StandingWord {
        locked(&self.standing).word(now)
    }

    /// By the number of their kind.
    pub fn faults(&self) -> [u64; FaultKind::ALL.len()] {
        std::array::from_fn(|kind| self.faults[kind].load(Ordering::Relaxed))
    }

    pub fn quarantines(&self) -> u64 {
        self.quarantines.load(Ordering::Relaxed)
    }

    pub fn last_error(&self) -> Option<LastError> {
        locked(&self.last_error).clone()
    }

    fn note(&self, kind: FaultKind, what: &str) {
        self.faults[kind as usize].fetch_add(1, Ordering::Relaxed);
        *locked(&self.last_error) = Some(LastError {
            at_ms: Clock::wall_ms(),
            what: what.to_owned(),
        });
    }

    fn fault(
        &self,
        now: Micros,
        limits: &PolicyLimits,
        (kind, what): (FaultKind, &str),
    ) -> Consequence {
        self.note(kind, what);
        let mut standing = locked(&self.standing);
        let consequence = standing.fault(now, limits);
        if matches!(consequence, Consequence::Quarantine(_)) {
            self.open.store(false, Ordering::Release);
            self.quarantines.fetch_add(1, Ordering::Relaxed);
        }
        consequence
    }

    fn released(&self, now: Micros, limits: &PolicyLimits) {
        let mut standing = locked(&self.standing);
        standing.released(now, limits);
        self.open.store(true, Ordering::Release);
    }
}

impl Binding {
    /// Notes a fault whose instance has been taken out of its slot already.
    pub(super) fn faulted(&self, slot: usize, during: &'static str, fault: &Fault) {
        self.failed(slot, fault.kind(), &format!("{during}: {fault}"));
    }

    /// Likewise of one that failed to save its state: its decisions were right, so it is replaced at once and
    /// nothing is held against the policy.
    pub(super) fn could_not_save(&self, slot: usize, fault: &Fault) {
        let (policy, binding) = (&self.parts.policy, &self.parts.binding);
        let what = format!("save: {fault}");
        warn!(%policy, digest = ?self.digest(), binding, cause = what, "Policy could not save its state, which is lost");
        self.record.note(fault.kind(), &what);
        self.later(Duration::ZERO, move |binding| binding.rebuild(slot));
    }

    fn failed(&self, slot: usize, kind: FaultKind, what: &str) {
        let limits = &self.parts.environment.limits;
        let consequence = self
            .record
            .fault(self.parts.clock.now(), limits, (kind, what));
        let (policy, digest) = (&self.parts.policy, self.digest());
        let binding = &self.parts.binding;
        match consequence {
            Consequence::Nothing => warn!(%policy, ?digest, binding, cause = what, "Policy failed"),
            Consequence::Rebuild(delay) => {
                warn!(%policy, ?digest, binding, cause = what, ?delay, "Policy failed; using fallback");
                self.later(delay, move |binding| binding.rebuild(slot));
            }
            Consequence::Quarantine(lasts) => {
                error!(%policy, ?digest, binding, cause = what, ?lasts, "Policy keeps failing; quarantined");
                self.later(lasts, Self::release);
            }
        }
    }

    /// Runs `job` in the background, unless the binding is gone by then.
    pub(super) fn later(&self, delay: Duration, job: impl FnOnce(&Self) + Send + 'static) {
        let me = Weak::clone(&self.me);
        let owner: Owner = me.clone();
        let job = move || {
            if let Some(binding) = me.upgrade() {
                job(&binding);
            }
        };
        self.parts.background.after_for(owner, delay, Box::new(job));
    }

    /// An instance beside those in service, for one body.
    pub(super) fn extra_instance(&self) -> Result<Box<dyn Instance>, Refusal> {
        spare(&self.parts, self.slots.len())
    }

    fn release(&self) {
        let limits = &self.parts.environment.limits;
        self.record.released(self.parts.clock.now(), limits);
        info!(policy = %self.parts.policy, binding = self.parts.binding, "Policy is on probation");
        for slot in 0..self.slots.len() {
            self.rebuild(slot);
        }
    }

    /// Another instance in place of one that failed. One that sleeps is left alone.
    fn rebuild(&self, slot: usize) {
        let lost = matches!(self.slots[slot].enter_blocking().occupant, Occupant::Lost);
        if !lost || !self.is_open() {
            return;
        }
        self.make(slot);
        if matches!(
            self.slots[slot].enter_blocking().occupant,
            Occupant::Present(_)
        ) {
            info!(policy = %self.parts.policy, binding = self.parts.binding, "Policy is back in service");
        }
    }

    pub(super) fn could_not_make(&self, slot: usize, refusal: &Refusal) {
        self.failed(slot, refusal.kind(), &format!("rebuild: {refusal}"));
    }

    /// A body stream failed; it had an instance of its own.
    pub(super) fn body_failed(&self, fault: &Fault) {
        let what = format!("body: {fault}");
        let limits = &self.parts.environment.limits;
        let now = self.parts.clock.now();
        let consequence = self.record.fault(now, limits, (fault.kind(), &what));
        let (policy, binding) = (&self.parts.policy, &self.parts.binding);
        let digest = self.digest();
        warn!(%policy, ?digest, binding, cause = what, "Policy failed; the body ends here");
        if let Consequence::Quarantine(lasts) = consequence {
            error!(%policy, ?digest, binding, ?lasts, "Policy keeps failing; quarantined");
            self.later(lasts, Self::release);
        }
    }

    /// Whether its instances are still saved now and then.
    pub(super) fn may_checkpoint(&self) -> bool {
        self.record.checkpoints.load(Ordering::Relaxed)
    }

    /// One failed to be saved: saving it again and again would only cost it its state.
    pub(super) fn no_more_checkpoints(&self) {
        self.record.checkpoints.store(false, Ordering::Relaxed);
    }
}
