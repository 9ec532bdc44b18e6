//! A policy in service: its instances, who gets them, and what happens when they fail.
//!
//! Under `exclusive` all workers share one instance and take turns; under
//! `replicated` each has its own. A fault empties the slot it happened in, and a
//! background job fills it again; meanwhile callers get [`Unanswered`] and turn to
//! their fallback. What the fallback is, `selector` and `rewriter` know.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use tracing::info;

use super::{
    Allowance, Background, CallTimes, Digest, Environment, Exports, Fault, FaultKind, Instance,
    Module, Refusal, StandingWord,
    recovery::{LastError, Record},
    slot::{Slot, Turn},
    trigger::Triggers,
};
use crate::{
    decision::{Concurrency, Context, Descriptor, Hook},
    members::{Clock, Follower, Pool, PoolMembers},
    snapshot::OnError,
};

/// What a binding is made of.
#[derive(Clone)]
pub struct BindingParts {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Its code.
    pub module: Arc<dyn Module>,
    /// JSON text.
    pub config: Arc<str>,
    /// `tenant/route-or-pool`.
    pub binding: String,
    /// For its instances.
    pub environment: Environment,
    /// The CPU time its tenant's policies may use together.
    pub allowance: Option<Arc<Allowance>>,
    /// What a failing call becomes.
    pub on_error: OnError,
    /// Whose members it is told of; balancers need one.
    pub pool: Option<Arc<Pool>>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Reads time.
    pub clock: Clock,
    /// Rebuilds instances.
    pub background: Arc<dyn Background>,
}

/// A policy, a configuration and (for balancers) a pool, in service.
pub struct Binding {
    pub(super) me: Weak<Self>,
    pub(super) parts: BindingParts,
    digest: Digest,
    descriptor: Descriptor,
    exports: Exports,
    pub(super) triggers: HookTriggers,
    pub(super) slots: Box<[Slot]>,
    pub(super) record: Record,
    overruled: AtomicU64,
    fallbacks: AtomicU64,
    throttled: AtomicU64,
    previous: ArcSwapOption<Self>,
    pub(super) outcomes: super::observer::Outcomes,
}

/// The triggers of each hook.
pub(super) struct HookTriggers {
    pub locate: Triggers,
    pub bind: Triggers,
    pub on_request: Triggers,
    pub on_response: Triggers,
}

/// A policy gave no answer; the fallback has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The call failed.
    Faulted,
    /// An earlier one did, and the instance is not replaced yet or in quarantine.
    OutOfService,
    /// The tenant's CPU time is used up.
    Throttled,
}

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
    /// How its instances are placed.
    pub placement: Concurrency,
    /// Instances there should be.
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
}

impl BindingStatus {
    /// Faults of all kinds.
    pub fn all_faults(&self) -> u64 {
        self.faults.iter().sum()
    }
}

