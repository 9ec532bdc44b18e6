//! Permits for connections to one member, and the idle connections it keeps.
//!
//! `max_connections` counts over all workers. A request that finds all of them
//! taken reclaims an idle one of another worker, or waits in line. Sockets are
//! opened, looked at and used by `upstream`; here they only rest.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst, fence},
    },
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{NoSocket, Reach, Socket, idle::IdleSlots, signal::Signal};
use crate::snapshot::Member;

/// A connection that waits for its next request.
#[derive(Debug)]
pub struct IdleConnection {
    /// Registered with the runtime of the worker that opened it.
    pub stream: TcpStream,
    /// Its empty read buffer, kept for its allocation.
    pub buffer: BytesMut,
    /// Its share of `max_connections`.
    pub permit: Permit,
    /// When its last exchange ended.
    pub idle_since: Instant,
    /// Whom it reaches; one of the member's addresses at the time.
    pub address: SocketAddr,
    /// Exchanges so far.
    pub served: u64,
}

/// What a request may send over.
#[derive(Debug)]
pub enum Lease<C = IdleConnection> {
    /// A kept connection of this worker. Look at it before use; if it is dead, drop it and acquire again.
    Kept(C),
    /// Nothing kept: connect, and let the permit live as long as the connection.
    Open(Permit),
}

/// Every connection the member may have is busy and stayed so for the acquire timeout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all {max} connections to the member stayed busy for {waited:?}")]
pub struct Full {
    /// The member's `max_connections`.
    pub max: u32,
    /// Its `acquire_timeout`.
    pub waited: Duration,
}

/// A limit that nobody reaches.
const UNLIMITED: u32 = u32::MAX;

/// Counts connections of one member.
///
/// No wake-up may be lost between somebody who frees (writes `taken`, reads
/// `waiting`) and somebody who joins the line (writes `waiting`, reads `taken`):
/// hence sequential consistency. Everything freed while anybody waits notifies
/// once, also where the one who was notified before has not run yet.
#[derive(Debug)]
struct Gate {
    taken: AtomicU32,
    limit: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
    signal: Arc<Signal>,
}

impl Gate {
    fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let limit = self.limit.load(SeqCst);
        let below = |taken: u32| (taken < limit).then_some(taken + 1);
        let before = self.taken.fetch_update(SeqCst, SeqCst, below).ok()?;
        if before + 1 >= limit {
            self.signal.raise();
        }
        Some(Permit {
            gate: Arc::clone(self),
            socket: None,
        })
    }

    fn wake_one(&self) {
        if self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Whether no further permit can be had, so that idle connections matter to others.
    fn is_exhausted(&self) -> bool {
        self.taken.load(SeqCst) >= self.limit.load(SeqCst)
    }
}

/// One of a member's `max_connections`. Given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    /// Its share of the tenant's connections.
    socket: Option<Socket>,
}

