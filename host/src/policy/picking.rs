//! How one policy of a chain is asked for a member, and its shadow beside it.
//!
//! What a policy says is checked against the facts it was asked with, and the chosen member
//! counts as busy before the next caller gets its turn.

use std::{sync::Arc, time::Duration};

use super::{
    Attempt, Binding, Decider, Fault, InWords, Post, Selector, asking::Unanswered,
    columns::Columns, slot::Turn, tried::TriedView,
};
use crate::{
    decision::{Call, CapturedRequest, RequestView, Verdict},
    members::{Facts, InFlight, Micros, Pool},
    snapshot::{MemberId, OnError},
};

/// What one policy said.
#[derive(PartialEq)]
pub(super) enum Answer<M> {
    Member(M),
    Abstained,
    Shed,
}

/// Who answers where a policy of the chain failed.
pub(super) enum Fallback {
    BuiltIn,
    Refuse,
}

impl<M> Answer<M> {
    fn member(&self) -> Option<&M> {
        match self {
            Self::Member(member) => Some(member),
            Self::Abstained | Self::Shed => None,
        }
    }
}

impl Selector {
    /// Asks one policy, and its shadow for comparison.
    pub(super) async fn ask<R: RequestView>(
        &self,
        post: &Post,
        attempt: Attempt<'_, R>,
    ) -> Result<(Answer<InFlight>, Decider), Fallback> {
        let shadow = post.shadow.as_ref();
        let shadow = shadow.filter(|shadow| shadow.is_due(attempt.worker));
        // Before the other: what that chooses must not show in what this sees.
        let guess = match shadow {
            Some(shadow) if !shadow.binding.is_slow(attempt.worker) => {
                Some(Box::pin(self.guess(&shadow.binding, attempt)).await)
            }
            _ => None,
        };
        let answered = self.obeyed(post, attempt).await;
        if let Some(shadow) = shadow {
            let done = match &answered {
                Ok((Answer::Member(in_flight), _)) => {
                    Answer::Member(in_flight.settings().id.clone())
                }
                Ok((Answer::Shed, _)) => Answer::Shed,
                _ => Answer::Abstained,
            };
            match guess {
                Some(guess) => {
                    compare(&shadow.binding, attempt.request, &done, guess.ok().as_ref())
                }
                None => self.guess_later(&shadow.binding, attempt, done),
            }
        }
        answered
    }

    /// Asks the canary, where it decides for this request, else the policy itself, and where that
    /// fails the version before it, if the operator wants that.
    async fn obeyed<R: RequestView>(
        &self,
        post: &Post,
        attempt: Attempt<'_, R>,
    ) -> Result<(Answer<InFlight>, Decider), Fallback> {
        if let Some(canary) = post.canary_for(attempt.request)
            && let Ok(answer) = self.pick(canary, attempt).await
        {
            return Ok((answer, decider(canary)));
        }
        let binding = &post.binding;
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

    pub(super) async fn pick<R: RequestView>(
        &self,
        binding: &Binding,
        attempt: Attempt<'_, R>,
    ) -> Result<Answer<InFlight>, Unanswered> {
        let at_once = binding.call_at_once(attempt.worker, "pick", |turn| {
            let asked = (attempt.request, attempt.number, attempt.tried);
            pick(&self.pool, binding, turn, asked, Facts::begin)
        });
        match at_once {
            Some(answered) => answered,
            None => Box::pin(self.pick_in_turn(binding, attempt)).await,
        }
    }

    /// Asks once it can be asked, and where it can be asked.
    async fn pick_in_turn<R: RequestView>(
        &self,
        binding: &Binding,
        attempt: Attempt<'_, R>,
    ) -> Result<Answer<InFlight>, Unanswered> {
        if binding.is_slow(attempt.worker) {
            let pool = Arc::clone(&self.pool);
            let (number, tried) = (attempt.number, attempt.tried.to_vec());
            let request = CapturedRequest::of(attempt.request);
            let apart = binding.call_apart(attempt.worker, "pick", move |binding, turn| {
                pick(
                    &pool,
                    binding,
                    turn,
                    (&request, number, &tried),
                    Facts::begin,
                )
            });
            return apart.await;
        }
        let here = binding.call(attempt.worker, "pick", |turn| {
            let asked = (attempt.request, attempt.number, attempt.tried);
            pick(&self.pool, binding, turn, asked, Facts::begin)
        });
        here.await
    }

    /// Whom a shadow would choose.
    async fn guess<R: RequestView>(
        &self,
        binding: &Binding,
        attempt: Attempt<'_, R>,
    ) -> Result<Answer<MemberId>, Unanswered> {
        let here = binding.call(attempt.worker, "pick", |turn| {
            let asked = (attempt.request, attempt.number, attempt.tried);
            pick(&self.pool, binding, turn, asked, member_id)
        });
        here.await
    }

    /// Likewise of a slow one, which nobody waits for.
    fn guess_later<R: RequestView>(
        &self,
        binding: &Binding,
        attempt: Attempt<'_, R>,
        done: Answer<MemberId>,
    ) {
        if !binding.comparison().may_wait() {
            return;
        }
        let (pool, worker) = (Arc::clone(&self.pool), attempt.worker);
        let (number, tried) = (attempt.number, attempt.tried.to_vec());
        let request = CapturedRequest::of(attempt.request);
        binding.later(Duration::ZERO, move |binding| {
            let guess = binding.call_blocking(worker, "pick", |turn| {
                pick(&pool, binding, turn, (&request, number, &tried), member_id)
            });
            compare(binding, &request, &done, guess.ok().as_ref());
            binding.comparison().answered();
        });
    }
}

fn member_id(facts: &Facts, index: u32) -> MemberId {
    facts.members.endpoints[index as usize].settings.id.clone()
}

/// An answer as people read it: no member's URL is one of these words.
#[derive(PartialEq)]
struct Told<'a>(&'a str);

