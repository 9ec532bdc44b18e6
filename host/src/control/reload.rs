//! The single writer: reads what changed, has it settled, tells what came of it.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::{
    Cause, ControlFacts, Failure, Outcome, Setup, Trouble, Watch,
    archive::{Archive, Earlier},
    bid::{Bid, Change, Named, Parts},
    kept::Kept,
    resident::Resident,
    rollback::Waiting,
    seen::Seen,
    tracked::Tracked,
    trail::Watched,
    trials::Trials,
};
use crate::{
    config,
    generation::{Current, Generation},
    snapshot::{Snapshot, TenantName},
};

/// The single writer.
pub struct Writer {
    pub(super) setup: Setup,
    pub(super) current: Arc<Current>,
    /// By qualified name.
    pub(super) policies: BTreeMap<String, Tracked>,
    /// What of the operator's own is in service, without the tenants.
    pub(super) operator: Arc<Snapshot>,
    pub(super) residents: BTreeMap<TenantName, Resident>,
    /// What tenants served in an earlier run.
    pub(super) absent: Parts,
    files: Vec<(PathBuf, Seen)>,
    /// A configuration that was right in itself and was refused: a file it names may mend it.
    pub(super) pending: Option<Arc<Snapshot>>,
    pub(super) trouble: Option<Trouble>,
    /// About the tenants' folder.
    pub(super) folder_trouble: Option<Trouble>,
    /// What an earlier run did, until the policies are there again.
    pub(super) earlier: Earlier,
    pub(super) archive: Archive,
    pub(super) kept: Kept,
    pub(super) trials: Trials,
    pub(super) waiting: Vec<Waiting>,
    /// There is something to look at then, whether or not a file changes.
    pub(super) due: Option<Instant>,
    pub(super) facts: Arc<ArcSwap<ControlFacts>>,
    pub(super) watch: Arc<ArcSwap<Option<Watch>>>,
    pub(super) watched: Arc<ArcSwap<Watched>>,
}

impl Writer {
    /// Puts the first generation into service. The files are read as they are now. The operator's
    /// own must be right; a tenant that is not serves what it served last, or is left out.
    pub fn start(setup: Setup, snapshot: Snapshot) -> Result<Self, Failure> {
        let snapshot = Arc::new(snapshot);
        let earlier = snapshot.state_dir.as_deref();
        let earlier = earlier.map(Archive::read).unwrap_or_default();
        let kept = snapshot.state_dir.as_deref();
        let kept = kept.map(Kept::open).unwrap_or_default();
        let current = Arc::new(Current::new(Generation::nothing(&snapshot)));
        let mut writer = Self {
            setup,
            current,
            policies: BTreeMap::new(),
            operator: Arc::clone(&snapshot),
            residents: BTreeMap::new(),
            absent: Parts::new(),
            // The snapshot may be older than the files are now: the first event reads them again.
            files: Vec::new(),
            pending: None,
            trouble: None,
            folder_trouble: None,
            earlier,
            archive: Archive::default(),
            kept,
            trials: Trials::default(),
            waiting: Vec::new(),
            due: None,
            facts: Arc::default(),
            watch: Arc::default(),
            watched: Arc::default(),
        };
        // All are ordered before any is waited for: they load beside each other.
        let mut refused = Vec::new();
        writer.setup.stock.wait_for(Some(Duration::ZERO));
        let mut bids = writer.tenants_bids(Cause::Start, &mut refused);
        writer.recall_holders();
        writer.setup.stock.wait_for(None);
        bids.push(Bid {
            tenant: TenantName::operator(),
            versions: writer.versions(&snapshot.policies)?,
            change: Change::Operator(snapshot),
        });
        writer.setup.stock.begin_start();
        let late = writer.tenants_bids(Cause::Files, &mut refused);
        let known: Vec<_> = bids.iter().map(|bid| bid.tenant.clone()).collect();
        bids.extend(late.into_iter().filter(|bid| !known.contains(&bid.tenant)));
        let mut lost = writer.settle(bids, Cause::Start);
        if let Some(index) = lost.iter().position(|(bid, _)| bid.tenant.is_operator()) {
            return Err(lost.swap_remove(index).1);
        }
        writer.second_chance(lost, Cause::Start);
        writer.tell();
        Ok(writer)
    }

    /// The generation in service, for everybody.
    pub fn current(&self) -> &Arc<Current> {
        &self.current
    }

    pub(super) fn shared_facts(&self) -> Arc<ArcSwap<ControlFacts>> {
        Arc::clone(&self.facts)
    }

    pub(super) fn shared_watch(&self) -> Arc<ArcSwap<Option<Watch>>> {
        Arc::clone(&self.watch)
    }

    pub(super) fn shared_watched(&self) -> Arc<ArcSwap<Watched>> {
        Arc::clone(&self.watched)
    }

    /// What of the tenants is in service.
    pub(super) fn parts(&self) -> Parts {
        let parts = self.residents.iter();
        parts
            .filter_map(|(name, resident)| Some((name.clone(), Arc::clone(resident.part()?))))
            .collect()
    }

