//! Word of a generation that is to come, from the writer to whoever resolves names.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::snapshot::Snapshot;

/// How long a generation waits for the names of its members.
const SETTLE: Duration = Duration::from_secs(5);

/// And how long for names of tenants' alone, once it serves: a tenant that names what nobody knows
/// shall not hold up everybody else's reload.
const HURRY: Duration = Duration::from_millis(250);

/// Announces members that are to come, so that they have addresses when they do.
#[derive(Debug)]
pub struct Announcer {
    words: mpsc::UnboundedSender<Word>,
    /// Something was announced before.
    started: AtomicBool,
}

/// What an [`Announcer`] says, for [`resolve::run`](super::resolve::run).
#[derive(Debug)]
pub struct Expected(pub(super) mpsc::UnboundedReceiver<Word>);

#[derive(Debug)]
pub(super) enum Word {
    /// It comes, unless it is abandoned; one that was announced before does not.
    Next(Announced),
    /// Whatever was announced and is not in service never will be.
    Abandoned,
}

#[derive(Debug)]
pub(super) struct Announced {
    pub names: BTreeSet<Arc<str>>,
    /// Whom to ask; empty = the system's.
    pub servers: Vec<SocketAddr>,
    pub until: Instant,
    /// Those that are waited for until then only.
    pub hurried: BTreeSet<Arc<str>>,
    pub hurry_until: Instant,
    /// Dropped once there is nothing more to wait for.
    pub waits: oneshot::Sender<()>,
}

/// An announcer and who hears it.
pub fn announcer() -> (Announcer, Expected) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let announcer = Announcer {
        words: sender,
        started: AtomicBool::new(false),
    };
    (announcer, Expected(receiver))
}

impl Announcer {
    /// Waits until every name of a member was tried once, or five seconds are over: then those
    /// without an answer have no address yet. Blocks the thread.
    pub fn announce(&self, next: &Snapshot) {
        // Nothing is ever sent, and the end is what counts.
        let _ = self.begin(next).blocking_recv();
    }

    /// What was announced does not come: its names and its name servers are forgotten.
    pub fn abandon(&self) {
        // Where nobody hears it, nobody asks either.
        let _ = self.words.send(Word::Abandoned);
    }

    /// The answer ends when there is nothing more to wait for.
    pub(super) fn begin(&self, next: &Snapshot) -> oneshot::Receiver<()> {
        let (mut names, mut hurried) = (BTreeSet::new(), BTreeSet::new());
        for balancer in next.balancers.values() {
            let members = balancer.members.iter();
            let of_these = match balancer.tenant.is_operator() {
                true => &mut names,
                false => &mut hurried,
            };
            of_these.extend(
                members
                    .filter(|member| is_name(&member.host))
                    .map(|member| Arc::<str>::from(member.host.as_str())),
            );
        }
        hurried.retain(|name| !names.contains(name));
        names.extend(hurried.iter().cloned());
        let patience = match self.started.swap(true, Ordering::Relaxed) {
            true => HURRY,
            false => SETTLE,
        };
        let (waits, tried) = oneshot::channel();
        // Also without names: it may have other servers for those to come. Where nobody hears
        // it, there is nothing to wait for.
        let now = Instant::now();
        let _ = self.words.send(Word::Next(Announced {
            names,
            hurried,
            hurry_until: now + patience,
            servers: next.name_servers.clone(),
            until: now + SETTLE,
            waits,
        }));
        tried
    }
}

/// Whether a member's host has to be resolved.
pub(super) fn is_name(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
}
