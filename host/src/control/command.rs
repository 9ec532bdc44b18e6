//! What the writer can be asked to do.

use std::{
    fmt, io,
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Instant,
};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::{ControlFacts, Watch, Writer, trail::Watched, trials::LOOK};
use crate::members::locked;

/// Why something is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The gateway starts.
    Start,
    /// SIGHUP: what was refused before is tried again.
    Signal,
    /// A watched file may have changed: only what did is read.
    Files,
    /// A version is undone.
    Rollback,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Signal => "SIGHUP",
            Self::Files => "file changed",
            Self::Rollback => "rollback",
        })
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new generation is in service. There may have been problems beside it, see [`ControlFacts`].
    Published {
        /// Its number.
        generation: u64,
    },
    /// Nothing that counts had changed.
    Unchanged,
    /// What was in service still is.
    Refused {
        /// For the operator.
        why: String,
    },
}

impl Outcome {
    /// One word for logs and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Published { .. } => "published",
            Self::Unchanged => "unchanged",
            Self::Refused { .. } => "refused",
        }
    }
}

/// What became of reloads since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReloadCounts {
    /// A new generation is in service.
    pub published: u64,
    /// Nothing that counts had changed.
    pub unchanged: u64,
    /// What was in service stayed.
    pub refused: u64,
}

impl ReloadCounts {
    fn count(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Published { .. } => &mut self.published,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::Refused { .. } => &mut self.refused,
        } += 1;
    }
}

pub(super) enum Command {
    Reload {
        cause: Cause,
        reply: oneshot::Sender<Outcome>,
    },
    Rollback {
        policy: String,
        reply: oneshot::Sender<Outcome>,
    },
    Promote {
        policy: String,
        reply: oneshot::Sender<Outcome>,
    },
    Withdraw {
        policy: String,
        reply: oneshot::Sender<Outcome>,
    },
    Stop,
}

/// Sends commands to the writer and reads what it knows.
#[derive(Clone)]
pub struct Controller {
    commands: std::sync::mpsc::Sender<Command>,
    facts: Arc<ArcSwap<ControlFacts>>,
    watch: Arc<ArcSwap<Option<Watch>>>,
    watched: Arc<ArcSwap<Watched>>,
    counts: Arc<Mutex<ReloadCounts>>,
}

impl Controller {
    /// Starts the writer's thread.
    pub fn start(mut writer: Writer) -> io::Result<Self> {
        let (commands, inbox) = std::sync::mpsc::channel();
        let (facts, watch) = (writer.shared_facts(), writer.shared_watch());
        let watched = writer.shared_watched();
        let loaded = commands.clone();
        writer.setup.stock.wake_with(Box::new(move || {
            let (reply, _) = oneshot::channel();
            let cause = Cause::Files;
            // A stopped writer wants to hear of nothing.
            let _ = loaded.send(Command::Reload { cause, reply });
        }));
        let counts = Arc::<Mutex<ReloadCounts>>::default();
        let counted = Arc::clone(&counts);
        thread::Builder::new()
            .name("reload".into())
            .spawn(move || serve(&mut writer, &inbox, &counted))?;
        Ok(Self {
            commands,
            facts,
            watch,
            watched,
            counts,
        })
    }

    /// Loads what changed. The answer never comes if the writer has been stopped.
    pub fn reload(&self, cause: Cause) -> oneshot::Receiver<Outcome> {
        self.send(|reply| Command::Reload { cause, reply })
    }

    /// Goes back to the version before. Policies of tenants are named `tenant:policy`.
    pub fn rollback(&self, policy: &str) -> oneshot::Receiver<Outcome> {
        let policy = policy.to_owned();
        self.send(|reply| Command::Rollback { policy, reply })
    }

    /// Lets the canary of this policy decide for all.
    pub fn promote(&self, policy: &str) -> oneshot::Receiver<Outcome> {
        let policy = policy.to_owned();
        self.send(|reply| Command::Promote { policy, reply })
    }

    /// Lets the canary of this policy decide for nobody.
    pub fn undo(&self, policy: &str) -> oneshot::Receiver<Outcome> {
        let policy = policy.to_owned();
        self.send(|reply| Command::Withdraw { policy, reply })
    }

    fn send(
        &self,
        command: impl FnOnce(oneshot::Sender<Outcome>) -> Command,
    ) -> oneshot::Receiver<Outcome> {
        let (reply, answer) = oneshot::channel();
        // A stopped writer drops the reply, which is what the asker sees.
        let _ = self.commands.send(command(reply));
        answer
    }

    /// What became of reloads since the start.
    pub fn reloads(&self) -> ReloadCounts {
        *locked(&self.counts)
    }

    /// Ends the writer's thread once it has done what it was asked before.
    pub fn stop(&self) {
        // It may have ended already.
        let _ = self.commands.send(Command::Stop);
    }

    /// The watch learns of every file that is loaded, beginning with those in service.
    pub(super) fn watch_with(&self, watch: Watch) {
        self.watch.store(Arc::new(Some(watch.clone())));
        watch.paths(&self.watched.load());
    }

    /// What the writer knows, as of its latest command.
    pub fn facts(&self) -> Arc<ControlFacts> {
        self.facts.load_full()
    }
}

/// Does what it is told, and looks after what is on trial meanwhile.
fn serve(writer: &mut Writer, inbox: &mpsc::Receiver<Command>, counts: &Mutex<ReloadCounts>) {
    let mut looked = Instant::now();
    loop {
        let trying = writer.is_trying();
        let look = trying.then(|| looked + LOOK);
        let command = match look.into_iter().chain(writer.due).min() {
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        // Whoever asked may have gone; the work is done all the same.
        let _ = match command {
            Ok(Command::Reload { cause, reply }) => {
                let outcome = writer.reload(cause);
                locked(counts).count(&outcome);
                writer.wait_no_longer();
                reply.send(outcome)
            }
            Ok(Command::Rollback { policy, reply }) => {
                writer.rollback_for(policy, reply);
                Ok(())
            }
            Ok(Command::Promote { policy, reply }) => reply.send(writer.promote(&policy)),
            Ok(Command::Withdraw { policy, reply }) => reply.send(writer.withdraw(&policy)),
            Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => Ok(()),
        };
        if writer.due.is_some_and(|due| due <= Instant::now()) {
            let outcome = writer.reload(Cause::Files);
            locked(counts).count(&outcome);
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            writer.judge();
        }
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}
