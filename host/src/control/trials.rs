//! New versions and canaries under watch: undone when they are worse, and by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::{Outcome, Writer};
use crate::{
    generation::Generation,
    policy::{Binding, CanaryState, Digest, Measure, Opinion, Role, judge},
    snapshot::{PolicySource, Rollback, TenantName},
};

/// Between two looks: a version that fails at every call is undone within this.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// What is watched.
#[derive(Debug, Default)]
pub(super) struct Trials {
    /// Versions that replaced others, by their policies' qualified names.
    pub(super) versions: BTreeMap<String, Trial>,
    /// When each canary was seen first.
    canaries: Vec<(Weak<Binding>, Instant)>,
}

#[derive(Debug)]
pub(super) struct Trial {
    digest: Digest,
    before: Measure,
    since: Instant,
}

/// What the bindings of one version have done.
fn measure(live: &Generation, tenant: &TenantName, name: &str, digest: Digest) -> Measure {
    let statuses = live
        .bindings()
        .filter(|binding| binding.role() == Role::Serving && binding.digest() == digest)
        .map(|binding| binding.status())
        .filter(|status| &*status.tenant == tenant.as_str() && &*status.policy == name);
    statuses.fold(Measure::default(), |all, status| all.and(&status))
}

impl Writer {
    /// Whether there is anything to look at.
    pub(super) fn is_trying(&self) -> bool {
        !self.trials.versions.is_empty() || self.current.load().canaries().next().is_some()
    }

    /// A version has taken another's place.
    pub(super) fn replaced(
        &mut self,
        before: &Generation,
        (policy, old): (&PolicySource, Digest),
        new: Digest,
    ) {
        let name = policy.tenant.qualify(&policy.name);
        if policy.rollback.is_none() {
            return;
        }
        let trial = Trial {
            digest: new,
            before: measure(before, &policy.tenant, &policy.name, old),
            since: Instant::now(),
        };
        self.trials.versions.insert(name, trial);
    }

    /// Undoes what has turned out worse, and ends the watch over what has not.
    pub(super) fn judge(&mut self) {
        let live = self.current.load();
        let mut worse = Vec::new();
        self.trials.versions.retain(|name, trial| {
            let Some(policy) = live.snapshot.policies.get(name) else {
                return false;
            };
            let Some(bounds) = &policy.rollback else {
                return false;
            };
            let now = measure(&live, &policy.tenant, &policy.name, trial.digest);
            match judge(&trial.before, &now, trial.since.elapsed(), bounds) {
                Opinion::Undecided => true,
                Opinion::NoWorse => false,
                Opinion::Worse(why) => {
                    worse.push((name.clone(), trial.digest, why));
                    false
                }
            }
        });
        for (name, digest, why) in worse {
            let current = self.policies.get(&name).and_then(|t| t.in_service());
            if current.is_some_and(|module| module.digest() == digest) {
                self.rollback(&name, &why);
            }
        }
        self.judge_canaries(&live);
    }

    fn judge_canaries(&mut self, live: &Generation) {
        let now = Instant::now();
        let known = std::mem::take(&mut self.trials.canaries);
        let mut decided = Vec::new();
        for (post, canary) in live.canaries() {
            let binding = &canary.binding;
            let same =
                |(other, _): &&(Weak<Binding>, Instant)| other.as_ptr() == Arc::as_ptr(binding);
            let since = known.iter().find(same).map_or(now, |(_, since)| *since);
            self.trials.canaries.push((Arc::downgrade(binding), since));
            let status = binding.status();
            let name = status.qualified_name();
            let policy = live.snapshot.policies.get(&name);
            let Some(fates) = status.canary.filter(|c| c.state == CanaryState::Running) else {
                continue;
            };
            let mut before = Measure::default().and(&post.binding.status());
            before.fates = fates.others;
            let mut after = Measure::default().and(&status);
            after.fates = fates.own;
            let bounds = policy.and_then(|policy| policy.rollback.clone());
            // By hand alone where nothing is to be undone by itself.
            let bounds = bounds.map(|bounds| Rollback {
                calls: u64::MAX,
                time: canary.promote_after.unwrap_or(Duration::MAX),
                ..bounds
            });
            let elapsed = now.duration_since(since);
            match bounds.map(|bounds| judge(&before, &after, elapsed, &bounds)) {
                Some(Opinion::Worse(why)) => decided.push((name, CanaryState::Undone, why)),
                Some(Opinion::NoWorse) if after.calls > 0 => {
                    let why = format!("it was no worse for {:?}", elapsed);
                    decided.push((name, CanaryState::Promoted, why));
                }
                _ => {}
            }
        }
        for (name, state, why) in decided {
            self.decide_canary(&name, state, &why);
        }
    }

    /// The canary of this policy decides for all.
    pub(super) fn promote(&mut self, name: &str) -> Outcome {
        self.decide_canary(name, CanaryState::Promoted, "asked for")
    }

    /// It decides for nobody.
    pub(super) fn withdraw(&mut self, name: &str) -> Outcome {
        self.decide_canary(name, CanaryState::Undone, "asked for")
    }

    fn decide_canary(&mut self, name: &str, state: CanaryState, why: &str) -> Outcome {
        let live = self.current.load();
        let is_named = |binding: &&Arc<Binding>| binding.status().qualified_name() == name;
        let canaries = live.canaries().map(|(_, canary)| &canary.binding);
        let own: Vec<_> = canaries.filter(is_named).collect();
        let Some(tracked) = self.policies.get_mut(name).filter(|_| !own.is_empty()) else {
            return refused(format!("policy `{name}` is nobody's canary"));
        };
        for binding in own {
            binding.set_canary_state(state);
            tracked.canary(binding.digest(), state, why);
        }
        match state {
            CanaryState::Undone => {
                warn!(
                    policy = name,
                    why, "Canary is undone; it decides for nobody"
                );
            }
            _ => info!(policy = name, why, "Canary is promoted; it decides for all"),
        }
        self.tell();
        Outcome::Published {
            generation: live.number,
        }
    }

    /// What became of canaries before holds for their new bindings too.
    pub(super) fn recall_canaries(&self, next: &Generation) {
        for (_, canary) in next.canaries() {
            let binding = &canary.binding;
            let name = binding.status().qualified_name();
            if let Some(tracked) = self.policies.get(&name) {
                binding.set_canary_state(tracked.canary_state(&binding.digest()));
            }
        }
    }
}

pub(super) fn refused(why: String) -> Outcome {
    Outcome::Refused { why }
}