impl<'a> Told<'a> {
    fn of(answer: &'a Answer<MemberId>) -> Self {
        Self(match answer {
            Answer::Member(member) => &member.0,
            Answer::Abstained => "abstained",
            Answer::Shed => "shed",
        })
    }
}

impl InWords for Told<'_> {
    fn in_words(&self) -> String {
        self.0.to_owned()
    }
}

fn compare(
    shadow: &Binding,
    request: &dyn RequestView,
    done: &Answer<MemberId>,
    guess: Option<&Answer<MemberId>>,
) {
    let comparison = shadow.comparison();
    let told = guess.map(Told::of);
    comparison.note(shadow.clock(), request, &Told::of(done), told.as_ref());
    if let Some(guess) = guess {
        comparison.share(done.member(), guess.member());
    }
}

/// Asks an instance whose turn it is. The request: how often it was tried before, and where.
/// `take` makes of a member, which is usable, what is wanted of it.
fn pick<R: RequestView, M>(
    pool: &Pool,
    binding: &Binding,
    turn: &mut Turn<'_>,
    (request, number, tried): (&R, u32, &[MemberId]),
    take: fn(&Facts, u32) -> M,
) -> Result<Answer<M>, Fault> {
    // Read within the turn: nobody else's choice comes between this and our own,
    // and the policy's clock never runs backwards.
    let now_us = turn.time(pool.clock());
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
        triggered: u64::MAX,
        now_us,
        wall_ms: pool.clock().calendar_ms(),
    };
    Ok(match turn.instance.pick(&call, number, facts.state)? {
        Verdict::Member(index) if facts.is_usable(index) => Answer::Member(take(facts, index)),
        Verdict::Member(_) => {
            binding.overrule();
            Answer::Abstained
        }
        Verdict::Abstain => Answer::Abstained,
        Verdict::Shed => Answer::Shed,
    })
}

/// Those of all requests, or for a retry those without the members it has tried.
pub(super) fn facts(pool: &Pool, tried: &[MemberId], now: Micros) -> Seen {
    match tried.is_empty() {
        true => Seen::Shared(pool.facts(now)),
        false => Seen::Own(Box::new(pool.facts_without(tried, now))),
    }
}

/// Facts, shared with all requests or made for one.
pub(super) enum Seen {
    Shared(arc_swap::Guard<Arc<Facts>>),
    Own(Box<Facts>),
}

impl Seen {
    pub fn get(&self) -> &Facts {
        match self {
            Self::Shared(facts) => facts,
            Self::Own(facts) => facts,
        }
    }
}

pub(super) fn decider(binding: &Binding) -> Decider {
    Decider::Policy {
        name: Arc::clone(binding.policy()),
        digest: binding.digest(),
    }
}
