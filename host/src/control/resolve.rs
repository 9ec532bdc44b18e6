//! Members' names, resolved again at their TTL, and the end of idle connections.
//!
//! A name that cannot be resolved keeps the addresses it had: a DNS server that is
//! down must not take down what it names. `/etc/hosts` and `/etc/resolv.conf` are
//! read again when they change.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

pub use super::announce::{Announcer, Expected, announcer};
use super::{
    announce::{Announced, is_name},
    known::{LONGEST, Name, News},
    names::{Answer, Names, Unresolved},
};
use crate::members::{Live, MemberLive};

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
    names: Names,
    known: BTreeMap<Arc<str>, Name>,
    announced: Vec<Announced>,
}

/// Members by name.
type Named = BTreeMap<Arc<str>, Vec<(Arc<MemberLive>, u16)>>;

type Lookups = JoinSet<(Arc<str>, Result<Answer, Unresolved>)>;

impl Resolver {
    pub(super) fn new(live: Arc<Live>, names: Names) -> Self {
        Self {
            live,
            names,
            known: BTreeMap::new(),
            announced: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, mut changed: watch::Receiver<u64>, mut expected: Expected) {
        let mut lookups = JoinSet::new();
        self.follow();
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask(&mut lookups);
            let now = Instant::now();
            self.announced.retain(|announced| announced.until > now);
            let due = self.next_due();
            tokio::select! {
                told = changed.changed() => match told {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
                Some(announced) = expected.0.recv() => self.expect(announced),
                Some(Ok((name, result))) = lookups.join_next() => self.learn(&name, result),
                () = sleep_until(due) => {}
                _ = sweep.tick() => {
                    sweep_idle(&self.live);
                    if self.names.renew() {
                        self.known.values_mut().for_each(|name| name.due = Instant::now());
                    }
                }
            }
        }
    }

    /// Takes in names of members that are to come. Those that were tried before, with or without
    /// success, are nothing to wait for.
    fn expect(&mut self, mut announced: Announced) {
        if self.names.ask(&announced.servers) {
            self.known
                .values_mut()
                .for_each(|name| name.due = Instant::now());
        }
        announced.names.retain(|name| match self.known.get(name) {
            Some(known) => known.is_untried(),
            None => {
                self.known.insert(Arc::clone(name), Name::new());
                true
            }
        });
        if !announced.names.is_empty() {
            self.announced.push(announced);
        }
    }

    /// Takes over the members in service: new names are due at once, known ones are told to new members.
    fn follow(&mut self) {
        let named = named(&self.live);
        let awaited = |name: &str| self.announced.iter().any(|a| a.names.contains(name));
        self.known
            .retain(|name, _| named.contains_key(name) || awaited(name));
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
            let (names, name) = (self.names.clone(), Arc::clone(name));
            lookups.spawn(async move {
                let result = names.lookup(&name).await;
                (name, result)
            });
        }
    }

    fn next_due(&self) -> Instant {
        let waiting = self.known.values().filter(|name| !name.asked);
        let ends = self.announced.iter().map(|announced| announced.until);
        let due = waiting.map(|name| name.due).chain(ends).min();
        due.unwrap_or_else(|| Instant::now() + LONGEST)
    }

    fn learn(&mut self, name: &Arc<str>, result: Result<Answer, Unresolved>) {
        let Some(known) = self.known.get_mut(name) else {
            return;
        };
        known.asked = false;
        let news = known.learn(result, Instant::now());
        self.live.names().learn(name, &known.addresses);
        self.announced.retain_mut(|announced| {
            announced.names.remove(name);
            !announced.names.is_empty()
        });
        match news {
            News::None => return,
            News::Lost(error) => {
                let kept = known.addresses.len();
                warn!(name = %name, kept, %error, "A member's name does not resolve");
                return;
            }
            News::Back => {
                info!(name = %name, addresses = ?known.addresses, "A member's name resolves again");
            }
            News::Moved => {
                info!(name = %name, addresses = ?known.addresses, "A member's name has new addresses");
            }
            News::First => {}
        }
        // Also where they are the same: the members may be new.
        let members = named(&self.live).remove(name).unwrap_or_default();
        tell(&members, &known.addresses);
    }
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

fn tell(members: &[(Arc<MemberLive>, u16)], addresses: &[IpAddr]) {
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
            // Kept connections lead to where the member no longer is.
            member.connections().close_idle();
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
