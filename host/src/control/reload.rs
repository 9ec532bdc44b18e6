//! The single writer: loads, links, publishes, or leaves everything as it was.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tracing::{error, info, warn};

use super::{
    Cause, ControlFacts, Failure, Outcome, Setup, Stock, Trouble, Watch,
    archive::Archive,
    seen::Seen,
    tracked::{Look, Tracked},
};
use crate::{
    config,
    generation::{Current, Generation, Modules, Origin},
    members::Clock,
    policy::Module,
    snapshot::{PolicySource, Snapshot},
};

/// The single writer.
pub struct Writer {
    setup: Setup,
    current: Arc<Current>,
    policies: BTreeMap<String, Tracked>,
    files: Vec<(PathBuf, Seen)>,
    /// A configuration that was right in itself and was refused: a file it names may mend it.
    pending: Option<Arc<Snapshot>>,
    trouble: Option<Trouble>,
    archive: Archive,
    facts: Arc<ArcSwap<ControlFacts>>,
    watch: Arc<ArcSwap<Option<Watch>>>,
}

type Named = BTreeMap<String, Arc<dyn Module>>;

impl Writer {
    /// Puts the first generation into service. The files are read as they are now.
    pub fn start(mut setup: Setup, snapshot: Snapshot) -> Result<Self, Failure> {
        let snapshot = Arc::new(snapshot);
        let mut policies = BTreeMap::new();
        let mut named = Named::new();
        let mut earlier = snapshot
            .state_dir
            .as_deref()
            .map(Archive::read)
            .unwrap_or_default();
        for (name, policy) in &snapshot.policies {
            let tracked = Tracked::recalling(policy, earlier.remove(name).unwrap_or_default());
            named.insert(name.clone(), newest(&tracked, policy, &setup.stock)?);
            policies.insert(name.clone(), tracked);
        }
        let first = make(&mut setup, &snapshot, &named, None)?;
        let current = Arc::new(Current::new(first));
        let mut writer = Self {
            setup,
            current,
            policies,
            // The snapshot may be older than the files are now: the first event reads them again.
            files: Vec::new(),
            pending: None,
            trouble: None,
            archive: Archive::default(),
            facts: Arc::default(),
            watch: Arc::default(),
        };
        let first = writer.current.load();
        writer.published(&first, &named, Cause::Start);
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

    /// Takes into service what has changed on disk. A configuration and policies that changed
    /// together go together, since one may not work without the other; otherwise each for itself,
    /// so that a mistake in one does not hold up the rest.
    pub(super) fn reload(&mut self, cause: Cause) -> Outcome {
        let before = self.current.load().number;
        let again = cause != Cause::Files;
        let mut refused = Vec::new();
        if let Err(failure) = self.reload_config(cause, again) {
            refused.push(self.refuse(&failure, cause));
        }
        refused.extend(self.reload_policies(cause, again));
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

    fn reload_config(&mut self, cause: Cause, again: bool) -> Result<(), Failure> {
        let same = |(path, seen): &(PathBuf, Seen)| seen.is_same(path);
        let same = !self.files.is_empty() && self.files.iter().all(same);
        if same && !again && self.pending.is_none() {
            return Ok(());
        }
        // Before reading: what changes while they are read is a change for the next time.
        let live = self.current.load();
        self.files = looked_at(&live.snapshot.files);
        self.pending = None;
        let loaded =
            config::load(&self.setup.path).map_err(|report| Failure::Config(Box::new(report)))?;
        if loaded.snapshot == *live.snapshot {
            if self.trouble.take().is_some() {
                info!("The configuration on disk is the one in service again");
            }
            return Ok(());
        }
        let warnings = loaded.lines();
        let snapshot = Arc::new(loaded.snapshot);
        self.adopt(&snapshot, cause)
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

    /// Puts a configuration into service, with what is on disk of its policies where that can be
    /// used, else with the versions in service.
    fn adopt(&mut self, snapshot: &Arc<Snapshot>, cause: Cause) -> Result<(), Failure> {
        let (mut latest, mut proven) = (Named::new(), Named::new());
        let mut differ = false;
        let mut fresh = BTreeMap::new();
        for (name, policy) in &snapshot.policies {
            let tracked = match self.policies.get(name) {
                Some(tracked) => tracked,
                None => fresh
                    .entry(name.clone())
                    .or_insert_with(|| Tracked::new(policy)),
            };
            let stays = tracked.in_service_from(&policy.source);
            let module = match newest(tracked, policy, &self.setup.stock) {
                Ok(module) => module,
                Err(failure) => stays.clone().ok_or(failure)?,
            };
            let stays = stays.unwrap_or_else(|| Arc::clone(&module));
            differ |= stays.digest() != module.digest();
            proven.insert(name.clone(), stays);
            latest.insert(name.clone(), module);
        }
        let known: Vec<_> = self.policies.keys().cloned().collect();
        self.policies.append(&mut fresh);
        let done = match self.publish(snapshot, &latest, cause) {
            // What is wrong with which policy is found when each is tried for itself.
            Err(Failure::Link(_)) if differ => self.publish(snapshot, &proven, cause),
            done => done,
        };
        done.inspect_err(|_| self.policies.retain(|name, _| known.contains(name)))
    }

    fn reload_policies(&mut self, cause: Cause, again: bool) -> Vec<String> {
        let mut refused = Vec::new();
        let snapshot = Arc::clone(&self.current.load().snapshot);
        for (name, policy) in &snapshot.policies {
            let seen = Seen::look(&policy.source);
            let Some(tracked) = self.policies.get_mut(name) else {
                continue;
            };
            let look = tracked.look(policy, &self.setup.stock, again);
            let (digest, why) = match look {
                Look::Known => continue,
                Look::InService => {
                    tracked.dealt_with(policy, seen);
                    tracked.unchanged();
                    continue;
                }
                Look::Bad(digest, why) => (digest, why),
                Look::New(module) => {
                    let mut named = self.in_service();
                    named.insert(name.clone(), Arc::clone(&module));
                    match self.publish(&snapshot, &named, cause) {
                        Ok(()) => continue,
                        Err(failure) => (Some(module.digest()), failure.to_string()),
                    }
                }
            };
            if let Some(tracked) = self.policies.get_mut(name) {
                tracked.dealt_with(policy, seen);
                // At every event of a file the same once more would say nothing.
                if cause == Cause::Signal || !tracked.said(&why) {
                    tracked.refuse(digest, &why);
                }
            }
            refused.push(why);
        }
        refused
    }

    fn in_service(&self) -> Named {
        let module =
            |(name, tracked): (&String, &Tracked)| Some((name.clone(), tracked.in_service()?));
        self.policies.iter().filter_map(module).collect()
    }

    /// All or nothing.
    fn publish(
        &mut self,
        snapshot: &Arc<Snapshot>,
        named: &Named,
        cause: Cause,
    ) -> Result<(), Failure> {
        let before = self.current.load();
        let made = make(&mut self.setup, snapshot, named, Some(&before));
        let next = made.inspect_err(|_| {
            // Forgets the pools that only the other would have had.
            let live = &self.setup.linker.live;
            live.publish(before.snapshot.balancers.values());
        })?;
        let next = Arc::new(next);
        self.current.publish(Arc::clone(&next));
        if !Arc::ptr_eq(&before.snapshot, snapshot) {
            self.trouble = None;
            if before.snapshot.cache_dir != snapshot.cache_dir {
                warn!("`cache_dir` has changed; that takes effect with the next start");
            }
            info!(generation = next.number, %cause, "Configuration is in service");
        }
        self.published(&next, named, cause);
        Ok(())
    }

    fn published(&mut self, next: &Arc<Generation>, named: &Named, cause: Cause) {
        let balancers = next.snapshot.balancers.values();
        self.setup.linker.live.publish(balancers);
        self.setup.surroundings.publish(next);
        self.policies
            .retain(|name, _| next.snapshot.policies.contains_key(name));
        for (name, module) in named {
            if let Some(tracked) = self.policies.get_mut(name) {
                let source = &next.snapshot.policies[name].source;
                tracked.enter(module, source, cause);
            }
        }
        self.tell();
    }

    /// The same trouble twice in a row is told once, unless somebody asks.
    fn refuse(&mut self, failure: &Failure, cause: Cause) -> String {
        let what = failure.to_string();
        if cause == Cause::Signal || self.trouble.as_ref().is_none_or(|t| t.what != what) {
            match failure {
                Failure::Config(report) => {
                    for line in report.lines().lines() {
                        error!("{line}");
                    }
                }
                other => error!("{other}"),
            }
            error!(config = %self.setup.path.display(), "The new configuration is refused; the one in service stays");
            self.trouble = Some(Trouble {
                at_ms: Clock::wall_ms(),
                what: what.clone(),
            });
        }
        what
    }

    /// Publishes facts and what to watch.
    fn tell(&mut self) {
        let live = self.current.load();
        let facts = Arc::new(ControlFacts {
            generation: live.number,
            loaded_at_ms: live.loaded_at_ms,
            config: self.setup.path.clone(),
            last_error: self.trouble.clone(),
            policies: self.policies.values().map(Tracked::facts).collect(),
        });
        let state_dir = live.snapshot.state_dir.as_deref();
        self.archive.keep(state_dir, &facts.policies);
        self.facts.store(facts);
        if let Some(watch) = self.watch.load().as_ref() {
            let mut paths = watched(&self.setup.path, &live.snapshot);
            if let Some(pending) = &self.pending {
                paths.extend(watched(&self.setup.path, pending));
            }
            watch.paths(paths);
        }
    }
}

/// Everything that a generation can fail at.
fn make(
    setup: &mut Setup,
    snapshot: &Arc<Snapshot>,
    named: &Named,
    before: Option<&Generation>,
) -> Result<Generation, Failure> {
    let access = setup.surroundings.prepare(snapshot);
    let access = access.map_err(Failure::Surroundings)?;
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
    let linked = setup.linker.link(snapshot, &modules, access, origin);
    Ok(linked.inspect_err(|_| setup.surroundings.abandon())?)
}

/// What is on disk of a policy, or why that cannot be used.
fn newest(
    tracked: &Tracked,
    policy: &PolicySource,
    stock: &Stock,
) -> Result<Arc<dyn Module>, Failure> {
    let why = match tracked.look(policy, stock, true) {
        Look::New(module) => return Ok(module),
        Look::InService | Look::Known => match tracked.in_service() {
            Some(module) => return Ok(module),
            None => "no version of it was in service yet".to_owned(),
        },
        Look::Bad(_, why) => why,
    };
    let name = policy.name.clone();
    Err(Failure::Policy { name, why })
}

fn looked_at(files: &[PathBuf]) -> Vec<(PathBuf, Seen)> {
    let look = |path: &PathBuf| (path.clone(), Seen::look(path));
    files.iter().map(look).collect()
}

/// All files that a generation was made of.
pub(super) fn watched(config: &Path, snapshot: &Snapshot) -> Vec<PathBuf> {
    let mut paths = vec![std::path::absolute(config).unwrap_or_else(|_| config.to_owned())];
    paths.extend(snapshot.files.iter().cloned());
    paths.extend(snapshot.policies.values().map(|p| p.source.clone()));
    paths.sort();
    paths.dedup();
    paths
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("config", &self.setup.path)
            .finish_non_exhaustive()
    }
}
