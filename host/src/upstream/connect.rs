//! Getting a connection to a member.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::{
    decision::Failure,
    members::{Full, IdleConnection, InFlight, Lease, NoSocket, Permit, Unreachable, moment},
};

/// A connection to a member, in use by one request.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
    /// What was read and not used.
    pub buffer: BytesMut,
    /// Opened for this request.
    pub fresh: bool,
    /// How long opening it took; zero for a kept one.
    pub connect_time: Duration,
    permit: Permit,
    address: SocketAddr,
    served: u64,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// All connections the member may have stayed busy.
    #[error(transparent)]
    Full(#[from] Full),
    /// So did all that its tenant may have.
    #[error(transparent)]
    NoSocket(#[from] NoSocket),
    /// It is where its tenant's members may not be.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Its name has no address.
    #[error("the member's name does not resolve")]
    NoAddress,
    /// It took longer than `connect_timeout`.
    #[error("connecting took longer than {0:?}")]
    TimedOut(Duration),
    /// Refused, unreachable, or no file descriptor left.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ConnectError {
    /// What it says of the member; `None` where the member is not to blame.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Full(_) | Self::NoSocket(_) => None,
            Self::TimedOut(_) => Some(Failure::ConnectTimeout),
            Self::Io(error) if is_ours(error) => None,
            Self::NoAddress | Self::Unreachable(_) | Self::Io(_) => Some(Failure::Refused),
        }
    }
}

/// Out of file descriptors, memory or ports: this process's trouble, no member's.
fn is_ours(error: &io::Error) -> bool {
    let ours = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EADDRNOTAVAIL,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| ours.contains(&code))
}

/// A kept connection that still lives, or a new one. Where a request `may_be_repeated`, what the runtime has
/// heard of a kept one is enough: it heard of everything up to its last wait, some microseconds ago.
pub async fn open(
    worker: usize,
    member: &InFlight,
    may_be_repeated: bool,
) -> Result<Connection, ConnectError> {
    let settings = member.settings();
    loop {
        match member
            .live()
            .connections()
            .acquire(worker, settings)
            .await?
        {
            Lease::Open(permit) => return connect(member, permit).await,
            Lease::Kept(kept) => {
                if is_quiet(&kept.stream, may_be_repeated)
                    && moment::now() - kept.idle_since < settings.idle_timeout
                {
                    return Ok(Connection::kept(kept));
                }
                // Closed by the member, stale, or it spoke unasked: no request may be trusted to it.
            }
        }
    }
}

/// A new connection, though kept ones may exist.
pub async fn connect(member: &InFlight, mut permit: Permit) -> Result<Connection, ConnectError> {
    let settings = member.settings();
    let started = Instant::now();
    let deadline = started + settings.connect_timeout;
    let reach = member.live().reach();
    permit.count_for(reach)?;
    let mut error = ConnectError::NoAddress;
    for &address in member.live().addresses().iter() {
        if let Some(Err(unreachable)) = reach.map(|reach| reach.check(address)) {
            // The first of several says most.
            if !matches!(error, ConnectError::Unreachable(_)) {
                error = unreachable.into();
            }
            continue;
        }
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Err(_) => return Err(ConnectError::TimedOut(settings.connect_timeout)),
            Ok(Err(failed)) => error = failed.into(),
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(Connection {
                    stream,
                    buffer: BytesMut::new(),
                    fresh: true,
                    connect_time: started.elapsed(),
                    permit,
                    address,
                    served: 0,
                });
            }
        }
    }
    Err(error)
}

/// Neither closed nor readable: what a member sends between requests belongs to none. Asks the kernel, since
/// the runtime may not have heard of the close yet; but nobody, if it has heard of nothing and that will do.
fn is_quiet(stream: &TcpStream, hearsay: bool) -> bool {
    let peek = || {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        SockRef::from(stream).recv_with_flags(&mut byte, libc::MSG_PEEK | libc::MSG_DONTWAIT)
    };
    let looked = match hearsay {
        true => stream.try_io(Interest::READABLE, peek),
        false => peek(),
    };
    matches!(looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl Connection {
    fn kept(kept: IdleConnection) -> Self {
        Self {
            stream: kept.stream,
            buffer: kept.buffer,
            fresh: false,
            connect_time: Duration::ZERO,
            permit: kept.permit,
            address: kept.address,
            served: kept.served,
        }
    }

    /// Keeps the connection for this worker's next request. The caller has seen that the exchange
    /// ended cleanly: every byte of it read, nothing more in the buffer, neither side closing.
    pub fn keep(self, worker: usize, member: &InFlight) {
        debug_assert!(self.buffer.is_empty(), "surplus bytes taint a connection");
        let live = member.live();
        let address = self.address;
        live.connections().put(
            worker,
            IdleConnection {
                stream: self.stream,
                // Kept buffers would add up; the allocator hands this one out again at once.
                buffer: BytesMut::new(),
                permit: self.permit,
                idle_since: moment::now(),
                address: self.address,
                served: self.served + 1,
            },
        );
        // Who closed what was kept when the member moved may have looked before this one was there.
        let allowed = live
            .reach()
            .is_none_or(|reach| reach.judge(address).is_ok());
        if !allowed || !live.addresses().contains(&address) {
            live.connections().retain(|kept| kept.address != address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::testing::{balancer, member, pool};

    #[tokio::test]
    async fn a_connection_that_outlived_its_members_move_is_not_kept() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        for (moved, kept) in [(false, 1), (true, 0)] {
            let pool = pool(balancer([member("a")]));
            let in_flight = InFlight::begin(&pool.current(), 0);
            in_flight.live().set_addresses(vec![here]);
            let connection = open(0, &in_flight, false).await.unwrap();
            assert!(connection.fresh);
            if moved {
                in_flight
                    .live()
                    .set_addresses(vec![([127, 0, 0, 9], 1).into()]);
            }
            connection.keep(0, &in_flight);
            assert_eq!(in_flight.live().connections().idle(), kept);
        }
    }
}