    /// Takes into service what has changed on disk. A configuration and policies that changed
    /// together go together, since one may not work without the other; otherwise each for itself,
    /// so that a mistake in one does not hold up the rest.
    pub(super) fn reload(&mut self, cause: Cause) -> Outcome {
        let before = self.current.load().number;
        let again = cause != Cause::Files;
        let mut refused = Vec::new();
        self.due = None;
        self.setup.stock.begin_pass();
        match self.reload_operator(cause, again) {
            Ok(()) | Err(Failure::Loading { .. }) => {}
            Err(failure) => refused.push(self.refuse(&failure, cause)),
        }
        let bids = self.tenants_bids(cause, &mut refused);
        let lost = self.settle(bids, cause);
        refused.extend(self.second_chance(lost, cause));
        refused.extend(self.reload_policies(cause));
        self.tell();
        let generation = self.current.load().number;
        if generation != before {
            return Outcome::Published { generation };
        }
        match refused.is_empty() {
            true => Outcome::Unchanged,
            false => Outcome::Refused {
                why: refused.join("\n"),
            },
        }
    }

    fn reload_operator(&mut self, cause: Cause, again: bool) -> Result<(), Failure> {
        let same = |(path, seen): &(PathBuf, Seen)| seen.is_same(path);
        let same = !self.files.is_empty() && self.files.iter().all(same);
        if same && !again && self.pending.is_none() {
            return Ok(());
        }
        // Before reading: what changes while they are read is a change for the next time.
        self.files = looked_at(&self.operator.files);
        self.pending = None;
        let loaded =
            config::load(&self.setup.path).map_err(|report| Failure::Config(Box::new(report)))?;
        if loaded.snapshot == *self.operator {
            if self.trouble.take().is_some() {
                info!("The configuration on disk is the one in service again");
            }
            return Ok(());
        }
        let warnings = loaded.lines();
        let snapshot = Arc::new(loaded.snapshot);
        self.built_ins(&snapshot.vhosts, &snapshot.balancers)
            .and_then(|()| self.adopt(&snapshot, cause))
            .inspect_err(|_| self.pending = Some(Arc::clone(&snapshot)))?;
        for warning in warnings.lines() {
            warn!("{warning}");
        }
        // What is new to it, such as an error page, may have changed since it was read.
        self.files.retain(|(path, _)| snapshot.files.contains(path));
        if self.files.len() < snapshot.files.len() {
            self.files.clear();
        }
        Ok(())
    }

    /// Puts the operator's configuration into service, and the tenants under it.
    fn adopt(&mut self, snapshot: &Arc<Snapshot>, cause: Cause) -> Result<(), Failure> {
        let mut bids = vec![Bid {
            tenant: TenantName::operator(),
            change: Change::Operator(Arc::clone(snapshot)),
            versions: self.versions(&snapshot.policies)?,
        }];
        let held = self.held_to(snapshot);
        bids.extend(held.iter().map(|(bid, _)| bid.clone()));
        let mut failures: Vec<_> = held
            .into_iter()
            .filter_map(|(bid, failure)| Some((bid.tenant, failure?)))
            .collect();
        // A new quota counts even where what is on disk does not work under it.
        let mut again = Vec::new();
        for (bid, failure) in self.settle(bids, cause) {
            if bid.tenant.is_operator() {
                return Err(failure);
            }
            again.extend(self.fall_back(&bid.tenant, snapshot));
            failures.push((bid.tenant, failure));
        }
        let lost = self.settle(again, cause);
        failures.extend(lost.into_iter().map(|(bid, failure)| (bid.tenant, failure)));
        for (tenant, failure) in failures {
            match failure {
                Failure::Loading { .. } => self.residents.entry(tenant).or_default().waits(),
                failure => drop(self.refuse_tenant(&tenant, &failure, cause)),
            }
        }
        Ok(())
    }

    fn reload_policies(&mut self, cause: Cause) -> Vec<String> {
        let mut refused = Vec::new();
        let mut changed = self.changed_policies(cause, &mut refused);
        // One of each tenant's at a time: one that fails must not hold up the next.
        while !changed.is_empty() {
            let (mut bids, mut tried) = (Vec::new(), BTreeMap::new());
            changed.retain_mut(|(tenant, list)| {
                if self.rests(tenant) {
                    return false;
                }
                let Some((name, seen, module)) = list.pop() else {
                    return false;
                };
                bids.push(Bid {
                    tenant: tenant.clone(),
                    change: Change::Policies,
                    versions: vec![Named::from([(name.clone(), Arc::clone(&module))])],
                });
                tried.insert(tenant.clone(), (name, seen, module));
                !list.is_empty()
            });
            for (bid, failure) in self.settle(bids, cause) {
                let Some((name, seen, module)) = tried.remove(&bid.tenant) else {
                    continue;
                };
                let why = failure.to_string();
                self.refuse_policy(&name, seen, Some(module.digest()), &why, cause);
                refused.push(why);
            }
        }
        refused
    }
}

fn looked_at(files: &[PathBuf]) -> Vec<(PathBuf, Seen)> {
    let look = |path: &PathBuf| (path.clone(), Seen::look(path));
    files.iter().map(look).collect()
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("config", &self.setup.path)
            .finish_non_exhaustive()
    }
}
