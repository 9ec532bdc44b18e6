//! A candidate that sees what another policy sees, and is never obeyed.
//!
//! It decides with everything of its own: instances, and cells and store that begin as copies,
//! so that nothing it does is seen by anybody else. The host counts where it would have decided
//! otherwise. A balancer with a state is fed every pick, or it would not be what it would be in
//! service; it is compared by shares as well, since one that is a step ahead differs at every
//! pick and yet does the same.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use super::{Binding, InWords};
use crate::{
    decision::{Concurrency, RequestView},
    members::{Clock, Micros, locked},
    snapshot::MemberId,
};

/// Parts of [`Shadow::sample`].
const WHOLE: u32 = 10_000;

/// Examples that are kept.
const EXAMPLES: usize = 16;

/// Between two examples, microseconds: writing one costs as much as many calls.
const EXAMPLE_EVERY: Micros = 100_000;

/// Characters of a decision, or a request line, in an example.
const SHOWN: usize = 300;

/// Questions that wait for a slow candidate; others are left out.
const BACKLOG: u32 = 64;

/// A candidate that sees what another policy sees.
#[derive(Debug, Clone)]
pub struct Shadow {
    /// Which.
    pub binding: Arc<Binding>,
    /// Of 10,000 decisions.
    pub sample: u32,
}

impl Shadow {
    /// Whether it sees this decision, and can without anybody waiting for it.
    pub(super) fn is_due(&self, worker: usize) -> bool {
        let fed = self.binding.exports().balancer
            && self.binding.descriptor().concurrency == Concurrency::Exclusive;
        (fed || fastrand::u32(..WHOLE) < self.sample) && self.binding.is_ready(worker)
    }
}

/// How a shadow compares with the policy that is obeyed.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    agreed: AtomicU64,
    differed: AtomicU64,
    unanswered: AtomicU64,
    skipped: AtomicU64,
    waiting: AtomicU32,
    exampled: AtomicU64,
    examples: Mutex<VecDeque<Example>>,
    shares: Mutex<Vec<Share>>,
}

/// A decision that both made, differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// `GET /path?query`
    pub request: String,
    /// What was done.
    pub decided: String,
    /// What the candidate would have done.
    pub candidate: String,
}

/// How often a member was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub member: MemberId,
    /// By the policy that is obeyed.
    pub decided: u64,
    /// By the candidate, for the same requests.
    pub candidate: u64,
}

/// What a shadow has come to so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowStatus {
    /// The same decision.
    pub agreed: u64,
    /// Another one.
    pub differed: u64,
    /// It failed, or was out of service.
    pub unanswered: u64,
    /// It was too slow to be asked.
    pub skipped: u64,
    /// The latest, the newest first.
    pub examples: Vec<Example>,
    /// Of a balancer's picks.
    pub shares: Vec<Share>,
}

impl ShadowStatus {
    /// How far the shares are apart: 0 = the same, 1 = no pick in common.
    pub fn distance(&self) -> f64 {
        let sum = |of: fn(&Share) -> u64| self.shares.iter().map(of).sum::<u64>().max(1) as f64;
        let (decided, candidate) = (sum(|s| s.decided), sum(|s| s.candidate));
        let apart = |s: &Share| (s.decided as f64 / decided - s.candidate as f64 / candidate).abs();
        self.shares.iter().map(apart).sum::<f64>() / 2.0
    }
}

