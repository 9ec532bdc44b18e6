//! Listeners, logs and limits.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// One socket that accepts clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Port 0 asks the system for a free one; the ready line names it.
    pub bind: SocketAddr,
    /// Expect a PROXY protocol header (v1 or v2) from trusted peers.
    pub proxy_protocol: bool,
}

/// Where the read-only JSON endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Loopback or a Unix socket unless the operator insists.
    pub bind: AdminBind,
    /// Values of `Host` that are answered; loopback names are always among them.
    pub hosts: Vec<String>,
    /// The secret of whoever may give orders; absolute.
    pub token_file: Option<PathBuf>,
}

/// The address of the admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminBind {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl AdminBind {
    /// Where, if it is TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

/// Both logs of the process or of one vhost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Operator's actions and faults; standard error where no path is given.
    pub error: ErrorLog,
    /// One line a request; `None` writes none.
    pub access: Option<AccessLog>,
}

/// The error log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    /// The tenant's folder that it may not lead out of.
    pub beneath: Option<Arc<Path>>,
    /// `None` = standard error.
    pub path: Option<PathBuf>,
    /// Least important level that is written.
    pub level: Level,
}

/// Importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// Per-request detail.
    Debug,
    /// An operator's action worked.
    Info,
    /// Something went wrong and was coped with.
    Warn,
    /// Somebody must act.
    Error,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The tenant's folder that it may not lead out of.
    pub beneath: Option<Arc<Path>>,
    /// `None` = standard output.
    pub path: Option<PathBuf>,
    /// How a line is made.
    pub format: AccessFormat,
}

/// The shape of an access log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessFormat {
    /// The NCSA common log format.
    Common,
    /// Common, with Referer and User-Agent.
    Combined,
    /// One JSON object a line.
    Json,
    /// httpd's `LogFormat` letters; checked by `config` through `telemetry`.
    Custom(String),
}

/// Bounds on clients. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Request line and fields together, and likewise the head of a member's answer.
    pub head_size: usize,
    /// Number of field lines.
    pub field_count: usize,
    /// Request body; 0 = unlimited.
    pub body_size: u64,
    /// From the first byte of a head to its end.
    pub head_timeout: Duration,
    /// Longest pause within a request body.
    pub body_timeout: Duration,
    /// Longest wait for the next request on a kept-alive connection.
    pub idle_timeout: Duration,
    /// Longest wait for a client to take bytes of an answer.
    pub write_timeout: Duration,
    /// Longest silence, in both directions, of a connection that was upgraded.
    pub tunnel_timeout: Duration,
    /// Requests served on one client connection before it is closed; 0 = unlimited.
    pub requests_per_connection: u32,
    /// Client connections over all workers; more wait in the backlog.
    pub connections: usize,
}
