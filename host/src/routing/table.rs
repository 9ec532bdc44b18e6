//! From host, path and client to what serves the request.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    CanonicalPath, TableError,
    hosts::{HostMatch, Hosts},
    routes::{Routes, Settled},
};
use crate::snapshot::{Route, Snapshot, Vhost};

/// The vhosts and routes of a snapshot, indexed: finding one costs the same among ten
/// thousand as among ten.
#[derive(Debug, Default)]
pub struct Table {
    hosts: Hosts,
    vhosts: Vec<(Arc<Vhost>, Arc<Routes>)>,
}

/// Where a request leads.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<'a> {
    /// Serves, or answers with its error pages.
    pub vhost: &'a Arc<Vhost>,
    /// Its place in `Snapshot::vhosts`.
    pub vhost_index: usize,
    /// How it came to be chosen.
    pub by: HostMatch,
    /// What it does with the request.
    pub target: Target<'a>,
}

/// What a vhost does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Target<'a> {
    /// A route takes it, and the client may use that route. Its action is never
    /// `Exclude` or `Continue`.
    Route {
        /// Its place in `Vhost::routes`.
        index: usize,
        /// What it does.
        route: &'a Route,
        /// Groups of a redirect's regex for [`redirect_location`](super::redirect_location).
        captures: Vec<String>,
    },
    /// No route takes it, or one excludes it: the vhost's files.
    DocumentRoot,
    /// 403: a route matched and its access rules refuse the client.
    Denied {
        /// Whose rules.
        route: &'a Route,
    },
    /// 404: as for `DocumentRoot`, but the vhost has none.
    NotFound,
    /// 400: an encoded slash, semicolon or percent sign leads elsewhere when it is read
    /// as what it stands for.
    Ambiguous,
}

impl Table {
    /// Compiles the patterns of `snapshot`.
    pub fn new(snapshot: &Snapshot) -> Result<Table, TableError> {
        if snapshot.vhosts.is_empty() {
            return Err(TableError::NoVhost);
        }
        Self::of(&snapshot.vhosts)
    }

    /// Likewise, taking over those of the table before whose vhosts are the same objects.
    pub fn after(snapshot: &Snapshot, before: Option<&Table>) -> Result<Table, TableError> {
        let Some(before) = before else {
            return Self::new(snapshot);
        };
        let known: HashMap<_, _> = before
            .vhosts
            .iter()
            .map(|(vhost, routes)| (Arc::as_ptr(vhost), routes))
            .collect();
        let indexed = |vhost: &Arc<Vhost>| {
            let routes = match known.get(&Arc::as_ptr(vhost)) {
                Some(routes) => Arc::clone(routes),
                None => Arc::new(Routes::new(vhost)?),
            };
            Ok((Arc::clone(vhost), routes))
        };
        let vhosts = snapshot.vhosts.iter().map(indexed);
        Ok(Table {
            hosts: Hosts::new(&snapshot.vhosts),
            vhosts: vhosts.collect::<Result<_, TableError>>()?,
        })
    }

    /// Compiles the patterns of these, which may be none.
    pub fn of(vhosts: &[Arc<Vhost>]) -> Result<Table, TableError> {
        let indexed = |vhost: &Arc<Vhost>| Ok((Arc::clone(vhost), Arc::new(Routes::new(vhost)?)));
        Ok(Table {
            hosts: Hosts::new(vhosts),
            vhosts: vhosts
                .iter()
                .map(indexed)
                .collect::<Result<_, TableError>>()?,
        })
    }

    /// `host` as [`Authority::host`](super::Authority::host) gives it; empty for HTTP/1.0
    /// without `Host`, which the default vhost serves.
    pub fn find<'a>(&'a self, host: &str, path: &CanonicalPath, client: IpAddr) -> Found<'a> {
        let (vhost_index, by) = self.hosts.find(host);
        let (vhost, routes) = &self.vhosts[vhost_index];
        let settle = |reading: &str| routes.settle(&vhost.routes, reading, client);
        let settled = settle(path.as_str());
        let target = if path
            .alternates()
            .iter()
            .all(|reading| agree(settle(reading), settled))
        {
            match settled {
                Settled::Route(index) => Target::Route {
                    index,
                    route: &vhost.routes[index],
                    captures: routes
                        .captures(index, path.as_str())
                        .into_iter()
                        .map(str::to_owned)
                        .collect(),
                },
                Settled::Denied(index) => Target::Denied {
                    route: &vhost.routes[index],
                },
                Settled::DocumentRoot => Target::DocumentRoot,
                Settled::NotFound => Target::NotFound,
            }
        } else {
            Target::Ambiguous
        };
        Found {
            vhost,
            vhost_index,
            by,
            target,
        }
    }
}

/// Two readings agree where the client could not tell which was taken.
fn agree(one: Settled, other: Settled) -> bool {
    one == other || matches!((one, other), (Settled::Denied(_), Settled::Denied(_)))
}
