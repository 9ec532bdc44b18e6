//! Virtual hosts and their routes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;

use super::{Candidates, Log, PolicyRef, TenantName};

/// A virtual host: names, and where its paths lead.
#[derive(Debug, Clone, PartialEq)]
pub struct Vhost {
    /// Whose it is.
    pub tenant: TenantName,
    /// Lower case, without port. Also the server's name in `X-Forwarded-Server`.
    pub name: String,
    /// `name` first, then the aliases.
    pub hosts: Vec<HostPattern>,
    /// Serves requests whose host nobody claims.
    pub default: bool,
    /// Which route wins where several match.
    pub order: RouteOrder,
    /// In file order.
    pub routes: Vec<Route>,
    /// Serves what no route takes; `None` answers 404.
    pub document_root: Option<StaticFiles>,
    /// Bodies for answers of the gateway's own (and of members, where `replace_member_errors`).
    pub error_pages: Vec<ErrorPage>,
    /// Replace members' error bodies with `error_pages` too.
    pub replace_member_errors: bool,
    /// Logs of its own; `None` uses the process's.
    pub log: Option<Log>,
}

/// A name a vhost answers to. Lower case, without port and trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `www.example.com`
    Exact(String),
    /// `*.example.com` is `Suffix(".example.com")`: one label or more in front.
    Suffix(String),
    /// Any other use of `*` and `?`, as httpd's ServerAlias has it.
    Glob(String),
}

/// Which of several matching routes serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteOrder {
    /// The longest path; a regex counts by its place among regexes, after all prefixes of the same vhost miss.
    Longest,
    /// The first in the file.
    File,
}

/// One route of a vhost.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// For logs, `explain` and `tenant/route-or-pool` bindings: the path as written, or `name`.
    pub name: String,
    /// What it matches.
    pub path: PathPattern,
    /// Who may use it. Checked before the action.
    pub access: Access,
    /// What it does.
    pub action: Action,
}

/// What a route matches, against the canonical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// Segment-wise: `/app` takes `/app`, `/app/x` and `/app;v=1`, never `/apple`.
    Prefix(String),
    /// Unanchored unless it says so; checked by `config`.
    Regex(String),
}

/// Access by client network. The client is the peer, or what trusted proxies say of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Nobody may.
    pub deny: bool,
    /// Non-empty: only these may.
    pub allow_from: Vec<IpNet>,
    /// These may not; wins over `allow_from`.
    pub deny_from: Vec<IpNet>,
}

/// What a route does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Forward to a member of a balancer.
    Proxy(Arc<Proxy>),
    /// Serve files from a folder of the route's own.
    Static(StaticFiles),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// `ProxyPass /images !`: leave it to the vhost's document root.
    Exclude,
    /// Only access rules were given and they passed: carry on with the next matching route.
    Continue,
}

/// Forwarding to a balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Key into `Snapshot::balancers`.
    pub balancer: String,
    /// The route's own path, cut off before the member's base path is put in front; empty for regex routes.
    pub prefix: String,
    /// Send the client's Host instead of the member's.
    pub preserve_host: bool,
    /// Upgrade protocols that may be tunnelled, lower case; `websocket` by default.
    pub upgrade: Vec<String>,
    /// Rewriters in their order; the built-in `reverse` first where `reverse = {…}` is given.
    pub rewrite: Vec<PolicyRef>,
    /// Tried beside the last of them.
    pub candidates: Candidates,
}

/// A folder of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticFiles {
    /// The tenant's folder that `root` may not lead out of.
    pub beneath: Option<Arc<Path>>,
    /// Absolute.
    pub root: PathBuf,
    /// The route's path, cut off before looking below `root`; empty for a document root.
    pub prefix: String,
    /// Served for a folder; `index.html` by default.
    pub index: Vec<String>,
}

/// An answer with a Location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Absolute URL or path. For a prefix route the rest of the path is appended, `$1`… stand for a regex's groups.
    pub to: String,
    /// The route's path, cut off before the rest is appended; empty for regex routes.
    pub prefix: String,
}

/// An error page of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// Statuses it serves.
    pub statuses: Vec<u16>,
    /// Absolute path of the file; read when the configuration is loaded.
    pub path: PathBuf,
    /// By the file's extension.
    pub content_type: String,
    /// The file's bytes, at most 256 KiB.
    pub body: Arc<[u8]>,
}
