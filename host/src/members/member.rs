//! What is known of one member while it lives: counters, breaker, connections, addresses.
//!
//! Belongs to (balancer, member id), not to a generation: a reload replaces the
//! settings beside it and leaves this alone.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::{
    Admission, CLASSES, Clock, Connections, KnownNames, Micros, Reach, Transition,
    breaker::{Breaker, Harm, Ticket},
    clock::micros,
    signal::{Signal, locked},
    traffic::Traffic,
};
use crate::snapshot::{self, HealthCheck, MemberId, TenantName};

/// Live state of one member of one balancer.
#[derive(Debug)]
pub struct MemberLive {
    id: MemberId,
    tenant: TenantName,
    /// Its name within the tenant.
    balancer: Arc<str>,
    /// Of the id; places the member in consistent hashing.
    hash: u64,
    clock: Clock,
    signal: Arc<Signal>,
    elected: AtomicU64,
    busy: AtomicU32,
    failures: AtomicU64,
    answers: [AtomicU64; CLASSES],
    consecutive: AtomicU32,
    latency_us: AtomicU32,
    traffic: Traffic,
    breaker: Mutex<Breaker>,
    /// `Breaker::blocks`, readable without its lock: every request begins with it.
    blocks: AtomicU32,
    /// `Breaker::wants_good_news`, likewise: in quiet times successes take no lock.
    alarmed: AtomicBool,
    /// When the byte columns were last put level with the others'; see `facts`.
    levelled: AtomicU64,
    reach: Option<Arc<Reach>>,
    connections: Connections,
    addresses: ArcSwap<Arc<[SocketAddr]>>,
}

/// What `switchyard status` tells of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberStatus {
    /// Its breaker.
    pub admission: Admission,
    /// When it came into that state, milliseconds since 1970.
    pub since_ms: u64,
    /// Times chosen.
    pub elected: u64,
    /// Requests under way.
    pub busy: u32,
    /// From the member, bytes, never decayed.
    pub bytes_in: u64,
    /// To the member, bytes, never decayed.
    pub bytes_out: u64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Failures so far.
    pub failures: u64,
    /// Final answers by the first digit of their status.
    pub answers: [u64; CLASSES],
    /// Moving average of the first byte's latency.
    pub latency_us: u32,
    /// Connections open or being opened.
    pub connections: u32,
    /// Those that wait for a request.
    pub idle_connections: usize,
    /// Where it is; empty = its name does not resolve.
    pub addresses: Arc<[SocketAddr]>,
}

/// Of whom a member is to be part.
pub(super) struct Joining<'a> {
    pub tenant: &'a TenantName,
    pub balancer: &'a Arc<str>,
    pub settings: &'a snapshot::Member,
    pub workers: usize,
    pub names: &'a KnownNames,
    pub reach: Option<&'a Arc<Reach>>,
    pub clock: Clock,
    pub signal: &'a Arc<Signal>,
    /// The pool is in service already.
    pub late: bool,
}

impl MemberLive {
    pub(super) fn new(joining: &Joining<'_>) -> Self {
        let settings = joining.settings;
        let addresses = joining.names.find(&settings.host, settings.port);
        Self {
            id: settings.id.clone(),
            tenant: joining.tenant.clone(),
            balancer: Arc::clone(joining.balancer),
            hash: fnv1a(settings.id.0.as_bytes()),
            clock: joining.clock,
            signal: Arc::clone(joining.signal),
            elected: AtomicU64::new(0),
            busy: AtomicU32::new(0),
            failures: AtomicU64::new(0),
            answers: Default::default(),
            consecutive: AtomicU32::new(0),
            latency_us: AtomicU32::new(0),
            traffic: Traffic::default(),
            breaker: Mutex::new(Breaker::new(joining.clock.now(), joining.late)),
            blocks: AtomicU32::new(0),
            alarmed: AtomicBool::new(false),
            levelled: AtomicU64::new(0),
            reach: joining.reach.cloned(),
            connections: Connections::new(
                joining.workers,
                settings.max_connections,
                Arc::clone(joining.signal),
            ),
            addresses: ArcSwap::from_pointee(addresses),
        }
    }

    /// Whose balancer it is in, and what that is called there.
    pub fn balancer(&self) -> (&TenantName, &Arc<str>) {
        (&self.tenant, &self.balancer)
    }

