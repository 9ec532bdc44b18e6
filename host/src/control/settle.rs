//! From bids to a generation: whoever fails is left out and everybody else goes on.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use tracing::{info, warn};

use super::{
    Cause, Failure, Writer, archive,
    bid::{Bid, Change, Lost, Named, contest, outcome},
    tracked::Tracked,
};
use crate::{
    config,
    generation::{Generation, LinkErrors, Modules, Origin, Prepared},
    snapshot::Snapshot,
};

/// Why nothing was published.
enum Unpublished {
    Link(LinkErrors),
    Surroundings(String),
}

impl Writer {
    /// Puts into service what can be, all at once, and returns what cannot.
    pub(super) fn settle(&mut self, bids: Vec<Bid>, cause: Cause) -> Vec<Lost> {
        let mut prepared = Prepared::default();
        let lost = self.settle_with(bids, cause, &mut prepared);
        let now = Instant::now();
        for (tenant, spent) in prepared.spent() {
            if let Some(resident) = self.residents.get_mut(tenant) {
                resident.held_up(now, spent);
            }
        }
        lost
    }

    fn settle_with(
        &mut self,
        mut bids: Vec<Bid>,
        cause: Cause,
        prepared: &mut Prepared,
    ) -> Vec<Lost> {
        let mut lost = Vec::new();
        loop {
            lost.extend(contest(&self.operator, &self.holders(), &mut bids));
            if bids.is_empty() {
                return lost;
            }
            let (operator, parts) = outcome(&self.operator, &self.parts(), &bids);
            let snapshot = self.same_or(config::compose(&operator, parts.values()));
            let mut named = self.in_service();
            named.retain(|name, _| snapshot.policies.contains_key(name));
            for versions in bids.iter().filter_map(|bid| bid.versions.first()) {
                named.extend(versions.clone());
            }
            let error = match self.publish(&snapshot, &named, cause, prepared) {
                Ok(()) => {
                    let tenants: Vec<_> = bids.iter().map(|bid| bid.tenant.clone()).collect();
                    bids.into_iter().for_each(|bid| self.won(bid));
                    self.keep_good(&tenants);
                    self.tell();
                    return lost;
                }
                Err(error) => error,
            };
            let before = lost.len();
            let stepped = without_failed(&mut bids, error, &mut lost);
            let is_operators = |(bid, _): &Lost| bid.tenant.is_operator();
            if lost[before..].iter().any(is_operators) {
                // What the others want is held to rules that do not come.
                return lost;
            }
            debug_assert!(
                stepped || lost.len() > before,
                "every round ends somebody's bid"
            );
        }
    }

    /// The one in service where they say the same, so that all that hangs on it stays.
    fn same_or(&self, next: Snapshot) -> Arc<Snapshot> {
        let live = self.current.load();
        match *live.snapshot == next {
            true => Arc::clone(&live.snapshot),
            false => Arc::new(next),
        }
    }

    /// The version of each policy that is in service.
    fn in_service(&self) -> Named {
        let module =
            |(name, tracked): (&String, &Tracked)| Some((name.clone(), tracked.in_service()?));
        self.policies.iter().filter_map(module).collect()
    }

    fn won(&mut self, bid: Bid) {
        self.absent.remove(&bid.tenant);
        match bid.change {
            Change::Operator(next) => {
                self.operator = next;
                self.trouble = None;
            }
            Change::Tenant(part) => {
                let resident = self.residents.entry(bid.tenant).or_default();
                resident.entered(part);
            }
            Change::Recalled { part, at_ms } => {
                let resident = self.residents.entry(bid.tenant).or_default();
                resident.recalled(part, at_ms);
            }
            Change::Gone => {
                // One that only lost its hosts may come back.
                if !self.folder_of(&bid.tenant).exists() {
                    self.forget_kept(&bid.tenant);
                }
                if let Some(mut resident) = self.residents.remove(&bid.tenant) {
                    resident.left();
                }
            }
            Change::Policies => {}
        }
    }

    /// All or nothing.
    fn publish(
        &mut self,
        snapshot: &Arc<Snapshot>,
        named: &Named,
        cause: Cause,
        prepared: &mut Prepared,
    ) -> Result<(), Unpublished> {
        let before = self.current.load();
        let same = |(name, module): (&String, &Arc<dyn crate::policy::Module>)| {
            let tracked = self.policies.get(name);
            tracked
                .and_then(Tracked::in_service)
                .is_some_and(|now| now.digest() == module.digest())
        };
        let starts = before.number == 0;
        if !starts && Arc::ptr_eq(&before.snapshot, snapshot) && named.iter().all(same) {
            return Ok(());
        }
        let next = match self.make(snapshot, named, Some(&before), prepared) {
            Ok(next) => Arc::new(next),
            Err(error) => {
                // Forgets the pools that only the other would have had.
                let live = &self.setup.linker.live;
                live.publish(before.snapshot.balancers.values());
                return Err(error);
            }
        };
        self.setup.linker.tenants.adopt(snapshot);
        self.current.publish(Arc::clone(&next));
        if !starts && !Arc::ptr_eq(&before.snapshot, snapshot) {
            if before.snapshot.cache_dir != snapshot.cache_dir {
                warn!("`cache_dir` has changed; that takes effect with the next start");
            }
            info!(generation = next.number, %cause, "Configuration is in service");
        }
        self.published(&before, &next, named, cause);
        Ok(())
    }

