//! A thread that serves clients.

use std::{io, net::TcpListener, sync::Arc, thread};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::error;

use crate::{
    generation::Current,
    listener::{self, ConnectionCount, Context, Drain},
    proxy::{Gateway, burst},
};

/// What a worker is made of.
pub(super) struct Parts {
    /// Its index.
    pub worker: usize,
    /// What is in service.
    pub current: Arc<Current>,
    /// Over all workers.
    pub connections: Arc<ConnectionCount>,
}

/// A socket to accept clients on.
pub(super) struct Assignment {
    pub socket: TcpListener,
    pub proxy_protocol: bool,
    /// Of this listener.
    pub drain: watch::Receiver<Drain>,
}

/// Sockets for one worker; closed when there will be no more.
pub(super) type Inbox = mpsc::UnboundedReceiver<Assignment>;

/// Starts a worker. It ends once its inbox is closed and every listener has drained, and drops `alive` then.
pub(super) fn start(parts: Parts, inbox: Inbox, alive: mpsc::Sender<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(burst::waits)
        .build()?;
    thread::Builder::new()
        .name(format!("worker-{}", parts.worker))
        .spawn(move || {
            runtime.block_on(serve(&parts, inbox));
            // Connections that were told to end at once end here.
            drop(runtime);
            drop(alive);
        })?;
    Ok(())
}

async fn serve(parts: &Parts, mut inbox: Inbox) {
    let mut listeners = JoinSet::new();
    let mut open = true;
    while open || !listeners.is_empty() {
        tokio::select! {
            assignment = inbox.recv(), if open => match assignment {
                Some(assignment) => {
                    let context = Context {
                        gateway: Gateway {
                            worker: parts.worker,
                            current: Arc::clone(&parts.current),
                        },
                        drain: assignment.drain,
                        connections: Arc::clone(&parts.connections),
                    };
                    listeners.spawn(listener::accept(
                        assignment.socket,
                        assignment.proxy_protocol,
                        context,
                    ));
                }
                None => open = false,
            },
            Some(ended) = listeners.join_next() => match ended {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => error!(%cause, "A listener ended; restart the gateway"),
                Err(cause) => error!(%cause, "A listener ended by a defect; restart the gateway"),
            },
        }
    }
}