impl Comparison {
    /// Both have decided; `None`: the candidate did not.
    pub fn note<T: PartialEq + InWords>(
        &self,
        clock: Clock,
        request: &dyn RequestView,
        decided: &T,
        candidate: Option<&T>,
    ) {
        let Some(candidate) = candidate else {
            self.unanswered.fetch_add(1, Relaxed);
            return;
        };
        if decided == candidate {
            self.agreed.fetch_add(1, Relaxed);
            return;
        }
        self.differed.fetch_add(1, Relaxed);
        let now = clock.now();
        let last = self.exampled.load(Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= EXAMPLE_EVERY;
        if !due || self.exampled.swap(now, Relaxed) != last {
            return;
        }
        let example = Example {
            at_ms: Clock::wall_ms(),
            request: shown(format!("{} {}", request.method(), request.original_path())),
            decided: shown(decided.in_words()),
            candidate: shown(candidate.in_words()),
        };
        let mut examples = locked(&self.examples);
        examples.truncate(EXAMPLES - 1);
        examples.push_front(example);
    }

    /// Counts what both picked.
    pub fn share(&self, decided: Option<&MemberId>, candidate: Option<&MemberId>) {
        let mut shares = locked(&self.shares);
        let mut count = |member: Option<&MemberId>, add: fn(&mut Share)| {
            let Some(member) = member else { return };
            let at = shares.iter().position(|share| share.member == *member);
            let at = at.unwrap_or_else(|| {
                shares.push(Share {
                    member: member.clone(),
                    decided: 0,
                    candidate: 0,
                });
                shares.len() - 1
            });
            add(&mut shares[at]);
        };
        count(decided, |share| share.decided += 1);
        count(candidate, |share| share.candidate += 1);
    }

    /// Whether one more question may wait for a slow candidate; then [`Self::answered`] is due.
    pub fn may_wait(&self) -> bool {
        let one_more = |waiting| (waiting < BACKLOG).then_some(waiting + 1);
        let may = self
            .waiting
            .fetch_update(Relaxed, Relaxed, one_more)
            .is_ok();
        if !may {
            self.skipped.fetch_add(1, Relaxed);
        }
        may
    }

    /// A slow candidate has answered, or will not.
    pub fn answered(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// Members that are gone are not counted for any more.
    pub fn retain(&self, is_member: impl Fn(&MemberId) -> bool) {
        locked(&self.shares).retain(|share| is_member(&share.member));
    }

    pub fn status(&self) -> ShadowStatus {
        ShadowStatus {
            agreed: self.agreed.load(Relaxed),
            differed: self.differed.load(Relaxed),
            unanswered: self.unanswered.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            examples: locked(&self.examples).iter().cloned().collect(),
            shares: locked(&self.shares).clone(),
        }
    }
}

fn shown(mut text: String) -> String {
    if text.len() > SHOWN {
        text.truncate(text.floor_char_boundary(SHOWN));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Request, *};
    use crate::decision::RequestPlan;

    fn id(name: &str) -> MemberId {
        MemberId(name.into())
    }

    #[test]
    fn what_differs_is_counted_and_a_few_examples_are_kept() {
        let (comparison, clock) = (Comparison::default(), Clock::start());
        let request = Request::default();
        let [one, two, three] = ["one", "two", "three"].map(|path| RequestPlan {
            path: Some(path.to_owned()),
            ..RequestPlan::default()
        });
        comparison.note(clock, &request, &one, Some(&one));
        comparison.note(clock, &request, &one, Some(&two));
        comparison.note(clock, &request, &one, Some(&three));
        comparison.note(clock, &request, &one, None);
        let status = comparison.status();
        assert_eq!((status.agreed, status.differed), (1, 2));
        assert_eq!(status.unanswered, 1);
        assert_eq!(status.examples.len(), 1, "not more than ten a second");
        let example = &status.examples[0];
        assert_eq!(
            (&*example.decided, &*example.candidate),
            ("path one", "path two")
        );
        assert_eq!(example.request, "GET /");
    }

    #[test]
    fn candidate_that_is_a_step_ahead_has_the_same_shares() {
        let comparison = Comparison::default();
        for turn in 0..10 {
            let names = ["a", "b"];
            comparison.share(Some(&id(names[turn % 2])), Some(&id(names[(turn + 1) % 2])));
        }
        assert_eq!(comparison.status().distance(), 0.0);
        for _ in 0..10 {
            comparison.share(Some(&id("a")), Some(&id("b")));
        }
        assert_eq!(comparison.status().distance(), 0.5);
        comparison.retain(|member| *member == id("a"));
        assert_eq!(comparison.status().shares.len(), 1);
    }

    #[test]
    fn only_so_many_questions_wait() {
        let comparison = Comparison::default();
        for _ in 0..BACKLOG {
            assert!(comparison.may_wait());
        }
        assert!(!comparison.may_wait());
        comparison.answered();
        assert!(comparison.may_wait());
        assert_eq!(comparison.status().skipped, 1);
    }
}
