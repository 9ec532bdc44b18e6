//! What the writer can be asked to do.

use std::{
    fmt, io,
    sync::{Arc, Mutex},
    thread,
};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use super::{ControlFacts, Watch, Writer, trail::Watched};
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
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Signal => "SIGHUP",
            Self::Files => "file changed",
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
            .spawn(move || {
                while let Ok(Command::Reload { cause, reply }) = inbox.recv() {
                    let outcome = writer.reload(cause);
                    locked(&counted).count(&outcome);
                    // Whoever asked may have gone; the work is done all the same.
                    let _ = reply.send(outcome);
                }
            })?;
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
        let (reply, answer) = oneshot::channel();
        // A stopped writer drops the reply, which is what the asker sees.
        let _ = self.commands.send(Command::Reload { cause, reply });
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

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}
