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
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tracing::{info, warn};

use super::names::{Answer, Names, Unresolved};
use crate::members::{Live, MemberLive};

/// A TTL of 0 would ask for ever.
const SHORTEST: Duration = Duration::from_secs(1);

/// Records and lines of `/etc/hosts` that live for days are looked at again after this.
const LONGEST: Duration = Duration::from_secs(3600);

/// First pause after a failure; it doubles up to [`SLOWEST`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest pause between two tries of a name that does not resolve.
const SLOWEST: Duration = Duration::from_secs(30);

/// How often idle connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// How long the gateway's start waits for names.
const SETTLE: Duration = Duration::from_secs(5);

/// Resolves members' names and closes connections that idle too long, until the sender of
/// `changed` is gone. A new value there says that a reload was published. `settled` hears when every
/// name was tried once, or five seconds have passed: then the gateway may say that it is ready.
pub async fn run(live: Arc<Live>, changed: watch::Receiver<u64>, settled: oneshot::Sender<()>) {
    let resolver = Resolver::new(live, Names::from_system());
    resolver.run(changed, settled).await;
}

/// All names of members and when each is due.
pub(super) struct Resolver {
    live: Arc<Live>,
    names: Names,
    known: BTreeMap<Arc<str>, Name>,
}

/// What is known of one name.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) due: Instant,
    pub(super) failures: u32,
    /// Being resolved.
    asked: bool,
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
        }
    }

    pub(super) async fn run(
        mut self,
        mut changed: watch::Receiver<u64>,
        settled: oneshot::Sender<()>,
    ) {
        let mut lookups = JoinSet::new();
        self.follow();
        self.ask(&mut lookups);
        let _ = timeout(SETTLE, self.settle(&mut lookups)).await;
        // Nobody may be waiting any more.
        let _ = settled.send(());
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.ask(&mut lookups);
            let due = self.next_due();
            tokio::select! {
                told = changed.changed() => match told {
                    Ok(()) => self.follow(),
                    Err(_) => return,
                },
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

    async fn settle(&mut self, lookups: &mut Lookups) {
        while let Some(done) = lookups.join_next().await {
            if let Ok((name, result)) = done {
                self.learn(&name, result);
            }
        }
    }

    /// Takes over the members in service: new names are due at once, known ones are told to new members.
    fn follow(&mut self) {
        let named = named(&self.live);
        self.known.retain(|name, _| named.contains_key(name));
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
        let due = waiting.map(|name| name.due).min();
        due.unwrap_or_else(|| Instant::now() + LONGEST)
    }

    fn learn(&mut self, name: &Arc<str>, result: Result<Answer, Unresolved>) {
        let Some(known) = self.known.get_mut(name) else {
            return;
        };
        known.asked = false;
        match known.learn(result, Instant::now()) {
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

/// What a lookup has changed.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    None,
    First,
    Moved,
    Back,
    Lost(Unresolved),
}

impl Name {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            due: Instant::now(),
            failures: 0,
            asked: false,
        }
    }

    pub(super) fn learn(&mut self, result: Result<Answer, Unresolved>, now: Instant) -> News {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let doublings = (self.failures - 1).min(16);
                self.due = now + FIRST_RETRY.saturating_mul(1 << doublings).min(SLOWEST);
                return match self.failures {
                    1 => News::Lost(error),
                    _ => News::None,
                };
            }
        };
        self.due = now + answer.ttl.clamp(SHORTEST, LONGEST);
        let was_lost = std::mem::take(&mut self.failures) > 0;
        // Name servers rotate what they answer; that is no news, and no reason to move connections.
        let same = self.addresses.len() == answer.addresses.len()
            && self
                .addresses
                .iter()
                .all(|ip| answer.addresses.contains(ip));
        let first = self.addresses.is_empty();
        if !same {
            self.addresses = answer.addresses;
        }
        match (was_lost, first, same) {
            (true, ..) => News::Back,
            (false, true, _) => News::First,
            (false, false, false) => News::Moved,
            (false, false, true) => News::None,
        }
    }
}

fn named(live: &Live) -> Named {
    let mut named = Named::new();
    for pool in live.pools() {
        for endpoint in &pool.current().endpoints {
            let settings = &endpoint.settings;
            if settings.host.parse::<IpAddr>().is_err() {
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
