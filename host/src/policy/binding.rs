//! A policy in service: its instances, who gets them, and what happens when they fail.
//!
//! Under `exclusive` all workers share one instance and take turns; under `replicated` each has
//! its own. `tenure` makes them and lets them go, `asking` gives callers their turn, `recovery`
//! knows what follows a fault. What the fallback is, `selector` and `rewriter` know.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;

use super::{
    Allowance, Background, Digest, Environment, Exports, Fault, Instance, Module, Refusal,
    canary::{CanaryRecord, CanaryState},
    lock::Guard,
    recovery::Record,
    shadow::Comparison,
    slot::{Seat, Slot, Turn},
    thread_time,
    trigger::Triggers,
};
use crate::{
    decision::{Concurrency, Context, Descriptor, Hook},
    members::{Clock, Follower, Pool, PoolMembers},
    recording::{Recordings, Source},
    snapshot::{MemberId, OnError},
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
    /// What it is there for.
    pub role: Role,
    /// Where its calls are written down.
    pub recordings: Option<Arc<Recordings>>,
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

/// What a binding is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It is obeyed.
    Serving,
    /// It is asked and never obeyed.
    Shadow,
    /// It is obeyed for a share.
    Canary,
}

impl Role {
    /// One word, for logs and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
        }
    }
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
    pub(super) overruled: AtomicU64,
    pub(super) fallbacks: AtomicU64,
    pub(super) throttled: AtomicU64,
    comparison: Comparison,
    canary: CanaryRecord,
    previous: ArcSwapOption<Self>,
    pub(super) outcomes: super::observer::Outcomes,
    /// Revision of the members that its instances are to know before they decide.
    pub(super) expected: AtomicU64,
}

/// The triggers of each hook.
pub(super) struct HookTriggers {
    pub locate: Triggers,
    pub bind: Triggers,
    pub on_request: Triggers,
    pub on_response: Triggers,
}

impl Binding {
    /// Asks for its description and tries what it decides on a spare instance; others are made
    /// when they are needed. Slow: off the workers. [`Self::enter_service`] comes next.
    pub fn prepare(parts: BindingParts) -> Result<Arc<Self>, Refusal> {
        let descriptor = parts.module.describe(&parts.config, &parts.environment)?;
        if let Some(recordings) = &parts.recordings {
            recordings.described(&descriptor.triggers);
        }
        let replicas = match descriptor.concurrency {
            Concurrency::Exclusive => 1,
            Concurrency::Replicated => parts.workers.max(1),
        };
        let slots = (0..replicas).map(|_| Slot::default()).collect();
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
            comparison: Comparison::default(),
            canary: CanaryRecord::default(),
            previous: ArcSwapOption::empty(),
            outcomes: super::observer::Outcomes::default(),
            expected: AtomicU64::new(0),
            parts,
        });
        binding.smoke(None)?;
        Ok(binding)
    }

    /// Takes the predecessor's state over where both can (save, restore) and it can decide with
    /// that, makes its instances where the predecessor had some, and starts its ticks. The
    /// predecessor stays warm as [`Self::previous`]; its own is let go. Off the workers.
    pub fn enter_service(&self, predecessor: Option<&Arc<Self>>) -> Result<(), Refusal> {
        let heir = |p: &&Arc<Self>| self.exports.handoff && p.exports.handoff;
        // Before it is asked for its state: an instance that cannot save is let go.
        let was_used = predecessor.is_some_and(|predecessor| predecessor.present() > 0);
        if let Some(predecessor) = predecessor.filter(heir) {
            match predecessor.hand_over() {
                Some(saved) => {
                    self.smoke(Some((&saved.digest, &saved.states)))?;
                    let each = self.slots.iter();
                    each.for_each(|slot| slot.save(Some(saved.clone())));
                }
                None if was_used => {
                    self.starts_cold("the version before it could not save its state");
                }
                None => {}
            }
        }
        if was_used {
            (0..self.slots.len()).try_for_each(|index| self.make_now(index))?;
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
        self.start_recording();
        Ok(())
    }

    /// The policy's name.
    pub fn policy(&self) -> &Arc<str> {
        &self.parts.policy
    }

    /// Of its file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it is there for.
    pub fn role(&self) -> Role {
        self.parts.role
    }

    /// How far it has come as a canary.
    pub fn canary_state(&self) -> CanaryState {
        self.canary.state()
    }

    /// It decides for all, for nobody, or for its share, from now on.
    pub fn set_canary_state(&self, state: CanaryState) {
        self.canary.set(state);
    }

    pub(super) fn canary_record(&self) -> &CanaryRecord {
        &self.canary
    }

    pub(super) fn comparison(&self) -> &Comparison {
        &self.comparison
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

    /// Tells an instance the newest members, unless it knows them. On the tenant's thread.
    pub(super) fn tell_members(&self, index: usize, mut seat: Guard<'_, Seat>) {
        let before = thread_time();
        let told = seat
            .turn()
            .map_or(Ok(()), |mut turn| self.inform(&mut turn));
        self.charge(thread_time().saturating_sub(before));
        if let Err(fault) = told {
            let lost = seat.lose();
            drop((seat, lost));
            self.faulted(index, "members-changed", &fault);
        }
    }

    /// Counts a verdict or a plan that the host did not follow; returns how many there were before.
    pub fn overrule(&self) -> u64 {
        self.overruled.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn clock(&self) -> Clock {
        self.parts.clock
    }

    pub(super) fn is_open(&self) -> bool {
        self.record.is_open()
    }
}

impl Follower for Binding {
    fn expects(&self, revision: u64) {
        self.expected.fetch_max(revision, Ordering::Relaxed);
    }

    fn members_changed(&self, members: &Arc<PoolMembers>) {
        let is_member = |id: &MemberId| members.index_of(id).is_some();
        self.comparison.retain(is_member);
        // It may take as long as `init`: neither a worker nor whoever changes everybody's
        // configuration waits for it.
        for index in 0..self.slots.len() {
            self.later(Duration::ZERO, move |binding| {
                // Whoever is in there, or comes next, is told before its own call.
                if let Some(seat) = binding.slots[index].try_enter() {
                    binding.tell_members(index, seat);
                }
            });
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

/// An instance for a slot; its calls are recorded where that is wanted.
pub(super) fn instance(
    parts: &BindingParts,
    replica: usize,
    replicas: usize,
) -> Result<Box<dyn Instance>, Refusal> {
    let recordings = parts.recordings.as_ref();
    let tape = recordings.map_or(Source::None, |all| Source::Record(all.at(replica)));
    taped(parts, replica, replicas, tape)
}

/// An instance beside those in slots.
pub(super) fn spare(parts: &BindingParts, replicas: usize) -> Result<Box<dyn Instance>, Refusal> {
    taped(parts, 0, replicas, Source::None)
}

fn taped(
    parts: &BindingParts,
    replica: usize,
    replicas: usize,
    tape: Source,
) -> Result<Box<dyn Instance>, Refusal> {
    let context = Context {
        binding: parts.binding.clone(),
        replica: replica as u32,
        replicas: replicas as u32,
    };
    let mut environment = parts.environment.clone();
    // Replicas must not make the same random choices.
    environment.seed = environment.seed.wrapping_add(replica as u64);
    environment.tape = tape;
    parts
        .module
        .instantiate(&parts.config, &context, &environment)
}
