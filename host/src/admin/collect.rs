//! Gathers the facts for `/status` from where they live.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use super::status::{
    BalancerStatus, ConfigStatus, ConnectionsStatus, HistoryStatus, ListenerStatus, MemberStatus,
    PolicyStatus, Status, TenantStatus, TenantUsage, TroubleStatus,
};
use super::{Orders, candidates::CandidateStatus};
use crate::{
    control::{ControlFacts, PolicyFacts, ReloadCounts, TenantFacts, Trouble, VersionFacts},
    generation::Current,
    members::{Admission, Clock, Endpoint, Live, Pool},
    policy::{BindingStatus, CallTimes, FaultKind, StandingWord},
    recording::Recorders,
    snapshot::{self, PolicyRef, TenantName},
    telemetry::timestamp,
    tenants::{Tenants, Usage},
    wasm::Sample,
};

/// Where the facts come from.
pub struct Sources {
    /// Members' live state.
    pub live: Arc<Live>,
    /// What tenants use.
    pub tenants: Arc<Tenants>,
    /// What is in service.
    pub current: Arc<Current>,
    /// What the writer knows.
    pub facts: Box<dyn Fn() -> Arc<ControlFacts> + Send + Sync>,
    /// Where clients are accepted.
    pub listeners: Box<dyn Fn() -> Vec<SocketAddr> + Send + Sync>,
    /// Whether clients are accepted at all: false before the ready line and while draining.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// When the process started, milliseconds since 1970.
    pub started_at_ms: u64,
    /// Reloads so far.
    pub reloads: Box<dyn Fn() -> ReloadCounts + Send + Sync>,
    /// Client connections open now.
    pub connections: Box<dyn Fn() -> usize + Send + Sync>,
    /// Instances of policies that exist, whoever holds them.
    pub instances: Box<dyn Fn() -> usize + Send + Sync>,
    /// What policies count.
    pub guests: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
    /// What is written down of policies.
    pub recorders: Arc<Recorders>,
    /// Tells the writer what to do with a policy.
    pub orders: Orders,
}

impl Sources {
    /// What is in service now.
    pub(super) fn status(&self) -> Status {
        let facts = (self.facts)();
        let now = Clock::wall_ms();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: timestamp(self.started_at_ms),
            uptime_s: now.saturating_sub(self.started_at_ms) / 1_000,
            ready: (self.ready)(),
            config: ConfigStatus {
                path: facts.config.display().to_string(),
                generation: facts.generation,
                loaded_at: timestamp(facts.loaded_at_ms),
                last_error: facts.last_error.as_ref().map(trouble),
            },
            listeners: (self.listeners)()
                .into_iter()
                .map(|address| ListenerStatus {
                    address: address.to_string(),
                })
                .collect(),
            tenants: self.tenants(&facts),
            tenants_error: facts.tenants_error.as_ref().map(trouble),
            balancers: self
                .live
                .pools()
                .iter()
                .map(|pool| (pool.name().to_string(), balancer(pool)))
                .collect(),
            policies: self.policies(&facts),
        }
    }

    fn tenants(&self, facts: &ControlFacts) -> Vec<TenantStatus> {
        let usage = self.tenants.usage();
        let used = |name: &TenantName| usage.iter().find(|usage| usage.name == *name);
        let known = facts.tenants.iter();
        known
            .map(|facts| tenant(facts, used(&facts.name)))
            .collect()
    }

    fn policies(&self, facts: &ControlFacts) -> Vec<PolicyStatus> {
        let mut bound: BTreeMap<(Arc<str>, Arc<str>), Vec<BindingStatus>> = BTreeMap::new();
        for binding in self.current.load().bindings() {
            let status = binding.status();
            bound
                .entry((Arc::clone(&status.tenant), Arc::clone(&status.policy)))
                .or_default()
                .push(status);
        }
        let own = facts.policies.iter();
        let mut policies: Vec<_> = own
            .map(|own| {
                let key = (own.tenant.shared(), own.name.as_str().into());
                let bindings = bound.remove(&key).unwrap_or_default();
                policy((own.tenant.as_str(), &own.name), Some(own), &bindings)
            })
            .collect();
        let built_in = bound.iter();
        policies.extend(
            built_in.map(|((tenant, name), bindings)| policy((tenant, name), None, bindings)),
        );
        // The operator's first, then one tenant's after the other's.
        policies.sort_by_key(|policy| {
            let tenant = TenantName::new(&policy.tenant);
            (!tenant.is_operator(), tenant)
        });
        policies
    }
}

fn tenant(facts: &TenantFacts, usage: Option<&Usage>) -> TenantStatus {
    TenantStatus {
        name: facts.name.to_string(),
        folder: facts.folder.display().to_string(),
        state: facts.state.word().to_owned(),
        usage: usage.map(|usage| TenantUsage {
            in_flight: usage.in_flight,
            connections: usage.connections,
            policy_cpu_us: u64::try_from(usage.policy_cpu.as_micros()).unwrap_or(u64::MAX),
            over_requests: usage.over_rate,
            over_in_flight: usage.over_in_flight,
            over_connections: usage.over_connections,
            egress_refused: usage.egress_refused,
        }),
        last_error: facts.last_error.as_ref().map(trouble),
        unrecalled: facts.unrecalled.clone(),
    }
}

