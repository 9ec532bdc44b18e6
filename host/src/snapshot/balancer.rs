//! Balancers and their members.

use std::{fmt, sync::Arc, time::Duration};

use super::{Candidates, PolicyRef, TenantName};

/// A named group of members and how one of them is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancer {
    /// Whose it is.
    pub tenant: TenantName,
    /// Qualified, lower case; `vhost/path` for a route with `proxy = "http://…"`.
    pub name: String,
    /// The chain that picks: each may abstain, the host's rotation is the last resort.
    pub lbmethod: Vec<PolicyRef>,
    /// Stickiness: the first that finds a session is followed; empty = every request is picked afresh.
    pub affinity: Vec<PolicyRef>,
    /// Tried beside those.
    pub candidates: Candidates,
    /// In file order.
    pub members: Vec<Arc<Member>>,
    /// Tries after the first one. Default: members - 1.
    pub max_attempts: u32,
    /// Statuses of a member that put it in error; the answer itself is delivered.
    pub fail_on_status: Vec<StatusRange>,
    /// A member that does not answer in time is put in error.
    pub fail_on_timeout: bool,
    /// Try members in error when there are no others.
    pub force_recovery: bool,
    /// How long a request waits for a usable member before 503; zero = not at all.
    pub wait: Duration,
    /// Ramp for a member that joins or returns; zero = none.
    pub slow_start: Duration,
    /// Active checks; `None` = passive only.
    pub health: Option<HealthCheck>,
    /// Half-life of the byte counters that `bytraffic` compares; zero = never, as httpd.
    pub traffic_half_life: Duration,
}

impl Balancer {
    /// Its name within its tenant.
    pub fn local_name(&self) -> &str {
        self.tenant.local(&self.name)
    }
}

/// One upstream server.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The normalised URL: `http://10.0.0.3:8080/Test`, port always given, no trailing slash.
    pub id: MemberId,
    /// Only `http` so far.
    pub scheme: Scheme,
    /// Name or address, lower case; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `/Test`, or empty. Put in front of what is left of the path.
    pub base_path: String,
    /// Affinity route (Tomcat's jvmRoute); empty when unset.
    pub route: String,
    /// Route that takes over the sessions of this member while it is unusable; empty when unset.
    pub redirect: String,
    /// loadfactor in hundredths, 100 to 10000.
    pub weight: u32,
    /// Lower sets are used up before higher ones.
    pub lb_set: u32,
    /// What the operator allows.
    pub status: Status,
    /// Time in error before one trial request.
    pub retry: Duration,
    /// For the TCP connect.
    pub connect_timeout: Duration,
    /// From the last byte sent to the answer's head, and between bytes of its body.
    pub answer_timeout: Duration,
    /// Connections over all workers; `None` = unlimited.
    pub max_connections: Option<u32>,
    /// How long a request waits for one of them.
    pub acquire_timeout: Duration,
    /// Keep connections open between requests.
    pub keepalive: bool,
    /// Close a kept connection after this long.
    pub idle_timeout: Duration,
    /// For policies.
    pub labels: Vec<(String, String)>,
}

/// Identity of a member across reloads, within its balancer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(pub Arc<str>);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a member is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP/1.1.
    Http,
}

/// What the operator allows a member to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Serves.
    Ok,
    /// Serves the sessions it has, takes no new ones (httpd's N).
    Draining,
    /// Serves nothing (D).
    Disabled,
    /// Serves nothing and is not checked (S).
    Stopped,
    /// Serves when no ordinary member of its set can (H).
    Standby,
    /// Serves in place of an unusable member of its set (R).
    Spare,
}

/// Statuses from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// 100 to 599.
    pub first: u16,
    /// Not below `first`.
    pub last: u16,
}

impl StatusRange {
    /// Whether `status` lies within.
    pub fn contains(&self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Asked with GET, below no base path: as written.
    pub path: String,
    /// Between two checks of one member, jittered by a tenth.
    pub interval: Duration,
    /// Consecutive passes that bring a member back.
    pub rise: u32,
    /// Consecutive failures that take it out.
    pub fall: u32,
    /// What counts as a pass; 200 to 399 by default.
    pub expect: Vec<StatusRange>,
    /// For connect and answer together.
    pub timeout: Duration,
}
