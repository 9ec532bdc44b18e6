//! A balancer's live members, at a revision that only rises.

use std::{
    collections::HashMap,
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use tracing::info;

use super::{
    Clock, Facts, InFlight, KnownNames, MemberLive, Micros, Reach,
    member::Joining,
    signal::{Signal, locked},
};
use crate::{
    decision,
    snapshot::{self, MemberId, TenantName},
};

/// A balancer's live members at their newest revision.
pub struct Pool {
    tenant: TenantName,
    /// Qualified.
    name: Arc<str>,
    /// Its name within the tenant.
    local: Arc<str>,
    clock: Clock,
    workers: usize,
    names: Arc<KnownNames>,
    reach: Option<Arc<Reach>>,
    signal: Arc<Signal>,
    current: ArcSwap<PoolMembers>,
    /// Held by whoever adopts. Members that left live on while requests hold them, and are
    /// found here if they come back before that.
    known: Mutex<HashMap<MemberId, Weak<MemberLive>>>,
    facts: ArcSwap<Facts>,
    /// Held by whoever computes facts, so that workers do not do it all at once.
    computing: Mutex<()>,
    states: AtomicU64,
    rotation: AtomicU64,
    followers: Mutex<Vec<Weak<dyn Follower>>>,
}

/// Members at one revision. Columns, verdicts and records are aligned with `endpoints`.
#[derive(Debug)]
pub struct PoolMembers {
    /// Rises whenever `records` change.
    pub revision: u64,
    /// The configuration they came from.
    pub balancer: Arc<snapshot::Balancer>,
    /// In configuration order.
    pub endpoints: Vec<Endpoint>,
    /// What policies are told.
    pub records: Vec<decision::Member>,
    by_id: HashMap<MemberId, u32>,
    /// In configuration order.
    by_route: HashMap<String, Vec<u32>>,
}

/// One member: configuration and live state.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Replaced by a reload.
    pub settings: Arc<snapshot::Member>,
    /// Survives reloads.
    pub live: Arc<MemberLive>,
}

/// Wants to hear of new revisions at once rather than at its next call.
pub trait Follower: Send + Sync {
    /// The pool will have members of this revision in a moment.
    fn expects(&self, revision: u64);

    /// The pool has these members now. Called off the workers; must not block for long.
    fn members_changed(&self, members: &Arc<PoolMembers>);
}

impl PoolMembers {
    fn new(
        revision: u64,
        balancer: Arc<snapshot::Balancer>,
        endpoints: Vec<Endpoint>,
        records: Vec<decision::Member>,
    ) -> Self {
        let mut by_id = HashMap::with_capacity(endpoints.len());
        let mut by_route: HashMap<String, Vec<u32>> = HashMap::new();
        for (index, endpoint) in (0..).zip(&endpoints) {
            let settings = &endpoint.settings;
            by_id.entry(settings.id.clone()).or_insert(index);
            if !settings.route.is_empty() {
                let same = by_route.entry(settings.route.clone()).or_default();
                same.push(index);
            }
        }
        Self {
            revision,
            balancer,
            endpoints,
            records,
            by_id,
            by_route,
        }
    }

    /// The index of a member by id.
    pub fn index_of(&self, id: &MemberId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The indices of members by route, in configuration order; nobody has the empty one.
    pub fn of_route(&self, route: &str) -> &[u32] {
        self.by_route.get(route).map_or(&[], Vec::as_slice)
    }
}

impl Pool {
    pub(super) fn new(
        balancer: &Arc<snapshot::Balancer>,
        clock: Clock,
        workers: usize,
        names: Arc<KnownNames>,
        reach: Option<Arc<Reach>>,
    ) -> Self {
        let name: Arc<str> = balancer.name.as_str().into();
        let signal = Arc::new(Signal::default());
        let balancer = Arc::clone(balancer);
        let empty = PoolMembers::new(0, Arc::clone(&balancer), Vec::new(), Vec::new());
        let empty = Arc::new(empty);
        let pool = Self {
            tenant: balancer.tenant.clone(),
            local: balancer.local_name().into(),
            name,
            clock,
            workers,
            names,
            reach,
            facts: ArcSwap::from_pointee(Facts::compute(&empty, clock.now(), &[], signal.seen())),
            signal,
            current: ArcSwap::new(empty),
            known: Mutex::default(),
            computing: Mutex::default(),
            states: AtomicU64::new(0),
            rotation: AtomicU64::new(0),
            followers: Mutex::default(),
        };
        pool.adopt(balancer);
        pool
    }

    /// Whose balancer it is.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// The balancer's name within its tenant.
    pub fn local_name(&self) -> &Arc<str> {
        &self.local
    }

    /// The balancer's qualified name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Reads the time that all live state is kept in.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The members now.
    pub fn current(&self) -> Arc<PoolMembers> {
        self.current.load_full()
    }

    /// Of the members now.
    pub fn revision(&self) -> u64 {
        self.current.load().revision
    }

