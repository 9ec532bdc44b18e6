//! Members' names, resolved again at their TTL, and the end of idle connections.
//!
//! A name that cannot be resolved keeps the addresses it had: a DNS server that is
//! down must not take down what it names. `/etc/hosts` and `/etc/resolv.conf` are
//! read again when they change.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

pub use super::announce::{Announcer, Expected, announcer};
use super::{
    announce::{Announced, Word, is_name},
    known::{LONGEST, Name, News},
    names::{Answer, Names, Unresolved},
};
use crate::members::{IdleConnection, Live, MemberLive};

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// Resolves members' names and closes connections that idle too long, until the sender of
/// `changed` is gone. A new value there says that a reload was published.
pub async fn run(live: Arc<Live>, changed: watch::Receiver<u64>, expected: Expected) {
    let resolver = Resolver::new(live, Names::from_system());
    resolver.run(changed, expected).await;
}

/// All names of members and when each is due.
pub(super) struct Resolver {
    live: Arc<Live>,
    /// As the generation in service wants it.
    names: Names,
    known: BTreeMap<Arc<str>, Name>,
    next: Option<Next>,
}

/// A generation that was announced and is not in service. All that it brings goes with it, for
/// it may be refused.
struct Next {
    /// Where it wants others than the ones in service.
    names: Option<Names>,
    /// Names that only it has.
    own: BTreeSet<Arc<str>>,
    untried: BTreeSet<Arc<str>>,
    until: Instant,
    hurried: BTreeSet<Arc<str>>,
    hurry_until: Instant,
    /// Dropped once all were tried, or their time is over.
    waits: Option<oneshot::Sender<()>>,
}

/// Members by name.
type Named = BTreeMap<Arc<str>, Vec<(Arc<MemberLive>, u16)>>;

/// A name, who was asked, and what the answer is.
type Looked = (Arc<str>, Names, Result<Answer, Unresolved>);

type Lookups = JoinSet<Looked>;

impl Resolver {
    pub(super) fn new(live: Arc<Live>, names: Names) -> Self {
        Self {
            live,
            names,
            known: BTreeMap::new(),
            next: None,
        }
    }

    pub(super) async fn run(mut self, mut changed: watch::Receiver<u64>, mut expected: Expected) {
        let mut lookups = JoinSet::new();
        self.follow();
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask(&mut lookups);
            if let Some(next) = &mut self.next {
                next.expire(Instant::now());
            }
            let due = self.next_due();
            tokio::select! {
                told = changed.changed() => match told {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
                Some(word) = expected.0.recv() => {
                    // The writer says this after what it has published: first things first.
                    if changed.has_changed().unwrap_or(false) {
                        changed.mark_unchanged();
                        self.follow();
                    }
                    match word {
                        Word::Next(announced) => self.expect(announced),
                        Word::Abandoned => self.abandon(),
                    }
                }
                Some(Ok(looked)) = lookups.join_next() => self.learn(looked),
                () = sleep_until(due) => {}
                _ = sweep.tick() => {
                    sweep_idle(&self.live);
                    if self.names.renew() {
                        let now = Instant::now();
                        self.known.values_mut().for_each(|name| name.restart(now));
                    }
                }
            }
        }
    }

    /// Takes in names of members that are to come. Those that were tried before, with or without
    /// success, are nothing to wait for, nor are those in service that others will be asked for.
    fn expect(&mut self, announced: Announced) {
        self.abandon();
        let names = self.names.others(&announced.servers);
        let mut next = Next {
            own: BTreeSet::new(),
            untried: BTreeSet::new(),
            until: announced.until,
            hurried: announced.hurried,
            hurry_until: announced.hurry_until,
            waits: Some(announced.waits),
            names,
        };
        for name in announced.names {
            match self.known.get(&name) {
                Some(known) if known.is_untried() && next.names.is_none() => {
                    next.untried.insert(name);
                }
                Some(_) => {}
                None => {
                    self.known.insert(Arc::clone(&name), Name::new());
                    next.own.insert(Arc::clone(&name));
                    next.untried.insert(name);
                }
            }
        }
        next.look();
        self.next = Some(next);
    }

    /// What was announced does not come.
    fn abandon(&mut self) {
        let Some(next) = self.next.take() else {
            return;
        };
        self.known.retain(|name, _| !next.own.contains(name));
        let known = &self.known;
        self.live.names().retain(|name| known.contains_key(name));
    }

    /// Takes over the members in service and their name servers: new names are due at once, known
    /// ones are told to new members.
    fn follow(&mut self) {
        if let Some(Next { names, own, .. }) = self.next.take()
            && let Some(names) = names
        {
            self.names = names;
            let now = Instant::now();
            let others = self
                .known
                .iter_mut()
                .filter(|(name, _)| !own.contains(*name));
            others.for_each(|(_, known)| known.restart(now));
        }
        let named = named(&self.live);
        self.known.retain(|name, _| named.contains_key(name));
        let known = &self.known;
        self.live.names().retain(|name| known.contains_key(name));
        for (name, members) in named {
            match self.known.get(&name) {
                Some(known) => tell(&members, &known.addresses),
                None => {
                    self.known.insert(name, Name::new());
                }
            }
        }
    }

