//! Who serves a request.
//!
//! In order: the session's pin; the one trial that a blocked member is due; the
//! chain of policies; the built-in policy; a plain rotation of the host's own. How
//! a policy is asked, `picking` knows.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{
    Attempt, Binding, Chosen, Decider, Post, Refused, Session,
    picking::{Answer, Fallback, decider, facts},
    pin::{self, Pinned},
};
use crate::{
    decision::{Hold, Outcome, RequestView},
    members::{InFlight, Pool},
};

/// Chooses members of one pool.
#[derive(Debug)]
pub struct Selector {
    /// Whose members.
    pub pool: Arc<Pool>,
    /// Asked in order; each may abstain.
    pub chain: Vec<Post>,
    /// Find and make sessions; the first that finds one is followed.
    pub affinity: Vec<Post>,
    /// The built-in `byrequests`, asked where the chain has no answer; none where there is no chain either, since there
    /// is one member only.
    pub last_resort: Option<Arc<Binding>>,
}

impl Selector {
    /// Asks affinity whose session this is.
    pub async fn locate<R: RequestView>(&self, worker: usize, request: &R) -> Session {
        for affinity in &self.affinity {
            match affinity.locate(worker, request).await {
                Ok(None) => {}
                Ok(hold) => return Session::new(hold),
                Err(_) => {
                    return Session {
                        hold: None,
                        refused: true,
                    };
                }
            }
        }
        Session::default()
    }

    /// Chooses a member and begins the request there. Where nobody is usable it waits for as long
    /// as the balancer allows.
    pub async fn select<R: RequestView>(
        &self,
        attempt: Attempt<'_, R>,
        session: &Session,
    ) -> Result<Chosen, Refused> {
        if session.refused {
            return Err(Refused::PolicyRefused);
        }
        match self.once(attempt, session).await {
            Err(Refused::NobodyUsable) => Box::pin(self.wait(attempt, session)).await,
            decided => decided,
        }
    }

    async fn wait<R: RequestView>(
        &self,
        attempt: Attempt<'_, R>,
        session: &Session,
    ) -> Result<Chosen, Refused> {
        let wait = self.pool.current().balancer.wait;
        let deadline = Instant::now() + wait;
        while Instant::now() < deadline {
            // Made before looking, so that no change in between is missed.
            let changed = self.pool.changed();
            match self.once(attempt, session).await {
                Err(Refused::NobodyUsable) => {}
                decided => return decided,
            }
            let boundary = self.pool.facts(self.pool.clock().now()).boundary();
            let until = boundary.map_or(deadline, |at| self.pool.clock().instant(at).min(deadline));
            // Elapsed or changed: look again either way.
            let _ = timeout_at(until, changed).await;
        }
        self.once(attempt, session).await
    }

    async fn once<R: RequestView>(
        &self,
        attempt: Attempt<'_, R>,
        session: &Session,
    ) -> Result<Chosen, Refused> {
        let mut moved = false;
        if let Some(hold) = &session.hold {
            match self.follow(attempt, hold) {
                Pinned::To { in_flight, moved } => {
                    return Ok(chosen(in_flight, Decider::Pin, true, moved));
                }
                Pinned::Nowhere { carried } if carried && hold.strict => {
                    return Err(Refused::StickyUnusable);
                }
                Pinned::Nowhere { .. } => moved = true,
            }
        }
        if let Some(in_flight) = self.trial(attempt) {
            return Ok(chosen(in_flight, Decider::Trial, false, moved));
        }
        for post in &self.chain {
            match self.ask(post, attempt).await {
                Ok((Answer::Member(in_flight), by)) => {
                    return Ok(chosen(in_flight, by, false, moved));
                }
                Ok((Answer::Shed, _)) => return Err(Refused::Shed),
                Ok((Answer::Abstained, _)) => {}
                Err(Fallback::BuiltIn) => break,
                Err(Fallback::Refuse) => return Err(Refused::PolicyRefused),
            }
        }
        // Not a second time where it was the last of the chain already.
        if let Some(last) = &self.last_resort
            && !self
                .chain
                .iter()
                .any(|post| Arc::ptr_eq(&post.binding, last))
            && let Ok(Answer::Member(in_flight)) = self.pick(last, attempt).await
        {
            return Ok(chosen(in_flight, decider(last), false, moved));
        }
        let rotated = self.rotate(attempt).ok_or(Refused::NobodyUsable)?;
        Ok(chosen(rotated, Decider::Rotation, false, moved))
    }

    fn follow<R>(&self, attempt: Attempt<'_, R>, hold: &Hold) -> Pinned {
        let now = self.pool.clock().now();
        let facts = facts(&self.pool, attempt.tried, now);
        pin::follow(facts.get(), &hold.pin, attempt.tried, now)
    }

    /// A blocked member's trial, where one is due and this request is fit for it or has no choice.
    fn trial<R>(&self, attempt: Attempt<'_, R>) -> Option<InFlight> {
        let facts = facts(&self.pool, attempt.tried, self.pool.clock().now());
        let facts = facts.get();
        if facts.trials.is_empty() || !(attempt.trial_ok || facts.usable_count == 0) {
            return None;
        }
        let mut due = facts.trials.iter();
        due.find_map(|index| InFlight::begin_trial(&facts.members, *index))
    }

    fn rotate<R>(&self, attempt: Attempt<'_, R>) -> Option<InFlight> {
        let facts = facts(&self.pool, attempt.tried, self.pool.clock().now());
        let facts = facts.get();
        let count = u64::from(facts.usable_count);
        let turn = self.pool.rotate().checked_rem(count)? as usize;
        let mut usable = (0..facts.usable.len() as u32).filter(|index| facts.is_usable(*index));
        usable.nth(turn).map(|index| facts.begin(index))
    }

    /// Tells every policy that wants to know of a finished exchange, in a batch and later.
    /// Whether it is held against them.
    pub fn completed<R: RequestView>(&self, request: &R, outcome: Outcome) -> bool {
        let failed = outcome.status >= 500 || outcome.failure.is_the_members();
        for post in self.chain.iter().chain(&self.affinity) {
            post.note(request, failed);
            post.binding.observe(outcome);
            if let Some(shadow) = &post.shadow {
                shadow.binding.observe(outcome);
            }
            if let Some(canary) = &post.canary {
                canary.binding.observe(outcome);
            }
        }
        failed
    }
}

fn chosen(in_flight: InFlight, decided_by: Decider, pinned: bool, moved: bool) -> Chosen {
    Chosen {
        in_flight,
        decided_by,
        pinned,
        moved,
    }
}
