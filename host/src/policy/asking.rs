//! How an instance is asked: on the worker, or on the tenant's thread where that takes too long.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::sync::oneshot;

use super::{
    Allowance, Binding, Fault,
    lock::Guard,
    slot::{Seat, Turn},
};

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

impl Binding {
    /// Gives the caller a turn at the worker's instance if nothing is to be waited for: it is there, free, fast enough for a
    /// worker and knows the members. `None` where it is not asked, and [`Self::call`] or [`Self::call_apart`] is due: nearly
    /// never, so that their futures are best kept elsewhere than in the caller's.
    pub(super) fn call_at_once<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Option<Result<T, Unanswered>> {
        let index = worker % self.slots.len();
        let slot = &self.slots[index];
        if slot.timing.is_slow() || self.may_be_asked().is_err() {
            return None;
        }
        let seat = slot.try_enter()?;
        if seat.is_asleep() || seat.is_behind(self.expected.load(Ordering::Relaxed)) {
            return None;
        }
        Some(self.note_unanswered(self.ask(index, seat, during, ask)))
    }

    /// Gives the caller a turn at the worker's instance. A fault empties the slot.
    pub(super) async fn call<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        let answered = self.answer(worker, during, ask).await;
        self.note_unanswered(answered)
    }

    fn note_unanswered<T>(&self, answered: Result<T, Unanswered>) -> Result<T, Unanswered> {
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
        self.may_be_asked()?;
        let index = worker % self.slots.len();
        let seat = self.seat(index).await?;
        self.ask(index, seat, during, ask)
    }

    /// Like [`Self::call`], but on the tenant's thread, for a policy that is too slow for a worker.
    pub(super) async fn call_apart<T: Send + 'static>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl FnOnce(&Self, &mut Turn<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.later(Duration::ZERO, move |binding| {
            // The client may have left while this waited.
            if !reply.is_closed() {
                let _ =
                    reply.send(binding.call_blocking(worker, during, |turn| ask(binding, turn)));
            }
        });
        // Whoever could not even be asked was not counted there.
        match answer.await {
            Ok(answered) => answered,
            Err(_) => self.note_unanswered(Err(Unanswered::OutOfService)),
        }
    }

    /// Likewise, on the tenant's thread.
    pub(super) fn call_blocking<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        let index = worker % self.slots.len();
        let answered = self.answer_blocking(index, during, ask);
        self.note_unanswered(answered)
    }

    fn answer_blocking<T>(
        &self,
        index: usize,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        self.may_be_asked()?;
        let slot = &self.slots[index];
        if slot.enter_blocking().is_asleep() {
            self.make(index);
        }
        let seat = slot.enter_blocking();
        self.ask(index, seat, during, ask)
    }

    fn may_be_asked(&self) -> Result<(), Unanswered> {
        if !self.is_open() {
            return Err(Unanswered::OutOfService);
        }
        match &self.parts.allowance {
            Some(allowance) if allowance.is_spent() => Err(Unanswered::Throttled),
            _ => Ok(()),
        }
    }

    fn ask<T>(
        &self,
        index: usize,
        mut seat: Guard<'_, Seat>,
        during: &'static str,
        ask: impl FnOnce(&mut Turn<'_>) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        let (mut turn, sampler) = seat.turn_timed().ok_or(Unanswered::OutOfService)?;
        let (asked, used) = self.slots[index].timing.call(sampler, || ask(&mut turn));
        if let (Some(used), Some(allowance)) = (used, self.allowance()) {
            allowance.charge(used.now);
            if !used.owed.is_zero() {
                allowance.charge_later(used.owed);
            }
        }
        asked.map_err(|fault| {
            let lost = seat.lose();
            drop((seat, lost));
            self.faulted(index, during, &fault);
            Unanswered::Faulted
        })
    }

    /// Whether calls of this worker are to run on the tenant's thread.
    pub(super) fn is_slow(&self, worker: usize) -> bool {
        self.slots[worker % self.slots.len()].timing.is_slow()
    }

    pub(super) fn allowance(&self) -> Option<&Allowance> {
        self.parts.allowance.as_deref()
    }

    pub(super) fn charge(&self, used: Duration) {
        if let Some(allowance) = &self.parts.allowance {
            allowance.charge(used);
        }
    }
}