    /// Takes over a new configuration: settings are replaced, live state is kept by id, joiners
    /// ramp up, leavers close their idle connections and end with their last request. Off the
    /// workers, for it tells the policies bound to the pool.
    pub fn adopt(&self, balancer: Arc<snapshot::Balancer>) {
        let mut known = locked(&self.known);
        let old = self.current.load_full();
        let first = old.revision == 0;
        if !first && old.balancer == balancer {
            return;
        }
        let endpoints: Vec<_> = balancer
            .members
            .iter()
            .map(|settings| self.endpoint(settings, &old, &known, !first))
            .collect();
        for endpoint in &endpoints {
            endpoint.live.in_balancer(&balancer);
        }
        let records: Vec<_> = balancer.members.iter().map(|m| record(m)).collect();
        let changed = first || records != old.records;
        let revision = old.revision + u64::from(changed);
        let members = Arc::new(PoolMembers::new(revision, balancer, endpoints, records));
        known.retain(|_, live| live.strong_count() > 0);
        for endpoint in &members.endpoints {
            known.insert(endpoint.live.id().clone(), Arc::downgrade(&endpoint.live));
        }
        let followers = match changed {
            true => self.followers(),
            false => Vec::new(),
        };
        for follower in &followers {
            follower.expects(members.revision);
        }
        self.current.store(Arc::clone(&members));
        self.signal.raise();
        let left = |e: &&Endpoint| members.index_of(&e.settings.id).is_none();
        for leaver in old.endpoints.iter().filter(left) {
            info!(tenant = %self.tenant, balancer = %self.local, member = %leaver.settings.id, "Member leaves");
            leaver.live.connections().close_idle();
        }
        drop(known);
        for follower in followers {
            follower.members_changed(&members);
        }
    }

    fn endpoint(
        &self,
        settings: &Arc<snapshot::Member>,
        old: &PoolMembers,
        known: &HashMap<MemberId, Weak<MemberLive>>,
        late: bool,
    ) -> Endpoint {
        let settings = Arc::clone(settings);
        if let Some(live) = known.get(&settings.id).and_then(Weak::upgrade) {
            let before = old.index_of(&settings.id);
            let before = before.map(|index| &*old.endpoints[index as usize].settings);
            live.reconfigured(before, &settings);
            return Endpoint { settings, live };
        }
        if late {
            info!(tenant = %self.tenant, balancer = %self.local, member = %settings.id, "Member joins");
        }
        let joining = Joining {
            tenant: &self.tenant,
            balancer: &self.local,
            settings: &settings,
            workers: self.workers,
            names: &self.names,
            reach: self.reach.as_ref(),
            clock: self.clock,
            signal: &self.signal,
            late,
        };
        let live = Arc::new(MemberLive::new(&joining));
        if let Some(reach) = &self.reach {
            reach.joined(&live);
        }
        Endpoint { settings, live }
    }

    /// Tells `follower` of every new revision from now on.
    pub fn follow(&self, follower: Weak<dyn Follower>) {
        let mut followers = locked(&self.followers);
        followers.retain(|f| f.strong_count() > 0);
        followers.push(follower);
    }

    fn followers(&self) -> Vec<Arc<dyn Follower>> {
        let followers = locked(&self.followers);
        followers.iter().filter_map(Weak::upgrade).collect()
    }

    /// Who may be chosen now, among the newest members.
    pub fn facts(&self, now: Micros) -> Guard<Arc<Facts>> {
        let facts = self.facts.load();
        if facts.seen == self.signal.seen() && now < facts.valid_until {
            return facts;
        }
        drop(facts);
        self.renew_facts(now)
    }

    fn renew_facts(&self, now: Micros) -> Guard<Arc<Facts>> {
        let _computing = locked(&self.computing);
        let old = self.facts.load();
        let seen = self.signal.seen();
        if old.seen == seen && now < old.valid_until {
            return old;
        }
        let mut facts = Facts::compute(&self.current.load(), now, &[], seen);
        facts.level_joiners(now);
        facts.state = if facts.looks_like(&old) {
            old.state
        } else {
            self.next_state()
        };
        drop(old);
        self.facts.store(Arc::new(facts));
        self.facts.load()
    }

    /// Likewise, without those that a request has tried already.
    pub fn facts_without(&self, tried: &[MemberId], now: Micros) -> Facts {
        let seen = self.signal.seen();
        let members = self.current.load_full();
        let tried: Vec<u32> = tried.iter().filter_map(|id| members.index_of(id)).collect();
        let mut facts = Facts::compute(&members, now, &tried, seen);
        facts.state = self.next_state();
        facts
    }

    /// A number that no columns had before.
    fn next_state(&self) -> u64 {
        self.states.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Rises by one with each request that the host itself places.
    pub(crate) fn rotate(&self) -> u64 {
        self.rotation.fetch_add(1, Ordering::Relaxed)
    }

    /// Wakes when something changed that may make a member usable. Make the future, look, then wait.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.signal.changed()
    }

    pub(super) fn close_idle(&self) {
        for endpoint in &self.current.load().endpoints {
            endpoint.live.connections().close_idle();
        }
    }
}

impl Facts {
    /// Begins a request at a member.
    pub(crate) fn begin(&self, index: u32) -> InFlight {
        InFlight::begin(&self.members, index)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("members", self.current.load().deref())
            .finish_non_exhaustive()
    }
}

fn record(member: &snapshot::Member) -> decision::Member {
    decision::Member {
        id: member.id.to_string(),
        route: member.route.clone(),
        weight: member.weight,
        lb_set: member.lb_set,
        labels: member.labels.clone(),
    }
}