    /// Starts a lookup for every name that is due.
    fn ask(&mut self, lookups: &mut Lookups) {
        let now = Instant::now();
        for (name, known) in &mut self.known {
            if known.asked || known.due > now {
                continue;
            }
            known.asked = true;
            let names = asked_for(name, &self.names, self.next.as_ref()).clone();
            let name = Arc::clone(name);
            lookups.spawn(async move {
                let result = names.lookup(&name).await;
                (name, names, result)
            });
        }
    }

    fn next_due(&self) -> Instant {
        let waiting = self.known.values().filter(|name| !name.asked);
        let end = self.next.as_ref().and_then(Next::end);
        let due = waiting.map(|name| name.due).chain(end).min();
        due.unwrap_or_else(|| Instant::now() + LONGEST)
    }

    fn learn(&mut self, (name, asked, result): Looked) {
        if !asked.is(asked_for(&name, &self.names, self.next.as_ref())) {
            // Too late: others are asked since.
            return;
        }
        let Some(known) = self.known.get_mut(&name) else {
            return;
        };
        known.asked = false;
        let news = known.learn(result, Instant::now());
        self.live.names().learn(&name, &known.addresses);
        if let Some(next) = &mut self.next {
            next.tried(&name);
        }
        match news {
            News::None => return,
            News::Lost(error) => {
                let kept = known.addresses.len();
                warn!(name = %name, kept, %error, "A member's name does not resolve");
                return;
            }
            News::Back => {
                info!(name = %name, addresses = known.listed(), "A member's name resolves again");
            }
            News::Moved => {
                if let Some(moves) = known.moved(Instant::now()) {
                    info!(name = %name, addresses = known.listed(), moves, "A member's name has new addresses");
                }
            }
            News::First => {}
        }
        // Also where they are the same: the members may be new.
        let members = named(&self.live).remove(&name).unwrap_or_default();
        tell(&members, &known.addresses);
    }
}

impl Next {
    fn tried(&mut self, name: &str) {
        self.untried.remove(name);
        self.look();
    }

    fn expire(&mut self, now: Instant) {
        if self.hurry_until <= now && !self.hurried.is_empty() {
            let hurried = std::mem::take(&mut self.hurried);
            self.untried.retain(|name| !hurried.contains(name));
            self.look();
        }
        if self.until <= now {
            self.waits = None;
        }
    }

    /// When nobody waits longer, where somebody does.
    fn end(&self) -> Option<Instant> {
        let end = match self.hurried.is_empty() {
            true => self.until,
            false => self.until.min(self.hurry_until),
        };
        self.waits.is_some().then_some(end)
    }

    fn look(&mut self) {
        if self.untried.is_empty() {
            self.waits = None;
        }
    }
}

/// Whom to ask for a name.
fn asked_for<'a>(name: &str, in_service: &'a Names, next: Option<&'a Next>) -> &'a Names {
    let own = next.filter(|next| next.own.contains(name));
    own.and_then(|next| next.names.as_ref())
        .unwrap_or(in_service)
}

fn named(live: &Live) -> Named {
    let mut named = Named::new();
    for pool in live.pools() {
        for endpoint in &pool.current().endpoints {
            let settings = &endpoint.settings;
            if is_name(&settings.host) {
                let members = named.entry(settings.host.as_str().into()).or_default();
                members.push((Arc::clone(&endpoint.live), settings.port));
            }
        }
    }
    named
}

/// That is where they are from now on.
pub(super) fn tell(members: &[(Arc<MemberLive>, u16)], addresses: &[IpAddr]) {
    for (member, port) in members {
        let old = member.addresses();
        let new = addresses.iter().map(|ip| SocketAddr::new(*ip, *port));
        if old.iter().copied().eq(new.clone()) {
            continue;
        }
        let new: Vec<_> = new.collect();
        let left = old.iter().any(|address| !new.contains(address));
        member.set_addresses(new);
        if left {
            // Those that are kept lead to where the member no longer is. Servers that name some
            // addresses of many, others each time, must not cost the connections to the rest.
            let addresses = member.addresses();
            let stays = |kept: &IdleConnection| addresses.contains(&kept.address);
            member.connections().retain(stays);
        }
    }
}

/// Closes connections that have idled for as long as their member allows.
fn sweep_idle(live: &Live) {
    let now = Instant::now();
    let mut closed: HashMap<Arc<str>, usize> = HashMap::new();
    for pool in live.pools() {
        for endpoint in &pool.current().endpoints {
            let idle = endpoint.settings.idle_timeout;
            let expired = endpoint.live.connections().expire(now, idle);
            if expired > 0 {
                *closed.entry(Arc::clone(pool.name())).or_default() += expired;
            }
        }
    }
    for (balancer, connections) in closed {
        tracing::debug!(%balancer, connections, "Idle connections closed");
    }
}
