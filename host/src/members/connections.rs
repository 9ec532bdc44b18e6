//! Permits for connections to one member, and the idle connections it keeps.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{net::TcpStream, time::Instant};

use crate::snapshot::Member;

/// A connection that waits for its next request.
#[derive(Debug)]
pub struct IdleConnection {
    /// Registered with the runtime of the worker that opened it.
    pub stream: TcpStream,
    /// Its empty read buffer, kept for its allocation.
    pub buffer: BytesMut,
    /// Its share of `max_connections`; `None` where there is no limit.
    pub permit: Option<Permit>,
    /// When its last exchange ended.
    pub idle_since: Instant,
    /// Whom it reaches; one of the member's addresses at the time.
    pub address: SocketAddr,
    /// Exchanges so far.
    pub served: u64,
}

/// One of a member's `max_connections`. Given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _todo: (),
}

/// What a request may send over.
#[derive(Debug)]
pub enum Lease {
    /// A kept connection of this worker. Look at it before use; if it is dead, drop it and acquire again.
    Kept(IdleConnection),
    /// Nothing kept: connect, and let the permit (if there is a limit) live as long as the connection.
    Open(Option<Permit>),
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

/// Connections of one member over all workers.
#[derive(Debug)]
pub struct Connections {
    _todo: Arc<()>,
}

impl Connections {
    /// A kept connection of this worker, else leave to open one; waits at most `acquire_timeout`
    /// when the member is at its limit, and then reclaims idle connections of other workers.
    pub async fn acquire(&self, _worker: usize, _settings: &Member) -> Result<Lease, Full> {
        todo!()
    }
    /// Like [`Self::acquire`], but never a kept connection (after one died under a request).
    pub async fn acquire_fresh(&self, _worker: usize, _settings: &Member) -> Result<Option<Permit>, Full> {
        todo!()
    }
    /// Keeps a connection for this worker's next request.
    pub fn put(&self, _worker: usize, _connection: IdleConnection) {
        todo!()
    }
    /// Closes connections idle for longer than `max_idle`; returns how many.
    pub fn expire(&self, _now: Instant, _max_idle: Duration) -> usize {
        todo!()
    }
    /// Closes every idle connection.
    pub fn close_idle(&self) -> usize {
        todo!()
    }
}