impl Binding {
    /// Makes every instance (describe, init) and tries what it decides on a spare one. Slow: off
    /// the workers. [`Self::enter_service`] comes next.
    pub fn prepare(parts: BindingParts) -> Result<Arc<Self>, Refusal> {
        let descriptor = parts.module.describe(&parts.config, &parts.environment)?;
        let replicas = match descriptor.concurrency {
            Concurrency::Exclusive => 1,
            Concurrency::Replicated => parts.workers.max(1),
        };
        let slots: Result<Vec<_>, _> = (0..replicas)
            .map(|replica| instance(&parts, replica, replicas).map(Slot::new))
            .collect();
        let slots = slots?.into_boxed_slice();
        let of = |hook| Triggers::of(hook, &descriptor.triggers);
        let triggers = HookTriggers {
            locate: of(Hook::Locate),
            bind: of(Hook::Bind),
            on_request: of(Hook::OnRequest),
            on_response: of(Hook::OnResponse),
        };
        let binding = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            digest: parts.module.digest(),
            exports: parts.module.exports(),
            triggers,
            descriptor,
            slots,
            record: Record::new(),
            overruled: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            previous: ArcSwapOption::empty(),
            outcomes: super::observer::Outcomes::default(),
            parts,
        });
        binding.smoke(None)?;
        Ok(binding)
    }

    /// Takes the predecessor's state over where both can (save, restore) and it can decide with
    /// that, tells every instance the members, and starts its ticks. The predecessor stays warm as [`Self::previous`]; its own is
    /// let go. Off the workers.
    pub fn enter_service(&self, predecessor: Option<&Arc<Self>>) -> Result<(), Refusal> {
        let states = predecessor
            .filter(|predecessor| self.exports.handoff && predecessor.exports.handoff)
            .map(|predecessor| (predecessor.digest, predecessor.save()));
        if states.as_ref().is_some_and(|(_, states)| states.is_empty()) {
            self.starts_cold("the version before it could not save its state");
        }
        let states = states.filter(|(_, states)| !states.is_empty());
        if let Some((digest, states)) = &states {
            self.smoke(Some((digest, states)))?;
        }
        for slot in &self.slots {
            let mut seat = slot.enter_blocking();
            let Some(mut turn) = seat.turn() else {
                continue;
            };
            if let Some((digest, states)) = &states {
                let restored = turn.instance.restore(digest, states);
                if let Err(why) = restored.map_err(refused("restore"))? {
                    self.starts_cold(&why);
                }
            }
            if let Some(members) = self.members() {
                turn.know(&members).map_err(refused("members-changed"))?;
            }
        }
        if let Some(predecessor) = predecessor {
            predecessor.previous.store(None);
            self.previous.store(Some(Arc::clone(predecessor)));
        }
        if self.exports.membership
            && let Some(pool) = &self.parts.pool
        {
            let me: Weak<dyn Follower> = self.me.clone();
            pool.follow(me);
        }
        self.start_ticks();
        Ok(())
    }

    fn starts_cold(&self, why: &str) {
        let (policy, binding) = (&self.parts.policy, &self.parts.binding);
        info!(%policy, digest = ?self.digest, binding, why, "Policy starts cold");
    }

    /// One state for each instance that could give it. Each slot is held for its own alone.
    fn save(&self) -> Vec<Vec<u8>> {
        if !self.is_open() {
            return Vec::new();
        }
        let mut states = Vec::with_capacity(self.slots.len());
        for (index, slot) in self.slots.iter().enumerate() {
            let mut seat = slot.enter_blocking();
            let Some(turn) = seat.turn() else {
                continue;
            };
            match turn.instance.save() {
                Ok(state) => states.push(state),
                Err(fault) => {
                    seat.instance = None;
                    drop(seat);
                    self.could_not_save(index, &fault);
                }
            }
        }
        states
    }

    /// The policy's name.
    pub fn policy(&self) -> &Arc<str> {
        &self.parts.policy
    }

    /// Of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it asked for.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// What it can do.
    pub fn exports(&self) -> Exports {
        self.exports
    }

    /// What a failing call becomes.
    pub fn on_error(&self) -> OnError {
        self.parts.on_error
    }

    /// The version before, while it is kept warm.
    pub fn previous(&self) -> Option<Arc<Self>> {
        self.previous.load_full()
    }

    /// For `switchyard status`.
    pub fn status(&self) -> BindingStatus {
        BindingStatus {
            tenant: Arc::clone(&self.parts.environment.tenant),
            policy: Arc::clone(&self.parts.policy),
            digest: self.digest,
            binding: self.parts.binding.clone(),
            placement: self.descriptor.concurrency,
            instances: self.slots.len(),
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
        }
    }

    /// How long its calls take.
    pub fn times(&self) -> CallTimes {
        let each = self.slots.iter().map(|slot| slot.timing.times());
        each.fold(CallTimes::default(), CallTimes::and)
    }

    /// Gives the caller a turn at the worker's instance. A fault empties the slot.
    pub(super) async fn call<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        let answered = self.answer(worker, during, ask).await;
        if let Err(why) = &answered {
            self.fallbacks.fetch_add(1, Ordering::Relaxed);
            if *why == Unanswered::Throttled {
                self.throttled.fetch_add(1, Ordering::Relaxed);
            }
        }
        answered
    }

    async fn answer<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        if !self.is_open() {
            return Err(Unanswered::OutOfService);
        }
        let allowance = self.parts.allowance.as_deref();
        if allowance.is_some_and(Allowance::is_spent) {
            return Err(Unanswered::Throttled);
        }
        let index = worker % self.slots.len();
        let slot = &self.slots[index];
        let mut seat = slot.enter().await;
        let (mut turn, sampler) = seat.turn_timed().ok_or(Unanswered::OutOfService)?;
        let (asked, used) = slot.timing.call(sampler, || ask(&mut turn));
        if let (Some(allowance), Some(used)) = (allowance, used) {
            allowance.charge(used);
        }
        match asked {
            Ok(value) => Ok(value),
            Err(fault) => {
                let ended = seat.instance.take();
                drop(seat);
                drop(ended);
                self.faulted(index, during, &fault);
                Err(Unanswered::Faulted)
            }
        }
    }

    /// Its pool's members, if it wants to know them.
    pub(super) fn members(&self) -> Option<Arc<PoolMembers>> {
        let pool = self.parts.pool.as_ref()?;
        self.exports.membership.then(|| pool.current())
    }

    /// Tells the instance its pool's members, unless it knows them.
    pub(super) fn inform(&self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        match &self.parts.pool {
            Some(pool) if self.exports.membership && *turn.revision < pool.revision() => {
                turn.know(&pool.current())
            }
            _ => Ok(()),
        }
    }

    /// Counts a verdict that the host did not follow.
    pub(super) fn overrule(&self) {
        self.overruled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn clock(&self) -> Clock {
        self.parts.clock
    }

    pub(super) fn is_open(&self) -> bool {
        self.record.is_open()
    }
}

impl Follower for Binding {
    fn members_changed(&self, members: &Arc<PoolMembers>) {
        for (index, slot) in self.slots.iter().enumerate() {
            // Whoever is in there, or comes next, is told before its own call.
            let Some(mut seat) = slot.try_enter() else {
                continue;
            };
            let told = seat.turn().map_or(Ok(()), |mut turn| turn.know(members));
            if let Err(fault) = told {
                seat.instance = None;
                drop(seat);
                self.faulted(index, "members-changed", &fault);
            }
        }
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding")
            .field("policy", &self.parts.policy)
            .field("digest", &self.digest)
            .field("binding", &self.parts.binding)
            .finish_non_exhaustive()
    }
}

pub(super) fn refused(during: &'static str) -> impl Fn(Fault) -> Refusal {
    move |fault| Refusal::Faulted { during, fault }
}

pub(super) fn instance(
    parts: &BindingParts,
    replica: usize,
    replicas: usize,
) -> Result<Box<dyn Instance>, Refusal> {
    let context = Context {
        binding: parts.binding.clone(),
        replica: replica as u32,
        replicas: replicas as u32,
    };
    let mut environment = parts.environment.clone();
    // Replicas must not make the same random choices.
    environment.seed = environment.seed.wrapping_add(replica as u64);
    parts
        .module
        .instantiate(&parts.config, &context, &environment)
}
