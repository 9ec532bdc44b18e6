//! How instances come and go: made for the first call, saved now and then, let go when idle.
//!
//! All of it happens on the tenant's thread. A caller that finds nobody waits for that as a
//! task; one that finds the place of a failed instance turns to its fallback.

use std::{
    pin::pin,
    sync::{Weak, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tracing::{debug, info};

use super::{
    Binding, Instance, Refusal,
    asking::Unanswered,
    binding::{instance, refused},
    cpu::thread_time,
    lock::Guard,
    slot::{Occupant, Saved, Seat, Start, Turn},
};

/// Between two savings of an instance that decides. What happened since is lost with it; saving
/// may take 10 ms, a thousandth of this.
const CHECKPOINT: Duration = Duration::from_secs(10);

/// Whoever changes everybody's configuration waits so long for all instances of a binding together. A
/// decision takes microseconds; being told of members may take a second.
const PATIENCE: Duration = Duration::from_millis(50);

impl Binding {
    /// The worker's seat, whoever sits there; waits where an instance is yet to be made.
    pub(super) async fn seat(&self, index: usize) -> Result<Guard<'_, Seat>, Unanswered> {
        let slot = &self.slots[index];
        let is_behind = {
            let seat = slot.enter().await;
            let is_behind = seat.is_behind(self.expected.load(Relaxed));
            if !is_behind && !seat.is_asleep() {
                return Ok(seat);
            }
            is_behind
        };
        if is_behind {
            return Ok(self.informed(index).await);
        }
        let mut woken = pin!(slot.woken.notified());
        // From here on nothing is missed.
        woken.as_mut().enable();
        self.wake(index);
        woken.await;
        let seat = slot.enter().await;
        match seat.is_asleep() {
            true => Err(Unanswered::OutOfService),
            false => Ok(seat),
        }
    }

    /// The seat once its occupant was told the newest members: not on a worker, for that may take long.
    async fn informed(&self, index: usize) -> Guard<'_, Seat> {
        let (told, waits) = oneshot::channel::<()>();
        self.later(Duration::ZERO, move |binding| {
            binding.tell_members(index, binding.slots[index].enter_blocking());
            drop(told);
        });
        // Nothing is ever sent, and the end is what counts.
        let _ = waits.await;
        self.slots[index].enter().await
    }

    fn wake(&self, index: usize) {
        if !self.slots[index].begin_waking() {
            return;
        }
        let promise = Promise {
            binding: Weak::clone(&self.me),
            index,
        };
        self.later(Duration::ZERO, move |binding| {
            binding.make(index);
            drop(promise);
        });
    }

    /// Whether the worker's instance can be asked without waiting for it to be made; if not, it is
    /// made for the next time.
    pub(super) fn is_ready(&self, worker: usize) -> bool {
        let index = worker % self.slots.len();
        // Who has a turn has an instance.
        let seat = self.slots[index].try_enter();
        let asleep = seat.is_some_and(|seat| seat.is_asleep());
        if asleep && self.is_open() {
            self.wake(index);
        }
        !asleep
    }

    /// Has an instance sit in a slot where nobody does. On the tenant's thread.
    pub(super) fn make(&self, index: usize) {
        let slot = &self.slots[index];
        let Some(start) = slot.enter_blocking().start().filter(|_| self.is_open()) else {
            return;
        };
        let before = thread_time();
        let made = self.made(index);
        self.charge_start(start, thread_time().saturating_sub(before));
        match made {
            Ok((instance, revision)) => self.seated(index, instance, revision),
            Err(refusal) => {
                drop(slot.enter_blocking().lose());
                self.could_not_make(index, &refusal);
            }
        }
    }

    /// Likewise when it must succeed, for whoever changes the configuration: its time is measured there.
    pub(super) fn make_now(&self, index: usize) -> Result<(), Refusal> {
        let (instance, revision) = self.made(index)?;
        self.seated(index, instance, revision);
        Ok(())
    }

    /// Python's `init` takes three times what a tenant gets in a second: at once, that would be seconds
    /// without a policy for whoever just began. A fault is the policy's own doing, and is paid at once.
    fn charge_start(&self, start: Start, used: Duration) {
        let Some(allowance) = self.allowance() else {
            return;
        };
        match start {
            Start::First => allowance.charge_start(used, true),
            Start::Again => allowance.charge_start(used, false),
            Start::AfterFault => allowance.charge(used),
        }
    }

    fn seated(&self, index: usize, instance: Box<dyn Instance>, revision: u64) {
        let tenure = self.slots[index].enter_blocking().seat(instance, revision);
        self.look_after(index, tenure);
    }

    /// Saves the instance of a tenure now and then, and lets it go when it is idle.
    pub(super) fn look_after(&self, index: usize, tenure: u64) {
        let look = Look {
            index,
            tenure,
            calls: self.slots[index].timing.calls(),
            quiet: Duration::ZERO,
        };
        self.look_later(look);
    }

    /// A fresh instance that goes on from what was saved and knows the members.
    fn made(&self, index: usize) -> Result<(Box<dyn Instance>, u64), Refusal> {
        let slot = &self.slots[index];
        let fresh = || instance(&self.parts, index, self.slots.len());
        let mut instance = fresh()?;
        if self.exports().handoff
            && let Some(saved) = slot.saved()
        {
            match instance.restore(&saved.digest, &saved.states) {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    slot.save(None);
                    self.starts_cold(&why);
                }
                Err(fault) => {
                    slot.save(None);
                    self.starts_cold(&format!("restore: {fault}"));
                    instance = fresh()?;
                }
            }
        }
        let mut revision = 0;
        if let Some(members) = self.members() {
            let mut turn = Turn {
                instance: instance.as_mut(),
                revision: &mut revision,
                latest: &mut 0,
            };
            turn.know(&members).map_err(refused("members-changed"))?;
        }
        Ok((instance, revision))
    }

    fn look_later(&self, look: Look) {
        let period = self.look_period();
        self.later(period, move |binding| binding.look(look, period));
    }

    fn look_period(&self) -> Duration {
        let idle = self.parts.environment.limits.idle;
        match self.exports().handoff {
            true => idle.min(CHECKPOINT),
            false => idle,
        }
    }

    /// Saves what an instance knows if it has decided anything since, and lets it go if it has
    /// not for long.
    fn look(&self, look: Look, waited: Duration) {
        let slot = &self.slots[look.index];
        let mut seat = slot.enter_blocking();
        if seat.tenure != look.tenure {
            return;
        }
        let calls = slot.timing.calls();
        let asked = calls != look.calls;
        let quiet = match asked {
            true => Duration::ZERO,
            false => look.quiet + waited,
        };
        let rests = quiet >= self.parts.environment.limits.idle;
        let Some(turn) = seat.turn() else { return };
        if self.exports().handoff && (asked || rests) && self.may_checkpoint() {
            let before = thread_time();
            let saved = turn.instance.save();
            self.charge(thread_time().saturating_sub(before));
            match saved {
                Ok(state) => slot.save(Some(Saved {
                    digest: self.digest(),
                    states: [state].into(),
                })),
                Err(fault) => {
                    let lost = seat.lose();
                    drop((seat, lost));
                    self.no_more_checkpoints();
                    return self.could_not_save(look.index, &fault);
                }
            }
        }
        if rests {
            let idle = std::mem::take(&mut seat.occupant);
            drop((seat, idle));
            let (policy, binding) = (&self.parts.policy, &self.parts.binding);
            debug!(%policy, binding, "Idle instance is let go");
        } else {
            self.look_later(Look {
                calls,
                quiet,
                ..look
            });
        }
    }

    /// What a successor goes on from: a state for each instance that can tell, as it is now or, where that
    /// is busy or failed, as it was saved last.
    pub(super) fn hand_over(&self) -> Option<Saved> {
        let mut states = Vec::with_capacity(self.slots.len());
        let mut inherited = None;
        let until = Instant::now() + PATIENCE;
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(mut seat) = slot.enter_until(until) {
                match seat.turn().map(|turn| turn.instance.save()) {
                    Some(Ok(state)) => {
                        states.push(state);
                        continue;
                    }
                    Some(Err(fault)) => {
                        let lost = seat.lose();
                        drop((seat, lost));
                        self.could_not_save(index, &fault);
                    }
                    None => {}
                }
            }
            match slot.saved() {
                Some(saved) if saved.digest == self.digest() => {
                    states.extend(saved.states.iter().cloned());
                }
                saved => inherited = saved.or(inherited),
            }
        }
        match states.is_empty() {
            true => inherited,
            false => Some(Saved {
                digest: self.digest(),
                states: states.into(),
            }),
        }
    }

    /// Instances there are now.
    pub(super) fn present(&self) -> usize {
        let present = |seat: Guard<'_, Seat>| matches!(seat.occupant, Occupant::Present(_));
        let slots = self.slots.iter();
        // Who has a turn has an instance.
        slots
            .filter(|slot| slot.try_enter().is_none_or(present))
            .count()
    }

    pub(super) fn starts_cold(&self, why: &str) {
        let (policy, binding) = (&self.parts.policy, &self.parts.binding);
        info!(%policy, digest = ?self.digest(), binding, why, "Policy starts cold");
    }
}

/// When an instance was looked at, and what was seen.
#[derive(Debug, Clone, Copy)]
struct Look {
    index: usize,
    tenure: u64,
    /// Made until then.
    calls: u64,
    /// Without any for so long then.
    quiet: Duration,
}

/// That whoever waits for an instance will be told, also where the job to make it is lost.
struct Promise {
    binding: Weak<Binding>,
    index: usize,
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(binding) = self.binding.upgrade() {
            binding.slots[self.index].end_waking();
        }
    }
}
