//! What a generation needs outside of itself: sockets and logs.

use std::{io, sync::Arc};

use tokio::sync::watch;

use super::outlets::Outlets;
use crate::{
    control::Surroundings,
    generation::{AccessLogs, Generation},
    snapshot::{self, Snapshot},
    telemetry::{ErrorLogs, Logs},
};

/// Sockets and logs.
pub(super) struct Outside {
    outlets: Arc<Outlets>,
    logs: Arc<Logs>,
    /// Opened for the next generation.
    errors: Option<ErrorLogs>,
    /// Tells those who look after members that a generation was published.
    changed: watch::Sender<u64>,
}

impl Outside {
    pub fn new(outlets: Arc<Outlets>, logs: Arc<Logs>, changed: watch::Sender<u64>) -> Self {
        Self {
            outlets,
            logs,
            errors: None,
            changed,
        }
    }

    fn open_logs(&mut self, next: &Snapshot) -> io::Result<AccessLogs> {
        self.errors = Some(self.logs.errors(next)?);
        let access = |log: &snapshot::Log| log.access.as_ref().map(|log| self.logs.access(log));
        let vhost = |vhost: &Arc<snapshot::Vhost>| {
            let own = vhost.log.as_ref().unwrap_or(&next.log);
            access(own).transpose()
        };
        Ok(AccessLogs {
            process: access(&next.log).transpose()?,
            vhosts: next.vhosts.iter().map(vhost).collect::<Result<_, _>>()?,
        })
    }
}

impl Surroundings for Outside {
    fn prepare(&mut self, next: &Snapshot) -> Result<AccessLogs, String> {
        let access = self.open_logs(next).map_err(|error| error.to_string())?;
        let bound = self.outlets.bind(next);
        bound.map_err(|error| error.to_string())?;
        Ok(access)
    }

    fn publish(&mut self, next: &Arc<Generation>) {
        if let Some(errors) = self.errors.take() {
            self.logs.adopt(errors);
        }
        self.outlets.publish(&next.snapshot, next.number == 1);
        self.changed.send_replace(next.number);
    }

    fn abandon(&mut self) {
        self.errors = None;
        self.outlets.abandon();
    }
}