    /// Its identity within the balancer.
    pub fn id(&self) -> &MemberId {
        &self.id
    }

    /// Where it may be; `None` = anywhere.
    pub fn reach(&self) -> Option<&Arc<Reach>> {
        self.reach.as_ref()
    }

    /// Its connections over all workers.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Where to connect; empty = the name does not resolve, which counts as refused.
    pub fn addresses(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.addresses.load())
    }

    /// Set by whoever resolves names; literal addresses are set from the start.
    pub fn set_addresses(&self, addresses: Vec<SocketAddr>) {
        let found = !addresses.is_empty();
        let before = self.addresses.swap(Arc::new(addresses.into()));
        if found && before.is_empty() {
            let now = self.clock.now();
            self.tell(|breaker| {
                breaker.located(now);
                None
            });
        }
    }

    /// Whether it may be given requests, as far as it alone is concerned.
    pub fn admission(&self, now: Micros) -> Admission {
        locked(&self.breaker).admission(now)
    }

    /// Requests under way.
    pub fn busy(&self) -> u32 {
        self.busy.load(Relaxed)
    }

    /// Times chosen.
    pub fn elected(&self) -> u64 {
        self.elected.load(Relaxed)
    }

    /// Moving average of the first byte's latency in microseconds; 0 = no sample yet.
    pub fn latency_us(&self) -> u32 {
        self.latency_us.load(Relaxed)
    }

    /// Failures in a row.
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive.load(Relaxed)
    }

    /// Bytes from and to the member as policies compare them; see the balancer's `traffic_half_life`.
    pub fn traffic(&self, now: Micros) -> (u64, u64) {
        self.traffic.columns(now)
    }

    /// The verdict of an active check. Whoever checks knows the cause, and logs a transition.
    pub fn checked(&self, pass: bool, check: &HealthCheck) -> Option<Transition> {
        let now = self.clock.now();
        self.tell(|breaker| breaker.checked(pass, check.rise, check.fall, now))
    }

    /// For `switchyard status`.
    pub fn status(&self) -> MemberStatus {
        let now = self.clock.now();
        let (admission, since) = {
            let breaker = locked(&self.breaker);
            (breaker.admission(now), breaker.since())
        };
        let (bytes_in, bytes_out) = self.traffic.totals();
        MemberStatus {
            admission,
            since_ms: Clock::wall_ms().saturating_sub(now.saturating_sub(since) / 1_000),
            elected: self.elected(),
            busy: self.busy(),
            bytes_in,
            bytes_out,
            consecutive_failures: self.consecutive_failures(),
            failures: self.failures.load(Relaxed),
            answers: std::array::from_fn(|class| self.answers[class].load(Relaxed)),
            latency_us: self.latency_us(),
            connections: self.connections.open(),
            idle_connections: self.connections.idle(),
            addresses: self.addresses(),
        }
    }

    /// Counts a request that begins.
    pub(super) fn begin(&self) -> Ticket {
        self.elected.fetch_add(1, Relaxed);
        self.busy.fetch_add(1, Relaxed);
        Ticket::ordinary(self.blocks.load(Relaxed))
    }

    /// Counts the one trial that is due, if it is and nobody was faster.
    pub(super) fn begin_trial(&self) -> Option<Ticket> {
        let now = self.clock.now();
        let ticket = locked(&self.breaker).try_trial(now)?;
        self.signal.raise();
        self.elected.fetch_add(1, Relaxed);
        self.busy.fetch_add(1, Relaxed);
        Some(ticket)
    }

    pub(super) fn end(&self, ticket: Ticket) {
        self.busy.fetch_sub(1, Relaxed);
        if ticket.is_trial() {
            let now = self.clock.now();
            self.tell(|breaker| {
                breaker.abandoned(ticket, now);
                None
            });
        }
    }

    pub(super) fn received(&self, bytes: u64) {
        self.traffic.received(bytes, || self.clock.now());
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.traffic.sent(bytes, || self.clock.now());
    }

    /// A final answer of this status began.
    pub(super) fn answered(&self, status: u16) {
        let class = usize::from(status / 100);
        let class = self.answers.get(class).unwrap_or(&self.answers[0]);
        class.fetch_add(1, Relaxed);
    }

    pub(super) fn succeeded(&self, ticket: Ticket, first_byte: Duration) {
        let sample = u32::try_from(micros(first_byte)).unwrap_or(u32::MAX).max(1);
        self.latency_us
            .store(moved(self.latency_us(), sample), Relaxed);
        if self.consecutive_failures() != 0 {
            self.consecutive.store(0, Relaxed);
        }
        if !self.alarmed.load(Relaxed) {
            return;
        }
        let now = self.clock.now();
        if self
            .tell(|breaker| breaker.succeeded(ticket, now))
            .is_some()
        {
            info!(tenant = %self.tenant, balancer = %self.balancer, member = %self.id, "Member serves again");
        }
    }

    pub(super) fn failed(&self, ticket: Ticket, harm: Harm, retry: Duration, cause: Cause) {
        self.failures.fetch_add(1, Relaxed);
        self.consecutive.fetch_add(1, Relaxed);
        let now = self.clock.now();
        if self
            .tell(|breaker| breaker.failed(ticket, harm, now, micros(retry)))
            .is_some()
        {
            warn!(tenant = %self.tenant, balancer = %self.balancer, member = %self.id, %cause, ?retry, "Member is blocked");
        }
    }

    /// A reload brought new settings; `old` is `None` if it had left the pool.
    pub(super) fn reconfigured(&self, old: Option<&snapshot::Member>, new: &snapshot::Member) {
        use snapshot::Status::{Disabled, Stopped};
        self.connections.set_limit(new.max_connections);
        let served_nothing = old.is_none_or(|old| matches!(old.status, Disabled | Stopped));
        if served_nothing && !matches!(new.status, Disabled | Stopped) {
            let now = self.clock.now();
            locked(&self.breaker).returned(now);
        }
        if !new.keepalive {
            self.connections.close_idle();
        }
    }

    /// What the balancer says about all its members.
    pub(super) fn in_balancer(&self, balancer: &snapshot::Balancer) {
        let now = self.clock.now();
        self.traffic
            .set_half_life(micros(balancer.traffic_half_life), now);
        if balancer.health.is_none() {
            self.tell(|breaker| {
                breaker.unchecked(now);
                None
            });
        }
    }

    /// Admission and the beginning of its ramp, in one look.
    pub(super) fn standing(&self, now: Micros) -> (Admission, Option<Micros>) {
        let breaker = locked(&self.breaker);
        (breaker.admission(now), breaker.ramp_from())
    }

    /// Once for each ramp: raises the byte columns to these.
    pub(super) fn level(&self, ramp_from: Micros, bytes: (u64, u64), now: Micros) {
        if self.levelled.swap(ramp_from, Relaxed) != ramp_from {
            self.traffic.raise_to(bytes.0, bytes.1, now);
        }
    }

    pub(super) fn is_level(&self, ramp_from: Micros) -> bool {
        self.levelled.load(Relaxed) == ramp_from
    }

    /// The weighted score of this member for a key: rendezvous hashing, where each
    /// member draws a number from (key, member) and the best draw wins. A member
    /// that leaves moves its own keys and no others. `-weight / ln(u)` makes the
    /// chance of the best draw proportional to the weight.
    pub(crate) fn draw(&self, key: u64, weight: u32) -> f64 {
        let mixed = scramble(self.hash ^ scramble(key));
        // 53 bits make a uniform number; half a step keeps it off 0 and 1.
        let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(weight) / uniform.ln()
    }

    fn tell(&self, event: impl FnOnce(&mut Breaker) -> Option<Transition>) -> Option<Transition> {
        let mut breaker = locked(&self.breaker);
        let before = breaker.shape();
        let transition = event(&mut breaker);
        let changed = breaker.shape() != before;
        self.blocks.store(breaker.blocks(), Relaxed);
        self.alarmed.store(breaker.wants_good_news(), Relaxed);
        drop(breaker);
        if changed {
            self.signal.raise();
        }
        transition
    }
}

/// Why a member was blocked, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Failure(crate::decision::Failure),
    Status(u16),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(failure) => f.write_str(failure.word()),
            Self::Status(status) => write!(f, "status_{status}"),
        }
    }
}

/// An eighth of each sample: a change shows after a handful of answers, one outlier does not.
fn moved(average: u32, sample: u32) -> u32 {
    if average == 0 {
        return sample;
    }
    let (average, sample) = (u64::from(average), u64::from(sample));
    u32::try_from((average * 7 + sample) / 8).unwrap_or(u32::MAX)
}

/// FNV-1a: the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: spreads every bit over all.
fn scramble(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
