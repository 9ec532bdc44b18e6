//! Which policies there are and what they may use.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::TenantName;

/// One use of a policy: which, and configured how.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyRef {
    /// `byrequests`, `bytraffic`, `bybusyness`, `jsessionid` or `reverse`, with the configuration the host makes for it.
    BuiltIn {
        /// Its name.
        name: &'static str,
        /// Its configuration, see the policy's README.
        config: Value,
    },
    /// `policy:<name>`: a key into `Snapshot::policies` (a qualified name), which holds the
    /// configuration.
    Named(String),
}

/// Policies that are tried beside those in service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Candidates {
    /// Sees the same and is never obeyed.
    pub shadow: Option<ShadowRef>,
    /// Decides for a share.
    pub canary: Option<CanaryRef>,
}

/// A policy that sees what others see.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowRef {
    /// Which.
    pub policy: PolicyRef,
    /// Of 10,000 decisions. A balancer with a state sees all.
    pub sample: u32,
}

/// A policy that decides for a share.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryRef {
    /// Which.
    pub policy: PolicyRef,
    /// Of 10,000.
    pub share: u32,
    /// What tells one from the other.
    pub by: CanaryBy,
    /// It decides for all if it was no worse for so long; `None` = when somebody says so.
    pub promote_after: Option<Duration>,
}

/// What tells those a canary decides for from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CanaryBy {
    /// The session, or the client where there is none.
    Session,
    /// The client's address.
    Client,
    /// The tenant.
    Tenant,
    /// The value of this header, lower case; those without it are not decided for.
    Header(String),
}

/// A policy of the operator's or a tenant's own.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySource {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its name within the tenant, without `policy:`.
    pub name: String,
    /// Absolute path of the `.wasm` file; watched.
    pub source: PathBuf,
    /// The tenant's folder that `source` may not lead out of.
    pub beneath: Option<Arc<Path>>,
    /// Given to `describe` and `init` as JSON text.
    pub config: Value,
    /// When a new version is undone by itself; `None` = never.
    pub rollback: Option<Rollback>,
    /// What a failing call becomes.
    pub on_error: OnError,
    /// Limits of its own.
    pub limits: PolicyLimits,
    /// Where its decisions are written down; `None` = nowhere.
    pub record: Option<Record>,
}

/// A policy's recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Absolute path of the file.
    pub path: PathBuf,
    /// Share of the calls, above 0, at most 1.
    pub sample: f64,
    /// Names of headers, cookies and parameters whose values are replaced.
    pub redact: Vec<String>,
    /// Bytes of a file, after which it is put aside and a new one begun.
    pub max_size: u64,
}

/// When a version that is worse than the one before is undone.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollback {
    /// It is watched for so many calls.
    pub calls: u64,
    /// Or for so long.
    pub time: Duration,
    /// So much more of its calls may fail, 0 to 1.
    pub errors: f64,
    /// So many times longer may the slowest hundredth of its calls take.
    pub slower: f64,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            calls: 10_000,
            time: Duration::from_secs(60),
            errors: 0.01,
            slower: 4.0,
        }
    }
}

/// What the request gets where a policy failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The built-in of the same kind (a rewriter passes the answer on unchanged).
    BuiltIn,
    /// The version before, else the built-in.
    Previous,
    /// 503 (a rewriter: 502).
    Refuse,
}

/// What a policy may use. Every bound has its reason in `docs/security.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyLimits {
    /// CPU time of one decision.
    pub deadline: Duration,
    /// CPU time of `describe`, `init`, `restore` and `members-changed`, off the request's path.
    pub init_deadline: Duration,
    /// Linear memory of one instance, bytes.
    pub memory: usize,
    /// Size of the `.wasm` file, bytes.
    pub module_size: usize,
    /// CPU time of compiling it.
    pub compile_time: Duration,
    /// Memory of compiling it, bytes.
    pub compile_memory: usize,
    /// Log bytes a second and instance; more are dropped and counted.
    pub log_bytes: u32,
    /// An instance that is not asked for so long is let go.
    pub idle: Duration,
    /// Failures within `failure_window` that quarantine it.
    pub failures: u32,
    /// See `failures`.
    pub failure_window: Duration,
    /// How long a quarantine lasts before a probation.
    pub quarantine: Duration,
}
