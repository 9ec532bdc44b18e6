//! What a policy is told outside decisions: finished exchanges and ticks.
//!
//! Both happen on the background thread, so neither costs a request anything but
//! a push into a list.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Allowance, Binding, cpu};
use crate::{decision::Outcome, members::locked};

/// Long enough to gather a batch, short enough for a policy that learns.
const GATHER: Duration = Duration::from_millis(100);

/// Outcomes kept for one batch; more are dropped and counted. 4,096 in 100 ms are 40,000 requests a second.
const BATCH: usize = 4_096;

/// A guest that asks for more ticks than this gets these.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// Outcomes on their way to one binding.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    gathered: Mutex<Vec<Outcome>>,
    scheduled: AtomicBool,
    dropped: AtomicU64,
}

impl Binding {
    /// Tells an observer of a finished exchange, in a batch and later. Nothing for others.
    pub fn observe(&self, outcome: Outcome) {
        if !self.exports().observer {
            return;
        }
        {
            let mut gathered = locked(&self.outcomes.gathered);
            if gathered.len() >= BATCH {
                self.outcomes.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
            gathered.push(outcome);
        }
        if !self.outcomes.scheduled.swap(true, Ordering::AcqRel) {
            self.later(GATHER, Self::deliver);
        }
    }

    /// Outcomes that were dropped because the policy could not keep up.
    pub fn outcomes_dropped(&self) -> u64 {
        self.outcomes.dropped.load(Ordering::Relaxed)
    }

    fn deliver(&self) {
        if let Some(wait) = self.allowance().and_then(Allowance::wait) {
            // They are kept meanwhile, as many as fit.
            return self.later(wait.max(GATHER), Self::deliver);
        }
        self.outcomes.scheduled.store(false, Ordering::Release);
        let batch = std::mem::take(&mut *locked(&self.outcomes.gathered));
        if !batch.is_empty() {
            // Under `replicated` the first instance learns; replicas share through `shared`.
            self.tell(0, "completed", |instance| instance.completed(&batch));
        }
    }

    pub(super) fn start_ticks(&self) {
        let period = Duration::from_millis(u64::from(self.descriptor().tick_ms));
        if self.exports().ticker && !period.is_zero() {
            self.tick_in(period.max(SHORTEST_TICK));
        }
    }

    fn tick_in(&self, period: Duration) {
        self.later(period, move |binding| {
            for slot in 0..binding.slots.len() {
                // Whoever has no time left misses it, as where a machine is too slow.
                if binding.allowance().is_some_and(Allowance::is_spent) {
                    break;
                }
                binding.tell(slot, "tick", |instance| instance.tick());
            }
            binding.tick_in(period);
        });
    }

    fn tell(
        &self,
        slot: usize,
        during: &'static str,
        what: impl FnOnce(&mut dyn super::Instance) -> Result<(), super::Fault>,
    ) {
        if !self.is_open() {
            return;
        }
        let mut seat = self.slots[slot].enter_blocking();
        let before = cpu::thread_time();
        let told = seat.turn().map_or(Ok(()), |turn| what(turn.instance));
        self.charge(cpu::thread_time().saturating_sub(before));
        if let Err(fault) = told {
            let lost = seat.lose();
            drop((seat, lost));
            self.faulted(slot, during, &fault);
        }
    }
}