fn balancer(pool: &Pool) -> BalancerStatus {
    let members = pool.current();
    let name = |policy: &PolicyRef| match policy {
        PolicyRef::BuiltIn { name, .. } => (*name).to_owned(),
        PolicyRef::Named(name) => format!("policy:{}", pool.tenant().local(name)),
    };
    BalancerStatus {
        tenant: pool.tenant().to_string(),
        lbmethod: members.balancer.lbmethod.iter().map(name).collect(),
        affinity: (!members.balancer.affinity.is_empty()).then(|| {
            members
                .balancer
                .affinity
                .iter()
                .map(name)
                .collect::<Vec<_>>()
                .join(", ")
        }),
        revision: members.revision,
        members: members.endpoints.iter().map(member).collect(),
    }
}

fn member(endpoint: &Endpoint) -> MemberStatus {
    let settings = &endpoint.settings;
    let live = endpoint.live.status();
    MemberStatus {
        id: settings.id.to_string(),
        route: settings.route.clone(),
        status: allowed(settings.status).to_owned(),
        state: state(settings.status, live.admission).to_owned(),
        since: timestamp(live.since_ms),
        weight: f64::from(settings.weight) / 100.0,
        lbset: settings.lb_set,
        busy: live.busy,
        elected: live.elected,
        bytes_in: live.bytes_in,
        bytes_out: live.bytes_out,
        latency_us: live.latency_us,
        consecutive_failures: live.consecutive_failures,
        failures: live.failures,
        connections: ConnectionsStatus {
            open: live.connections,
            idle: live.idle_connections,
            max: settings.max_connections,
        },
        addresses: live.addresses.iter().map(ToString::to_string).collect(),
    }
}

fn allowed(status: snapshot::Status) -> &'static str {
    match status {
        snapshot::Status::Ok => "ok",
        snapshot::Status::Draining => "draining",
        snapshot::Status::Disabled => "disabled",
        snapshot::Status::Stopped => "stopped",
        snapshot::Status::Standby => "standby",
        snapshot::Status::Spare => "spare",
    }
}

/// One word for both: the operator's, unless it is worse than that.
pub(super) fn state(status: snapshot::Status, admission: Admission) -> &'static str {
    match (status, admission) {
        (snapshot::Status::Disabled | snapshot::Status::Stopped, _) | (_, Admission::Admitting) => {
            allowed(status)
        }
        (_, Admission::Blocked { .. }) => "blocked",
        (_, Admission::Due) => "due",
        (_, Admission::Trial) => "trial",
        (_, Admission::Unhealthy) => "unhealthy",
    }
}

fn policy(
    (tenant, name): (&str, &str),
    facts: Option<&PolicyFacts>,
    bindings: &[BindingStatus],
) -> PolicyStatus {
    let rank = |binding: &BindingStatus| match binding.standing {
        StandingWord::Serving => 0,
        StandingWord::Probation => 1,
        StandingWord::Quarantined => 2,
    };
    let words = ["serving", "probation", "quarantined"];
    let worst = bindings.iter().map(rank).max();
    let faults = bindings.iter().filter_map(|b| b.last_error.as_ref());
    let fault = faults.map(|e| (e.at_ms, e.what.as_str()));
    let refused = facts.and_then(|facts| facts.last_error.as_ref());
    let refused = refused.map(|e| (e.at_ms, e.what.as_str()));
    let digest = bindings.first().map(|b| b.digest.to_string());
    let places: BTreeSet<_> = bindings.iter().map(|b| b.binding.clone()).collect();
    PolicyStatus {
        tenant: tenant.to_owned(),
        name: name.to_owned(),
        digest: digest
            .or_else(|| facts.map(|facts| facts.digest.clone()))
            .unwrap_or_default(),
        state: worst.map_or("unused", |rank| words[rank]).to_owned(),
        calls: bindings.iter().map(|b| b.calls).sum(),
        faults: bindings.iter().map(BindingStatus::all_faults).sum(),
        overruled: bindings.iter().map(|b| b.overruled).sum(),
        call_time_us: bindings
            .iter()
            .map(|b| u64::try_from(b.times.total.as_micros()).unwrap_or(u64::MAX))
            .fold(0, u64::saturating_add),
        call_p50_ns: quantile(bindings, 0.5),
        call_p99_ns: quantile(bindings, 0.99),
        fault_kinds: FaultKind::ALL
            .into_iter()
            .enumerate()
            .map(|(at, kind)| {
                (
                    kind.word().to_owned(),
                    bindings.iter().map(|b| b.faults[at]).sum(),
                )
            })
            .filter(|(_, count)| *count > 0)
            .collect(),
        fallbacks: bindings.iter().map(|b| b.fallbacks).sum(),
        throttled: bindings.iter().map(|b| b.throttled).sum(),
        quarantines: bindings.iter().map(|b| b.quarantines).sum(),
        last_error: fault.chain(refused).max().map(|(at, what)| TroubleStatus {
            at: timestamp(at),
            what: what.to_owned(),
        }),
        bindings: places.into_iter().collect(),
        candidates: bindings.iter().filter_map(CandidateStatus::of).collect(),
        history: facts.map_or_else(Vec::new, |facts| {
            facts.history.iter().map(version).collect()
        }),
    }
}

/// The time that `share` of all calls stay below.
fn quantile(bindings: &[BindingStatus], share: f64) -> Option<u64> {
    let times = bindings.iter().map(|b| b.times);
    let all = times.fold(CallTimes::default(), CallTimes::and);
    let time = all.quantile(share)?;
    Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn version(version: &VersionFacts) -> HistoryStatus {
    HistoryStatus {
        at: timestamp(version.at_ms),
        digest: version.digest.clone(),
        cause: version.outcome.reason().to_owned(),
        outcome: version.outcome.word().to_owned(),
    }
}

fn trouble(trouble: &Trouble) -> TroubleStatus {
    TroubleStatus {
        at: timestamp(trouble.at_ms),
        what: trouble.what.clone(),
    }
}
