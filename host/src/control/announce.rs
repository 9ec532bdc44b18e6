//! Word of a generation that is to come, from the writer to whoever resolves names.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::snapshot::Snapshot;

/// How long a generation waits for the names of its members.
const SETTLE: Duration = Duration::from_secs(5);

/// Announces members that are to come, so that they have addresses when they do.
#[derive(Debug)]
pub struct Announcer(mpsc::UnboundedSender<Announced>);

/// What an [`Announcer`] says, for [`resolve::run`](super::resolve::run).
#[derive(Debug)]
pub struct Expected(pub(super) mpsc::UnboundedReceiver<Announced>);

#[derive(Debug)]
pub(super) struct Announced {
    pub names: BTreeSet<Arc<str>>,
    /// Whom to ask; empty = the system's.
    pub servers: Vec<SocketAddr>,
    pub until: Instant,
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

/// Whether a member's host has to be resolved.
pub(super) fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}
