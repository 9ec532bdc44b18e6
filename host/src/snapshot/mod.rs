//! The configuration as plain data.
//!
//! A [`Snapshot`] is what `config` makes of the operator's files once every check
//! has passed: resolved defaults, parsed patterns, absolute paths, no I/O, no live
//! handles. Two snapshots can be compared, which is how a reload learns what
//! changed. `generation` links a snapshot to live counters, sockets and policies.

mod balancer;
mod http;
mod policy;
mod quota;
mod tenant;
mod vhost;

pub use balancer::{Balancer, HealthCheck, Member, MemberId, Scheme, Status, StatusRange};
pub use http::{
    AccessFormat, AccessLog, Admin, AdminBind, ErrorLog, HttpLimits, Level, Listener, Log,
};
pub use policy::{
    CanaryBy, CanaryRef, Candidates, CompileRaise, OnError, PolicyLimits, PolicyRef, PolicySource,
    Record, Rollback, ShadowRef,
};
pub use quota::{Egress, Quota, Reachable, Tenancy, Tenant};
pub use tenant::TenantName;
pub use vhost::{
    Access, Action, ErrorPage, HostPattern, PathPattern, Proxy, Redirect, Route, RouteOrder,
    StaticFiles, Vhost,
};

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

/// Everything the operator configured, checked and with defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The file this was read from; relative paths in it were resolved against its folder.
    pub source: PathBuf,
    /// Every file that was read; a change to one of them is a reason to reload.
    pub files: Vec<PathBuf>,
    /// Where `switchyard status` asks; `None` switches it off.
    pub admin: Option<Admin>,
    /// Process-wide logs; a vhost may have its own.
    pub log: Log,
    /// Sockets to accept on, at least one.
    pub listeners: Vec<Listener>,
    /// Bounds on what a client may send and how long it may take.
    pub limits: HttpLimits,
    /// Networks whose `X-Forwarded-For` and PROXY protocol are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Asked for members' names; empty = the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Send `X-Real-IP` with the client's address to members (and never forward a client's own).
    pub x_real_ip: bool,
    /// Name written to `Via`; `None` writes none.
    pub via: Option<String>,
    /// Send `Forwarded` (RFC 7239) beside the `X-Forwarded-*` fields.
    pub forwarded: bool,
    /// In file order; the first is the default where none says `default = true`.
    pub vhosts: Vec<Arc<Vhost>>,
    /// Named balancers, and one for each route with `proxy = "http://…"`, named `vhost/path`; by
    /// qualified name, see [`TenantName`].
    pub balancers: BTreeMap<String, Arc<Balancer>>,
    /// Policies of the operator's and the tenants' own, by qualified name. Built-in ones are not
    /// listed.
    pub policies: BTreeMap<String, PolicySource>,
    /// What every policy call may use.
    pub policy_limits: PolicyLimits,
    /// What compiling single files may take beyond their policies' limits, by SHA-256.
    pub raises: Arc<BTreeMap<String, CompileRaise>>,
    /// Compiled code, 0700; `None` compiles afresh at each start.
    pub cache_dir: Option<PathBuf>,
    /// Version history and undone digests; `None` keeps them in memory.
    pub state_dir: Option<PathBuf>,
    /// What the operator says of tenants.
    pub tenancy: Tenancy,
    /// Tenants in service, by name; the operator is not among them.
    pub tenants: BTreeMap<TenantName, Tenant>,
    /// How long SIGTERM waits for requests in flight.
    pub drain_deadline: Duration,
}

impl Snapshot {
    /// Whether `address` (canonical: no IPv4 in IPv6 form) is of a proxy that is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}
