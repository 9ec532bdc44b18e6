//! Who serves a request.
//!
//! In order: the session's pin; the one trial that a blocked member is due; the
//! chain of policies; the built-in policy; a plain rotation of the host's own. What
//! a policy says is checked against the facts it was asked with, and the chosen
//! member counts as busy before the next caller gets its turn.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{
    Attempt, Binding, Chosen, Decider, Fault, Refused, Session,
    asking::Unanswered,
    columns::Columns,
    pin::{self, Pinned},
    slot::Turn,
    tried::TriedView,
};
use crate::{
    decision::{Call, CapturedRequest, Hold, Outcome, RequestView, Verdict},
    members::{Facts, InFlight, Micros, Pool},
    snapshot::{MemberId, OnError},
};

/// Chooses members of one pool.
#[derive(Debug)]
pub struct Selector {
    /// Whose members.
    pub pool: Arc<Pool>,
    /// Asked in order; each may abstain.
    pub chain: Vec<Arc<Binding>>,
    /// Finds and makes sessions.
    pub affinity: Option<Arc<Binding>>,
    /// The built-in `byrequests`, asked where the chain has no answer.
    pub last_resort: Option<Arc<Binding>>,
}

/// What one policy said.
enum Answer {
    Member(InFlight),
    Abstained,
    Shed,
}

impl Selector {
    /// Asks affinity whose session this is.
    pub async fn locate<R: RequestView>(&self, worker: usize, request: &R) -> Session {
        let Some(affinity) = &self.affinity else {
            return Session::default();
        };
        match affinity.locate(worker, request).await {
            Ok(hold) => Session::new(hold),
            Err(_) => Session {
                hold: None,
                refused: true,
            },
        }
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
            Err(Refused::NobodyUsable) => self.wait(attempt, session).await,
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
        for binding in &self.chain {
            match self.ask(binding, attempt).await {
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
            && !self.chain.iter().any(|b| Arc::ptr_eq(b, last))
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

    /// Asks one policy, and where it fails the version before it, if the operator wants that.
    async fn ask<R: RequestView>(
        &self,
        binding: &Arc<Binding>,
        attempt: Attempt<'_, R>,
    ) -> Result<(Answer, Decider), Fallback> {
        if let Ok(answer) = self.pick(binding, attempt).await {
            return Ok((answer, decider(binding)));
        }
        match binding.on_error() {
            OnError::Refuse => Err(Fallback::Refuse),
            OnError::BuiltIn => Err(Fallback::BuiltIn),
            OnError::Previous => {
                let previous = binding.previous().ok_or(Fallback::BuiltIn)?;
                let answer = self.pick(&previous, attempt).await;
                let answer = answer.map_err(|_| Fallback::BuiltIn)?;
                Ok((answer, decider(&previous)))
            }
        }
    }

    async fn pick<R: RequestView>(
        &self,
        binding: &Binding,
        attempt: Attempt<'_, R>,
    ) -> Result<Answer, Unanswered> {
        if binding.is_slow(attempt.worker) {
            let pool = Arc::clone(&self.pool);
            let (number, tried) = (attempt.number, attempt.tried.to_vec());
            let request = CapturedRequest::of(attempt.request);
            let apart = binding.call_apart(attempt.worker, "pick", move |binding, turn| {
                pick(&pool, binding, turn, (&request, number, &tried))
            });
            return apart.await;
        }
        let here = binding.call(attempt.worker, "pick", |turn| {
            let asked = (attempt.request, attempt.number, attempt.tried);
            pick(&self.pool, binding, turn, asked)
        });
        here.await
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
    pub fn completed(&self, outcome: Outcome) {
        for binding in self.chain.iter().chain(&self.affinity) {
            binding.observe(outcome);
        }
    }
}

/// Who answers where a policy of the chain failed.
enum Fallback {
    BuiltIn,
    Refuse,
}

/// Asks an instance whose turn it is. The request: how often it was tried before, and where.
fn pick<R: RequestView>(
    pool: &Pool,
    binding: &Binding,
    turn: &mut Turn<'_>,
    (request, number, tried): (&R, u32, &[MemberId]),
) -> Result<Answer, Fault> {
    // Read within the turn: nobody else's choice comes between this and our own,
    // and the policy's clock never runs backwards.
    let now_us = pool.clock().now();
    let facts = facts(pool, tried, now_us);
    let facts = facts.get();
    if facts.usable_count == 0 {
        return Ok(Answer::Abstained);
    }
    turn.know(&facts.members)?;
    let request = TriedView::new(request, tried, &facts.members);
    let columns = Columns::new(pool, facts, now_us);
    let call = Call {
        request: Some(&request),
        response: None,
        pool: Some(&columns),
        triggers: &[],
        now_us,
        wall_ms: pool.clock().calendar_ms(),
    };
    Ok(match turn.instance.pick(&call, number, facts.state)? {
        Verdict::Member(index) if facts.is_usable(index) => Answer::Member(facts.begin(index)),
        Verdict::Member(_) => {
            binding.overrule();
            Answer::Abstained
        }
        Verdict::Abstain => Answer::Abstained,
        Verdict::Shed => Answer::Shed,
    })
}

/// Those of all requests, or for a retry those without the members it has tried.
fn facts(pool: &Pool, tried: &[MemberId], now: Micros) -> Seen {
    match tried.is_empty() {
        true => Seen::Shared(pool.facts(now)),
        false => Seen::Own(Box::new(pool.facts_without(tried, now))),
    }
}

/// Facts, shared with all requests or made for one.
enum Seen {
    Shared(arc_swap::Guard<Arc<Facts>>),
    Own(Box<Facts>),
}

impl Seen {
    fn get(&self) -> &Facts {
        match self {
            Self::Shared(facts) => facts,
            Self::Own(facts) => facts,
        }
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

fn decider(binding: &Binding) -> Decider {
    Decider::Policy {
        name: Arc::clone(binding.policy()),
        digest: binding.digest(),
    }
}
