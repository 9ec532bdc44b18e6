//! Which policies there are and what they may use.

use std::{
    collections::BTreeMap,
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
    /// What the operator allows single files beyond that.
    pub raises: Arc<BTreeMap<String, CompileRaise>>,
}

impl PolicySource {
    /// The largest file that is worth reading: which one it is shows only then.
    pub fn largest(&self) -> usize {
        let raised = self.raises.values().filter_map(|raise| raise.module_size);
        raised.fold(self.limits.module_size, usize::max)
    }

    /// The limits for the file with this SHA-256, in lower-case hexadecimal digits.
    pub fn limits_of(&self, digest: &str) -> PolicyLimits {
        let mut limits = self.limits.clone();
        if let Some(raise) = self.raises.get(digest) {
            let CompileRaise {
                time,
                memory,
                module_size,
            } = *raise;
            limits.compile_time = time.unwrap_or_default().max(limits.compile_time);
            limits.compile_memory = memory.unwrap_or_default().max(limits.compile_memory);
            limits.module_size = module_size.unwrap_or_default().max(limits.module_size);
        }
        limits
    }
}

/// What compiling one file, named by its digest, may take beyond the limits of its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompileRaise {
    /// CPU time.
    pub time: Option<Duration>,
    /// Bytes of memory.
    pub memory: Option<usize>,
    /// Bytes of the file.
    pub module_size: Option<usize>,
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
    /// Entries of the function tables of one instance.
    pub table_elements: usize,
    /// Instances that the policy may have at one time.
    pub instances: usize,
    /// Log bytes a second, of all its instances together; more are dropped and counted.
    pub log_bytes: u32,
    /// Metric series of one version; more do nothing and are counted.
    pub metric_series: usize,
    /// Keys of the tenant's store that it may fill up to; what exceeds that is dropped and counted.
    pub store_keys: usize,
    /// Bytes of keys and values likewise.
    pub store_bytes: usize,
    /// Shared cells of one binding.
    pub shared_cells: usize,
    /// An instance that is not asked for so long is let go.
    pub idle: Duration,
    /// Failures within `failure_window` that quarantine it.
    pub failures: u32,
    /// See `failures`.
    pub failure_window: Duration,
    /// How long a quarantine lasts before a probation.
    pub quarantine: Duration,
}

impl Default for PolicyLimits {
    /// Safe for a policy that nobody has read.
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(5),
            init_deadline: Duration::from_secs(1),
            memory: 32 << 20,
            module_size: 32 << 20,
            compile_time: Duration::from_secs(5),
            compile_memory: 512 << 20,
            table_elements: 20_000,
            instances: 256,
            log_bytes: 64 << 10,
            metric_series: 256,
            store_keys: 10_000,
            store_bytes: 8 << 20,
            shared_cells: 64 << 10,
            idle: Duration::from_secs(600),
            failures: 5,
            failure_window: Duration::from_secs(60),
            quarantine: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_raise_is_for_one_file_and_never_lowers() {
        let raise = CompileRaise {
            time: Some(Duration::from_secs(60)),
            memory: Some(1),
            module_size: None,
        };
        let larger = CompileRaise {
            module_size: Some(64 << 20),
            ..CompileRaise::default()
        };
        let policy = PolicySource {
            tenant: TenantName::default(),
            name: "p".into(),
            source: "p.wasm".into(),
            beneath: None,
            config: json!({}),
            record: None,
            rollback: None,
            on_error: OnError::BuiltIn,
            limits: PolicyLimits::default(),
            raises: Arc::new([("aa".into(), raise), ("bb".into(), larger)].into()),
        };
        let expected = PolicyLimits {
            compile_time: Duration::from_secs(60),
            ..PolicyLimits::default()
        };
        assert_eq!(policy.limits_of("aa"), expected);
        assert_eq!(policy.limits_of("cc"), PolicyLimits::default());
        assert_eq!(policy.largest(), 64 << 20);
    }
}
