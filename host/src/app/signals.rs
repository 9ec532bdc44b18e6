//! What the gateway does when it is told to.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::timeout,
};
use tracing::{info, warn};

use super::{Ending, outlets::Outlets};
use crate::listener::{ConnectionCount, Drain};

/// After the deadline or a second signal, how long connections get to be cut off.
const CUT: Duration = Duration::from_secs(1);

/// The signals that are acted on. SIGPIPE is ignored from the start, by std.
pub(super) struct Signals {
    hangup: Signal,
    user1: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What they act on.
pub(super) struct Gateway<'a> {
    pub outlets: &'a Outlets,
    pub connections: &'a ConnectionCount,
    /// SIGHUP.
    pub reload: &'a dyn Fn(),
    /// SIGUSR1.
    pub reopen: &'a dyn Fn(),
    /// Told when no further client will be accepted.
    pub drains: &'a dyn Fn(),
    /// As configured when it is needed.
    pub drain_deadline: &'a dyn Fn() -> Duration,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Serves until told to stop, then until all workers have ended.
    pub async fn serve(mut self, gateway: Gateway<'_>, ended: &mut mpsc::Receiver<()>) -> Ending {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => (gateway.reload)(),
                Some(()) = self.user1.recv() => (gateway.reopen)(),
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
            }
        }
        let deadline = (gateway.drain_deadline)();
        let open = gateway.connections.open();
        info!(
            connections = open,
            ?deadline,
            "Draining: requests under way finish"
        );
        (gateway.drains)();
        gateway.outlets.drain(Drain::Draining);
        tokio::select! {
            biased;
            signal = self.stop() => {
                self.cut(gateway, ended, "Told to end at once", Ending::Killed(signal)).await
            }
            drained = timeout(deadline, ended.recv()) => if drained.is_ok() {
                info!("Drained");
                Ending::Drained
            } else {
                self.cut(gateway, ended, "The drain deadline is over", Ending::Drained).await
            },
        }
    }

    /// Ends like `ending` as soon as what is cut off has its lines in the access log, which takes
    /// milliseconds. One more signal does not wait for that.
    async fn cut(
        &mut self,
        gateway: Gateway<'_>,
        ended: &mut mpsc::Receiver<()>,
        why: &str,
        ending: Ending,
    ) -> Ending {
        let open = gateway.connections.open();
        warn!(connections = open, "{why}; connections are cut off");
        gateway.outlets.drain(Drain::Now);
        tokio::select! {
            again = self.stop() => Ending::Killed(again),
            _ = timeout(CUT, ended.recv()) => ending,
        }
    }

    /// The number of the signal that says so.
    async fn stop(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.interrupt.recv() => libc::SIGINT,
        }
    }
}
