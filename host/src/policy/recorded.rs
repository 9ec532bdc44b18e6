//! When an instance is replaced so that its successor's calls are recorded.
//!
//! A recording holds all that ever went into an instance, so it begins with one: a new instance
//! takes over the state of the one in service and its place. A policy that cannot save its state
//! is recorded from the start of an instance only, unless its instances are replicas,
//! whose own state decides nothing that must agree.

use std::time::{Duration, Instant};

use tracing::warn;

use super::{
    Binding, Instance, Refusal,
    binding::{instance, refused},
    slot::Turn,
};
use crate::decision::Concurrency;

/// At a sample of 1 % of 10,000 calls a second a window begins every ten seconds.
const LOOK: Duration = Duration::from_millis(250);

/// Decisions wait while the state changes hands; a policy that takes longer is not recorded that way again.
const HANDOVER: Duration = Duration::from_millis(10);

/// What came of a handover.
enum Handed {
    /// The successor is in service.
    Over,
    /// Nothing changed, and it may be tried again.
    NotNow,
    /// It is not to be tried again.
    Never(String),
}

impl Binding {
    pub(super) fn start_recording(&self) {
        let replicated = self.descriptor().concurrency == Concurrency::Replicated;
        if self.parts.recordings.is_some() && (self.exports().handoff || replicated) {
            self.record_later();
        }
    }

    fn record_later(&self) {
        self.later(LOOK, |binding| {
            for slot in 0..binding.slots.len() {
                if let Handed::Never(why) = binding.record_anew(slot) {
                    let (policy, digest) = (binding.policy(), binding.digest());
                    let binding = &binding.parts.binding;
                    warn!(%policy, ?digest, binding, why, "Only the start of an instance is recorded");
                    return;
                }
            }
            binding.record_later();
        });
    }

    fn record_anew(&self, slot: usize) -> Handed {
        let Some(recordings) = &self.parts.recordings else {
            return Handed::NotNow;
        };
        let calls = self.slots[slot].timing.calls();
        let serves = || self.slots[slot].enter_blocking().turn().is_some();
        if !self.is_open() || !recordings.at(slot).is_due(calls) || !serves() {
            return Handed::NotNow;
        }
        let successor = instance(&self.parts, slot, self.slots.len());
        let handed = successor.and_then(|successor| self.succeed(slot, successor));
        handed.unwrap_or_else(|refusal| Handed::Never(refusal.to_string()))
    }

    fn succeed(&self, slot: usize, mut successor: Box<dyn Instance>) -> Result<Handed, Refusal> {
        let mut seat = self.slots[slot].enter_blocking();
        let Some(turn) = seat.turn() else {
            return Ok(Handed::NotNow);
        };
        let started = Instant::now();
        if self.exports().handoff {
            let state = match turn.instance.save() {
                Ok(state) => state,
                Err(fault) => {
                    let lost = seat.lose();
                    drop((seat, lost));
                    self.could_not_save(slot, &fault);
                    return Ok(Handed::NotNow);
                }
            };
            let restored = successor.restore(&self.digest(), &[state]);
            if let Err(why) = restored.map_err(refused("restore"))? {
                return Ok(Handed::Never(format!("it refuses its own state: {why}")));
            }
        }
        let mut revision = 0;
        if let Some(members) = self.members() {
            let mut turn = Turn {
                instance: successor.as_mut(),
                revision: &mut revision,
                latest: &mut 0,
            };
            turn.know(&members).map_err(refused("members-changed"))?;
        }
        let predecessor = std::mem::take(&mut seat.occupant);
        let tenure = seat.seat(successor, revision);
        let took = started.elapsed();
        drop(seat);
        drop(predecessor);
        self.look_after(slot, tenure);
        Ok(if took > HANDOVER {
            Handed::Never(format!("its state took {took:?} to change hands"))
        } else {
            Handed::Over
        })
    }
}
