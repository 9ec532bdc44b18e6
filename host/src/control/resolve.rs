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
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

use super::names::{Answer, Names, Unresolved};
use crate::{
    members::{Live, MemberLive},
    snapshot::Snapshot,
};

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

/// How long a generation waits for the names of its members.
const SETTLE: Duration = Duration::from_secs(5);

/// Resolves members' names and closes connections that idle too long, until the sender of
/// `changed` is gone. A new value there says that a reload was published.
pub async fn run(live: Arc<Live>, changed: watch::Receiver<u64>, expected: Expected) {
    let resolver = Resolver::new(live, Names::from_system());
    resolver.run(changed, expected).await;
}

/// Announces members that are to come, so that they have addresses when they do.
#[derive(Debug)]
pub struct Announcer(mpsc::UnboundedSender<Announced>);

/// What an [`Announcer`] says, for [`run`].
#[derive(Debug)]
pub struct Expected(mpsc::UnboundedReceiver<Announced>);

#[derive(Debug)]
struct Announced {
    names: BTreeSet<Arc<str>>,
    /// Whom to ask; empty = the system's.
    servers: Vec<SocketAddr>,
    until: Instant,
    /// Dropped once all of them were tried, or their time is over.
    _waits: oneshot::Sender<()>,
}

/// An announcer and who hears it.
pub fn announcer() -> (Announcer, Expected) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Announcer(sender), Expected(receiver))
}

impl Announcer {
    /// Waits until every name of a member was tried once, or five seconds are over: then those
    /// without an answer have no address yet. Blocks the thread.
    pub fn announce(&self, next: &Snapshot) {
        // Nothing is ever sent, and the end is what counts.
        let _ = self.begin(next).blocking_recv();
    }

    /// The answer ends when there is nothing more to wait for.
    pub(super) fn begin(&self, next: &Snapshot) -> oneshot::Receiver<()> {
        let members = next.balancers.values().flat_map(|b| &b.members);
        let names: BTreeSet<Arc<str>> = members
            .filter(|member| is_name(&member.host))
            .map(|member| member.host.as_str().into())
            .collect();
        let (waits, tried) = oneshot::channel();
        let announced = Announced {
            names,
            servers: next.name_servers.clone(),
            until: Instant::now() + SETTLE,
            _waits: waits,
        };
        if !announced.names.is_empty() {
            // Where nobody hears it, there is nothing to wait for either.
            let _ = self.0.send(announced);
        }
        tried
    }
}

/// All names of members and when each is due.
pub(super) struct Resolver {
    live: Arc<Live>,
    names: Names,
    known: BTreeMap<Arc<str>, Name>,
    announced: Vec<Announced>,
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

    fn is_untried(&self) -> bool {
        self.addresses.is_empty() && self.failures == 0
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

fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
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