    /// Everything that a generation can fail at.
    fn make(
        &mut self,
        snapshot: &Arc<Snapshot>,
        named: &Named,
        before: Option<&Generation>,
        prepared: &mut Prepared,
    ) -> Result<Generation, Unpublished> {
        let setup = &mut self.setup;
        let access = setup.surroundings.prepare(snapshot);
        let access = access.map_err(Unpublished::Surroundings)?;
        let stock = &setup.stock;
        let modules = Modules {
            named,
            built_in: &|name| stock.built_in(name, &snapshot.policy_limits),
        };
        let origin = Origin {
            number: before.map_or(0, |before| before.number) + 1,
            before,
        };
        let snapshot = Arc::clone(snapshot);
        let linked = setup
            .linker
            .link_with(snapshot, &modules, access, origin, prepared);
        linked.map_err(|errors| {
            setup.surroundings.abandon();
            Unpublished::Link(errors)
        })
    }

    fn published(
        &mut self,
        before: &Generation,
        next: &Arc<Generation>,
        named: &Named,
        cause: Cause,
    ) {
        let balancers = next.snapshot.balancers.values();
        self.setup.linker.live.publish(balancers);
        self.setup.surroundings.publish(next);
        let policies = &next.snapshot.policies;
        let gone = self
            .policies
            .extract_if(.., |name, _| !policies.contains_key(name));
        for (name, tracked) in gone {
            // What was undone stays so if it comes back.
            archive::remember(&mut self.earlier, name, tracked.entries());
        }
        let (mut replaced, mut entered) = (Vec::new(), false);
        for (name, module) in named {
            let policy = &policies[name];
            let tracked = self.policies.entry(name.clone()).or_insert_with(|| {
                let earlier = self.earlier.remove(name).unwrap_or_default();
                Tracked::recalling(policy, earlier)
            });
            let was = tracked.in_service().map(|module| module.digest());
            entered |= was != Some(module.digest());
            let state_dir = next.snapshot.state_dir.as_deref();
            let old = tracked.enter(module, policy, (cause, state_dir));
            if let Some(old) = old.filter(|_| cause != Cause::Rollback) {
                replaced.push((policy, old, module.digest()));
            }
        }
        for (policy, old, new) in &replaced {
            self.replaced(before, (policy, *old), *new);
        }
        if entered {
            self.keep_versions();
        }
        self.recall_canaries(next);
    }
}

/// Moves on those that failed to their next versions, or takes them out. True: some moved on.
fn without_failed(bids: &mut Vec<Bid>, error: Unpublished, lost: &mut Vec<Lost>) -> bool {
    let mut errors = match error {
        Unpublished::Link(errors) => errors.by_tenant(),
        // Sockets are the operator's.
        Unpublished::Surroundings(why) => {
            let operators = bids.iter().position(|bid| bid.tenant.is_operator());
            let failed = match operators {
                Some(index) => vec![bids.remove(index)],
                None => std::mem::take(bids),
            };
            let why = |bid| (bid, Failure::Surroundings(why.clone()));
            lost.extend(failed.into_iter().map(why));
            return false;
        }
    };
    let mut stepped = false;
    let mut kept = Vec::with_capacity(bids.len());
    let mut blamed = false;
    for mut bid in bids.drain(..) {
        match errors.remove(&bid.tenant) {
            None => kept.push(bid),
            Some(_) if bid.versions.len() > 1 => {
                // What is wrong with which policy is found when each is tried for itself.
                bid.versions.remove(0);
                stepped = true;
                kept.push(bid);
            }
            Some(error) => {
                blamed = true;
                lost.push((bid, error.into()));
            }
        }
    }
    *bids = kept;
    if !stepped && !blamed {
        // Somebody failed who wanted nothing new: nobody's wish can be granted.
        let why = told(errors);
        let all = bids.drain(..);
        lost.extend(all.map(|bid| (bid, Failure::Surroundings(why.clone()))));
    }
    stepped
}

fn told<T: std::fmt::Display, E: std::fmt::Display>(errors: BTreeMap<T, E>) -> String {
    let each = errors
        .iter()
        .map(|(tenant, error)| format!("tenant `{tenant}`: {error}"));
    each.collect::<Vec<_>>().join("\n")
}
