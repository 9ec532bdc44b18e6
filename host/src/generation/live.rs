//! What is in service.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::key::Bindings;
use crate::{
    decision::{Hook, Outcome, RequestView, Trigger},
    members::Exchanges,
    policy::{Binding, Canary, Post, Selector},
    routing,
    snapshot::{self, Snapshot},
    telemetry::AccessLog,
    tenants::Tenant,
};

/// What is in service: configuration and live handles, never changed once it is published.
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    /// Milliseconds since 1970.
    pub loaded_at_ms: u64,
    /// What it was made of.
    pub snapshot: Arc<Snapshot>,
    /// Finds vhost and route.
    pub table: routing::Table,
    /// By the same indices as `snapshot.vhosts`.
    pub vhosts: Vec<LiveVhost>,
    pub(super) access: Option<Arc<AccessLog>>,
    pub(super) exchanges: Arc<Exchanges>,
    pub(super) selectors: BTreeMap<String, Arc<Selector>>,
    pub(super) bindings: Bindings,
}

/// Live handles of a vhost.
#[derive(Debug)]
pub struct LiveVhost {
    /// Whose requests these are; `None` = the operator's.
    pub tenant: Option<Arc<Tenant>>,
    /// By route index; `None` where the action is not `Proxy`.
    pub routes: Vec<Option<Arc<Forward>>>,
    /// Takes its requests; `None` = nobody writes them down.
    pub access: Option<Arc<AccessLog>>,
    /// Counts its requests.
    pub exchanges: Arc<Exchanges>,
}

/// Access logs, opened.
#[derive(Debug, Default)]
pub struct AccessLogs {
    /// Of requests that reach no vhost.
    pub process: Option<Arc<AccessLog>>,
    /// By the same indices as `Snapshot::vhosts`.
    pub vhosts: Vec<Option<Arc<AccessLog>>>,
}

/// Live handles of a route that forwards.
#[derive(Debug)]
pub struct Forward {
    /// Its configuration.
    pub proxy: Arc<snapshot::Proxy>,
    /// Chooses the member.
    pub selector: Arc<Selector>,
    /// In their order.
    pub rewriters: Vec<Post>,
    /// Some rewriter may plan a body, so that it must come whole and in a coding that can be undone.
    pub plans_bodies: bool,
}

/// Whether a rewriter may plan bodies: it streams them itself, or asks for their type.
pub(super) fn plans_bodies(rewriter: &Binding) -> bool {
    let by_type = |(hook, trigger): &(Hook, Trigger)| {
        *hook == Hook::OnResponse && matches!(trigger, Trigger::ContentType(_))
    };
    rewriter.exports().transformer || rewriter.descriptor().triggers.iter().any(by_type)
}

impl Forward {
    /// Tells every policy that wants to know of a finished exchange, and how candidates did.
    pub fn completed<R: RequestView>(&self, request: &R, outcome: Outcome) {
        let failed = self.selector.completed(request, outcome);
        self.rewriters
            .iter()
            .for_each(|post| post.note(request, failed));
    }
}

impl Generation {
    /// What is there before the first one: nothing that serves.
    pub(crate) fn nothing(snapshot: &Arc<Snapshot>) -> Self {
        Self {
            number: 0,
            loaded_at_ms: 0,
            snapshot: Arc::clone(snapshot),
            table: routing::Table::default(),
            vhosts: Vec::new(),
            access: None,
            exchanges: Arc::default(),
            selectors: BTreeMap::new(),
            bindings: Bindings::default(),
        }
    }

    /// Where a request of this vhost is written down, or one that reaches no vhost.
    pub fn access_log(&self, vhost: Option<usize>) -> Option<&Arc<AccessLog>> {
        match vhost.and_then(|index| self.vhosts.get(index)) {
            Some(vhost) => vhost.access.as_ref(),
            None => self.access.as_ref(),
        }
    }

    /// Whose the requests of a vhost are; `None` = the operator's, which nobody counts.
    pub fn tenant(&self, vhost: usize) -> Option<&Tenant> {
        self.vhosts.get(vhost)?.tenant.as_deref()
    }

    /// Every canary, with the post it stands at.
    pub fn canaries(&self) -> impl Iterator<Item = (&Post, &Canary)> {
        let chosen = self.selectors.values();
        let chosen = chosen.flat_map(|selector| selector.chain.iter().chain(&selector.affinity));
        let routes = self.vhosts.iter().flat_map(|vhost| &vhost.routes).flatten();
        let posts = chosen.chain(routes.flat_map(|forward| &forward.rewriters));
        posts.filter_map(|post| Some((post, post.canary.as_ref()?)))
    }

    /// Where a request of this vhost is counted, or one that reaches no vhost.
    pub fn exchanges(&self, vhost: Option<usize>) -> &Exchanges {
        let own = vhost.and_then(|index| self.vhosts.get(index));
        own.map_or(&self.exchanges, |vhost| &vhost.exchanges)
    }

    /// Everything in service that runs a policy, each once.
    pub fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.bindings.iter()
    }

    /// Live handles of a route that forwards, by the indices that [`routing::Table::find`] gives.
    pub fn forward(&self, vhost: usize, route: usize) -> Option<&Forward> {
        self.vhosts.get(vhost)?.routes.get(route)?.as_deref()
    }

    /// Who chooses the members of a balancer.
    pub fn selector(&self, balancer: &str) -> Option<&Arc<Selector>> {
        self.selectors.get(balancer)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