impl Permit {
    /// Counts it among its tenant's connections too, where there is a tenant.
    pub fn count_for(&mut self, reach: Option<&Arc<Reach>>) -> Result<(), NoSocket> {
        if let (None, Some(reach)) = (&self.socket, reach) {
            self.socket = Some(reach.open()?);
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let gate = &self.gate;
        let before = gate.taken.fetch_sub(1, SeqCst);
        if before >= gate.limit.load(SeqCst) {
            gate.signal.raise();
        }
        gate.wake_one();
    }
}

/// A place in the line of those who wait for a permit.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    /// Also whether nobody waited before.
    fn join(gate: &'a Gate) -> (Self, bool) {
        let before = gate.waiting.fetch_add(1, SeqCst);
        (Self(gate), before == 0)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

/// Something that rests in [`Connections`] and holds a permit.
pub trait Kept {
    /// Closes it and returns its permit.
    fn into_permit(self) -> Permit;
    /// Since when it rests.
    fn idle_since(&self) -> Instant;
}

impl Kept for IdleConnection {
    fn into_permit(self) -> Permit {
        self.permit
    }

    fn idle_since(&self) -> Instant {
        self.idle_since
    }
}

/// Connections of one member over all workers.
#[derive(Debug)]
pub struct Connections<C = IdleConnection> {
    gate: Arc<Gate>,
    idle: IdleSlots<C>,
}

impl<C: Kept> Connections<C> {
    pub(super) fn new(workers: usize, limit: Option<u32>, signal: Arc<Signal>) -> Self {
        Self {
            gate: Arc::new(Gate {
                taken: AtomicU32::new(0),
                limit: AtomicU32::new(limit.unwrap_or(UNLIMITED)),
                waiting: AtomicU32::new(0),
                freed: Notify::new(),
                signal,
            }),
            idle: IdleSlots::new(workers),
        }
    }

    /// A kept connection of this worker, else leave to open one. At the member's limit it
    /// reclaims an idle connection of another worker, and otherwise waits at most `acquire_timeout`.
    pub async fn acquire(&self, worker: usize, settings: &Member) -> Result<Lease<C>, Full> {
        self.lease(worker, settings, true).await
    }

    /// Like [`Self::acquire`], but never a kept connection: for the try after one that died.
    pub async fn acquire_fresh(&self, worker: usize, settings: &Member) -> Result<Permit, Full> {
        Ok(match self.lease(worker, settings, false).await? {
            Lease::Open(permit) => permit,
            Lease::Kept(connection) => connection.into_permit(),
        })
    }

    async fn lease(&self, worker: usize, settings: &Member, kept: bool) -> Result<Lease<C>, Full> {
        // Nobody overtakes those who wait.
        if self.gate.waiting.load(SeqCst) == 0
            && let Some(lease) = self.try_lease(worker, kept)
        {
            return Ok(lease);
        }
        let full = Full {
            max: self.gate.limit.load(SeqCst),
            waited: settings.acquire_timeout,
        };
        let deadline = Instant::now() + settings.acquire_timeout;
        let (_place, mut may_try) = Waiting::join(&self.gate);
        loop {
            let freed = self.gate.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            // Tried only once in line, or a permit freed in between would wake nobody.
            if may_try && let Some(lease) = self.try_lease(worker, kept) {
                return Ok(lease);
            }
            if timeout_at(deadline, freed).await.is_err() {
                return self.try_lease(worker, kept).ok_or(full);
            }
            may_try = true;
        }
    }

    fn try_lease(&self, worker: usize, kept: bool) -> Option<Lease<C>> {
        if kept && let Some(connection) = self.idle.take(worker) {
            self.idle_changed();
            return Some(Lease::Kept(connection));
        }
        if let Some(permit) = self.gate.try_take() {
            return Some(Lease::Open(permit));
        }
        let stolen = self.idle.steal_any(worker)?;
        self.idle_changed();
        Some(Lease::Open(stolen.into_permit()))
    }

    /// Keeps a connection for this worker's next request.
    pub fn put(&self, worker: usize, connection: C) {
        let over = self.gate.taken.load(SeqCst) > self.gate.limit.load(SeqCst);
        if over {
            // The limit was lowered: this one is too many.
            return;
        }
        self.idle.put(worker, connection.idle_since(), connection);
        self.idle_changed();
        // The idle slots are behind locks of their own.
        fence(SeqCst);
        self.gate.wake_one();
    }

    /// Closes connections idle for at least `max_idle`; returns how many.
    pub fn expire(&self, now: Instant, max_idle: Duration) -> usize {
        self.idle.expire(now, max_idle)
    }

    /// Closes idle connections that are not to be kept; returns how many.
    pub fn retain(&self, keep: impl Fn(&C) -> bool) -> usize {
        self.idle.retain(keep)
    }

    /// Closes an idle connection, the oldest of some worker. False: there is none.
    pub fn close_one(&self) -> bool {
        let closed = self.idle.steal_any(0).is_some();
        if closed {
            self.idle_changed();
        }
        closed
    }

    /// Closes every idle connection.
    pub fn close_idle(&self) -> usize {
        self.idle.clear()
    }

    /// Connections that wait for a request, over all workers.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Connections open or being opened, over all workers.
    pub fn open(&self) -> u32 {
        self.gate.taken.load(SeqCst)
    }

    /// Whether a request would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.gate.is_exhausted() && self.idle.is_empty()
    }

    pub(super) fn set_limit(&self, limit: Option<u32>) {
        let limit = limit.unwrap_or(UNLIMITED);
        if self.gate.limit.swap(limit, SeqCst) != limit {
            self.gate.signal.raise();
            self.gate.freed.notify_waiters();
        }
    }

    fn idle_changed(&self) {
        if self.gate.is_exhausted() {
            self.gate.signal.raise();
        }
    }
}
