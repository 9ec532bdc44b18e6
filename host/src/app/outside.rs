//! What a generation needs outside of itself: sockets, logs and the status endpoint.

use std::{io, sync::Arc};

use tokio::sync::watch;
use tracing::error;

use super::{endpoint::Endpoint, outlets::Outlets};
use crate::{
    control::{Surroundings, resolve::Announcer},
    generation::{AccessLogs, Generation},
    members::Live,
    snapshot::{self, AdminBind, Snapshot},
    telemetry::{ErrorLogs, Logs},
};

/// Sockets, logs and the status endpoint.
pub(super) struct Outside {
    pub outlets: Arc<Outlets>,
    pub endpoint: Arc<Endpoint>,
    pub logs: Arc<Logs>,
    /// Opened for the next generation.
    pub errors: Option<ErrorLogs>,
    /// Has members' names resolved.
    pub announcer: Announcer,
    /// Learns where this process listens.
    pub live: Arc<Live>,
    /// Tells those who look after members that a generation was published.
    pub changed: watch::Sender<u64>,
}

impl Outside {
    fn open_logs(&mut self, next: &Snapshot) -> io::Result<AccessLogs> {
        self.errors = Some(self.logs.errors(next)?);
        let access = |log: &snapshot::Log| log.access.as_ref().map(|log| self.logs.access(log));
        let vhost = |vhost: &Arc<snapshot::Vhost>| {
            let own = vhost.log.as_ref().unwrap_or(&next.log);
            match access(own).transpose() {
                // One tenant's disk is nothing to the others.
                Err(error) if !vhost.tenant.is_operator() => {
                    let (tenant, vhost) = (&vhost.tenant, &vhost.name);
                    error!(%tenant, vhost, %error, "A tenant's log cannot be opened; its lines go to the operator's");
                    access(&next.log).transpose()
                }
                opened => opened,
            }
        };
        Ok(AccessLogs {
            process: access(&next.log).transpose()?,
            vhosts: next.vhosts.iter().map(vhost).collect::<Result<_, _>>()?,
        })
    }
}

impl Outside {
    /// Tenants' members are kept from where this process listens.
    fn listens(&self) {
        let admin = self.endpoint.address();
        let admin = admin.as_ref().and_then(AdminBind::tcp);
        let listens = self.outlets.addresses().into_iter().chain(admin);
        self.live.own_addresses().set(listens.collect());
    }
}

impl Surroundings for Outside {
    fn prepare(&mut self, next: &Snapshot) -> Result<AccessLogs, String> {
        let access = self.open_logs(next).map_err(|error| error.to_string())?;
        let bound = self.outlets.bind(next).map_err(|error| error.to_string());
        let bound = bound.and_then(|()| self.endpoint.bind(next).map_err(|e| e.to_string()));
        bound.inspect_err(|_| self.abandon())?;
        let listens = next.listeners.iter().map(|listener| listener.bind);
        let admin = next.admin.as_ref().and_then(|admin| admin.bind.tcp());
        self.live.own_addresses().add(listens.chain(admin));
        // Whoever serves with it shall not meet a member without an address.
        self.announcer.announce(next);
        Ok(access)
    }

    fn publish(&mut self, next: &Arc<Generation>) {
        if let Some(errors) = self.errors.take() {
            self.logs.adopt(errors);
        }
        self.outlets.publish(&next.snapshot, next.number == 1);
        self.endpoint.publish(&next.snapshot);
        self.listens();
        self.changed.send_replace(next.number);
    }

    fn abandon(&mut self) {
        self.errors = None;
        self.outlets.abandon();
        self.endpoint.abandon();
        self.announcer.abandon();
    }
}
