//! The document at `/status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::candidates::CandidateStatus;

use crate::snapshot::TenantName;

/// What is in service. Times are RFC 3339, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Process number.
    pub pid: u32,
    /// When the process started.
    pub started_at: String,
    /// Since then, in seconds.
    pub uptime_s: u64,
    /// Whether it accepts clients: not before it is ready, and not while it drains.
    pub ready: bool,
    /// Where the configuration stands.
    pub config: ConfigStatus,
    /// Where clients are accepted.
    pub listeners: Vec<ListenerStatus>,
    /// Who has a folder beneath the tenants' folder, by name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tenants: Vec<TenantStatus>,
    /// What is wrong with that folder; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tenants_error: Option<TroubleStatus>,
    /// By name; a tenant's own have its name in front: `acme:shop`.
    pub balancers: BTreeMap<String, BalancerStatus>,
    /// The operator's own ones and the built-in ones in use, by name.
    pub policies: Vec<PolicyStatus>,
}

/// Where the configuration stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// The main file.
    pub path: String,
    /// Number of the generation in service, from 1.
    pub generation: u64,
    /// When it was put into service.
    pub loaded_at: String,
    /// Why what is on disk is not what is in service; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<TroubleStatus>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TroubleStatus {
    /// When.
    pub at: String,
    /// What.
    pub what: String,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantStatus {
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub folder: String,
    /// `serving`; `last_good` where what is on disk is refused and it serves what it had before;
    /// `compiling` or `left_out` where nothing of it is in service, not yet or not at all.
    pub state: String,
    /// What it uses; absent where nothing of it is in service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<TenantUsage>,
    /// Why what is on disk of it is not in service; absent when it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<TroubleStatus>,
    /// Why what it served last, kept by an earlier run, could not take its place.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unrecalled: Option<String>,
}

/// What a tenant uses, and how often it wanted more than its quota.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TenantUsage {
    /// Requests that have not ended.
    pub in_flight: u32,
    /// Connections to its members.
    pub connections: u32,
    /// CPU time of its policies so far.
    pub policy_cpu_us: u64,
    /// Requests refused: too many a second.
    pub over_requests: u64,
    /// Requests refused: too many at once.
    pub over_in_flight: u64,
    /// Connections not opened: too many.
    pub over_connections: u64,
    /// Connections not opened: its members may not be there.
    pub egress_refused: u64,
}

/// A socket that accepts clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// With the real port.
    pub address: String,
}

/// A balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BalancerStatus {
    /// Whose it is: `default` for the operator.
    #[serde(default = "operator")]
    pub tenant: String,
    /// The chain that picks, as configured.
    pub lbmethod: Vec<String>,
    /// The policy that holds sessions; absent without stickiness.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub affinity: Option<String>,
    /// Of the pool's members; rises with every change.
    pub revision: u64,
    /// In the configuration's order.
    pub members: Vec<MemberStatus>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its URL.
    pub id: String,
    /// Affinity route; may be empty.
    pub route: String,
    /// What the operator allows: `ok`, `draining`, `disabled`, `stopped`, `standby` or `spare`.
    pub status: String,
    /// What it is: the same word, or `blocked` (in error), `due` (its trial is), `trial` (is under
    /// way) or `unhealthy` (fails its checks).
    pub state: String,
    /// Since when.
    pub since: String,
    /// loadfactor.
    pub weight: f64,
    /// Lower ones are used up first.
    pub lbset: u32,
    /// Requests under way.
    pub busy: u32,
    /// Times chosen.
    pub elected: u64,
    /// From the member.
    pub bytes_in: u64,
    /// To the member.
    pub bytes_out: u64,
    /// Moving average until the first byte; 0 = no sample yet.
    pub latency_us: u32,
    /// In a row.
    pub consecutive_failures: u32,
    /// In all.
    pub failures: u64,
    /// Sockets to it.
    pub connections: ConnectionsStatus,
    /// Where its name leads; empty = it does not resolve.
    pub addresses: Vec<String>,
}

/// Sockets to a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionsStatus {
    /// In use or idle.
    pub open: u32,
    /// Waiting for a request.
    pub idle: usize,
    /// `null` = no limit.
    pub max: Option<u32>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Whose it is: `default` for the operator.
    #[serde(default = "operator")]
    pub tenant: String,
    /// Its name.
    pub name: String,
    /// SHA-256 of the version in service.
    pub digest: String,
    /// `serving`, `probation` or `quarantined`: the worst of its bindings; `unused` without any.
    pub state: String,
    /// Calls so far, of all its bindings.
    pub calls: u64,
    /// Those that failed.
    pub faults: u64,
    /// Verdicts that the host did not follow.
    pub overruled: u64,
    /// Time in its calls.
    pub call_time_us: u64,
    /// Half of its calls take no longer, nanoseconds; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub call_p50_ns: Option<u64>,
    /// Likewise of 99 in 100.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub call_p99_ns: Option<u64>,
    /// Failed calls by kind: `trap`, `deadline`, `memory`, `host_limit`, `rebuild`.
    #[serde(default)]
    pub fault_kinds: BTreeMap<String, u64>,
    /// Decisions that were made without it.
    #[serde(default)]
    pub fallbacks: u64,
    /// Those of them because the tenant's CPU time was used up.
    #[serde(default)]
    pub throttled: u64,
    /// How often it was put in quarantine.
    #[serde(default)]
    pub quarantines: u64,
    /// Its latest fault or refusal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<TroubleStatus>,
    /// Where it is used.
    pub bindings: Vec<String>,
    /// Where it is tried.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub candidates: Vec<CandidateStatus>,
    /// Versions lately, the newest first; built-in ones have none.
    pub history: Vec<HistoryStatus>,
}

fn operator() -> String {
    TenantName::operator().to_string()
}

/// Something that happened to a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// When.
    pub at: String,
    /// Of the file; `null` where it could not be read.
    pub digest: Option<String>,
    /// Why it was loaded, or why it was refused.
    pub cause: String,
    /// `in_service`, `refused`, `undone`, or of a canary `promoted` or `withdrawn`.
    pub outcome: String,
}
