//! Accepting clients until told to stop.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{error, warn};

use super::connection;
use crate::{
    members::in_moments,
    proxy::{Drain, Gateway},
};

/// What an accept loop and its connections share.
#[derive(Debug, Clone)]
pub struct Context {
    /// Serves requests.
    pub gateway: Gateway,
    /// Says when to stop.
    pub drain: watch::Receiver<Drain>,
    /// Client connections over all workers.
    pub connections: Arc<ConnectionCount>,
}

/// Counts client connections and holds further ones back at a limit.
#[derive(Debug, Default)]
pub struct ConnectionCount {
    open: AtomicUsize,
    freed: Notify,
}

/// One client connection; counted until dropped.
#[derive(Debug)]
pub(super) struct Counted(Arc<ConnectionCount>);

impl ConnectionCount {
    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn count(self: &Arc<Self>) -> Counted {
        self.open.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    /// Counts one as soon as there is room for it below `limit`. Several workers may have accepted one
    /// when there was room for one.
    async fn admit(self: &Arc<Self>, limit: impl Fn() -> usize) -> Counted {
        loop {
            let freed = self.freed.notified();
            let limit = limit();
            let more = |open: usize| (open < limit).then_some(open + 1);
            let counted = self
                .open
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
            if counted.is_ok() {
                return Counted(Arc::clone(self));
            }
            // A reload may have raised the limit meanwhile.
            let _ = timeout(LOOK, freed).await;
        }
    }

    /// Waits until there is room below `limit`, which is asked again now and then.
    async fn room(&self, limit: impl Fn() -> usize) {
        loop {
            let freed = self.freed.notified();
            if self.open() < limit() {
                return;
            }
            let _ = timeout(LOOK, freed).await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }
}

/// How often who waits for room asks what the limit is.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after a failed accept: long enough not to spin, short enough not to be felt.
const PAUSE: Duration = Duration::from_millis(20);

/// Accepts on `socket` until draining, and returns once every connection it accepted has ended.
pub async fn accept(
    socket: std::net::TcpListener,
    proxy_protocol: bool,
    context: Context,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket)?;
    let mut drain = context.drain.clone();
    let mut tasks = JoinSet::new();
    let mut complained: Option<Instant> = None;
    loop {
        let limit = || context.gateway.current.load().snapshot.limits.connections;
        let accepted = tokio::select! {
            biased;
            _ = drain.wait_for(|drain| *drain != Drain::Serving) => break,
            accepted = async { context.connections.room(limit).await; socket.accept().await } => accepted,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let counted = tokio::select! {
                    biased;
                    counted = context.connections.admit(limit) => counted,
                    _ = drain.wait_for(|drain| *drain != Drain::Serving) => context.connections.count(),
                };
                begin(&mut tasks, stream, peer, proxy_protocol, &context, counted);
            }
            Err(error) if is_clients(&error) => {}
            Err(cause) => {
                // Out of file descriptors, say: those who wait in the backlog are served when some are free.
                if complained.is_none_or(|at| at.elapsed() > Duration::from_secs(10)) {
                    error!(%cause, "Accepting a connection failed; waiting for resources");
                    complained = Some(Instant::now());
                }
                sleep(PAUSE).await;
            }
        }
    }
    // Those in the backlog have been told they are connected: they are served, not reset. The kernel is
    // asked, since the runtime may not have heard of them yet.
    let socket = socket.into_std()?;
    while let Ok((stream, peer)) = socket.accept() {
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        let counted = context.connections.count();
        begin(&mut tasks, stream, peer, proxy_protocol, &context, counted);
    }
    drop(socket);
    loop {
        tokio::select! {
            ended = tasks.join_next() => if ended.is_none() { return Ok(()) },
            _ = drain.wait_for(|drain| *drain == Drain::Now) => {
                tasks.abort_all();
                return Ok(());
            }
        }
    }
}

fn begin(
    tasks: &mut JoinSet<()>,
    stream: TcpStream,
    peer: SocketAddr,
    proxy_protocol: bool,
    context: &Context,
    counted: Counted,
) {
    let context = context.clone();
    tasks.spawn(async move {
        if let Err(cause) = stream.set_nodelay(true) {
            warn!(%peer, %cause, "A connection ended before it began");
            return;
        }
        let served = pin!(connection::serve(stream, peer, proxy_protocol, context));
        in_moments(served).await;
        drop(counted);
    });
}

/// The client gave up between connecting and being accepted.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | ConnectionRefused
    )
}
