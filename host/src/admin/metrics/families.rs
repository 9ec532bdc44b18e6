//! Every metric of the host's own. `docs/metrics.md` tells of each; a test compares.

use std::borrow::Cow;

use super::page::{Family, Kind};

const VHOST: &[&str] = &["tenant", "vhost"];
const MEMBER: &[&str] = &["tenant", "balancer", "member"];
const TENANT: &[&str] = &["tenant"];
const POLICY: &[&str] = &["tenant", "policy", "digest", "binding", "role"];
const RECORDING: &[&str] = &["tenant", "policy"];

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal $unit:literal $labels:expr, $help:literal;)*) => {
        $(pub(super) const $constant: Family = Family {
            name: Cow::Borrowed($name),
            kind: Kind::$kind,
            unit: $unit,
            labels: $labels,
            help: $help,
        };)*

        /// All of them, in the page's order.
        #[cfg(test)]
        pub(super) const ALL: &[Family] = &[$($constant,)*];
    };
}

families! {
    BUILD: Gauge "switchyard_build_info" "" &["version"], "Always 1; the version is the label.";
    START_TIME: Gauge "process_start_time_seconds" "seconds" &[], "When the process started, since 1970.";
    CPU: Counter "process_cpu_seconds" "seconds" &[], "CPU time of the process, user and system.";
    RESIDENT: Gauge "process_resident_memory_bytes" "bytes" &[], "Memory of the process that is resident.";
    DESCRIPTORS: Gauge "process_open_fds" "" &[], "Open file descriptors.";
    MAX_DESCRIPTORS: Gauge "process_max_fds" "" &[], "Most file descriptors the process may have.";
    THREADS: Gauge "process_threads" "" &[], "Threads of the process.";

    READY: Gauge "switchyard_ready" "" &[], "1 while clients are accepted: not before the ready line, and not while it drains.";
    GENERATION: Gauge "switchyard_config_generation" "" &[], "Number of the configuration in service, from 1.";
    LOADED_TIME: Gauge "switchyard_config_loaded_time_seconds" "seconds" &[], "When it was put into service, since 1970.";
    REFUSED: Gauge "switchyard_config_refused" "" &[], "1 while the configuration on disk is not the one in service, because it was refused.";
    RELOADS: Counter "switchyard_reloads" "" &["outcome"], "Reloads by what became of them: published, unchanged or refused.";
    CONNECTIONS: Gauge "switchyard_client_connections" "" &[], "Client connections open now.";
    REQUESTS: Counter "switchyard_requests" "" &["tenant", "vhost", "class"], "Finished requests by the class of their answer (none = without one). An empty vhost stands for requests that reached none.";
    REQUEST_BYTES: Counter "switchyard_request_bytes" "bytes" VHOST, "Bytes from clients, heads included.";
    RESPONSE_BYTES: Counter "switchyard_response_bytes" "bytes" VHOST, "Bytes to clients, heads included.";
    RETRIES: Counter "switchyard_retries" "" VHOST, "Members asked after the first one of a request.";
    BROKEN: Counter "switchyard_broken_answers" "" VHOST, "Answers that were broken off.";

    MEMBER_REQUESTS: Counter "switchyard_member_requests" "" MEMBER, "Requests begun at a member, retries included.";
    MEMBER_ANSWERS: Counter "switchyard_member_responses" "" &["tenant", "balancer", "member", "class"], "Answers of a member by class.";
    MEMBER_FAILURES: Counter "switchyard_member_failures" "" MEMBER, "Requests that failed at a member.";
    MEMBER_IN_FLIGHT: Gauge "switchyard_member_in_flight" "" MEMBER, "Requests under way at a member.";
    MEMBER_RECEIVED: Counter "switchyard_member_received_bytes" "bytes" MEMBER, "Bytes from a member.";
    MEMBER_SENT: Counter "switchyard_member_sent_bytes" "bytes" MEMBER, "Bytes to a member.";
    MEMBER_LATENCY: Gauge "switchyard_member_latency_seconds" "seconds" MEMBER, "Moving average of the time to the first byte; 0 = no answer yet.";
    MEMBER_CONNECTIONS: Gauge "switchyard_member_connections" "" &["tenant", "balancer", "member", "use"], "Connections to a member: busy or idle.";
    MEMBER_STATE: Gauge "switchyard_member_state" "" &["tenant", "balancer", "member", "state"], "1; the state is the label: ok, draining, disabled, stopped, standby, spare, blocked, due, trial or unhealthy.";

    ALIVE: Gauge "switchyard_instances" "" &[], "Instances of policies that exist: in service, being tried, or still held by requests of an older version.";
    CALLS: Counter "switchyard_policy_calls" "" POLICY, "Calls of a policy.";
    CALL_TIME: Histogram "switchyard_policy_call_cpu_seconds" "seconds" POLICY, "CPU time of a call, estimated from samples; the sum is what the policy used in all.";
    FAULTS: Counter "switchyard_policy_faults" "" &["tenant", "policy", "digest", "binding", "role", "kind"], "Failed calls and rebuilds by kind: trap, deadline, memory, host_limit or rebuild.";
    FALLBACKS: Counter "switchyard_policy_fallbacks" "" POLICY, "Decisions made without the policy: it failed, was out of service or throttled.";
    THROTTLED: Counter "switchyard_policy_throttled" "" POLICY, "Fallbacks because the tenant's CPU time was used up.";
    OVERRULED: Counter "switchyard_policy_overruled" "" POLICY, "What the host did not follow: verdicts out of range, unusable or already tried, second plans for a body.";
    QUARANTINES: Counter "switchyard_policy_quarantines" "" POLICY, "How often it was put in quarantine.";
    POLICY_STATE: Gauge "switchyard_policy_state" "" &["tenant", "policy", "digest", "binding", "role", "state"], "1; the state is the label: serving, probation or quarantined.";
    INSTANCES: Gauge "switchyard_policy_instances" "" POLICY, "Instances there are; made on first use, let go when idle.";
    WAITS: Counter "switchyard_policy_waits" "" POLICY, "Calls for which a worker found the instance busy with another worker's.";
    WAIT_TIME: Counter "switchyard_policy_wait_seconds" "seconds" POLICY, "Time that workers waited for them.";
    SLOW: Gauge "switchyard_policy_slow" "" POLICY, "1 while its calls run on the tenant's thread, since they take too long for a worker.";

    SHADOWED: Counter "switchyard_shadow_decisions" "" &["tenant", "policy", "digest", "binding", "result"], "Decisions of a shadow: agreed or differed with the one that was obeyed, unanswered or skipped.";
    SHADOW_DISTANCE: Gauge "switchyard_shadow_share_distance" "" &["tenant", "policy", "digest", "binding"], "How far the members' shares of a shadow and of what was obeyed are apart: 0 = the same, 1 = nothing in common.";
    CANARY_STATE: Gauge "switchyard_canary_state" "" &["tenant", "policy", "digest", "binding", "state"], "1; the state is the label: running, promoted or undone.";
    CANARY_ANSWERED: Counter "switchyard_canary_answered" "" &["tenant", "policy", "digest", "binding", "decided_by"], "Requests that a member answered, by who decided: the canary or others beside it.";
    CANARY_FAILED: Counter "switchyard_canary_failed" "" &["tenant", "policy", "digest", "binding", "decided_by"], "Likewise those that were answered 500 and above, or not at all.";
    VERSION_EVENTS: Counter "switchyard_policy_version_events" "" &["tenant", "policy", "event"], "What happened to versions since the start: in_service, refused, undone, promoted or withdrawn.";

    RECORDED_WINDOWS: Counter "switchyard_recording_windows" "" RECORDING, "Windows of calls that were begun to be recorded.";
    RECORDED_CALLS: Counter "switchyard_recording_calls" "" RECORDING, "Calls recorded.";
    RECORDING_DROPPED: Counter "switchyard_recording_dropped_windows" "" RECORDING, "Windows cut short because the disk was too slow.";
    RECORDING_BYTES: Counter "switchyard_recording_written_bytes" "bytes" RECORDING, "Bytes written.";
    RECORDING_ROTATIONS: Counter "switchyard_recording_rotations" "" RECORDING, "Full files put aside.";
    RECORDING_FAILED: Gauge "switchyard_recording_failed" "" RECORDING, "1 where the file cannot be written, so nothing is recorded.";

    TENANT_CONFIG_REFUSED: Gauge "switchyard_tenant_config_refused" "" TENANT, "1 while the tenant's files on disk are not what is in service, because they were refused.";
    TENANT_IN_FLIGHT: Gauge "switchyard_tenant_in_flight" "" TENANT, "Requests of a tenant under way.";
    TENANT_CONNECTIONS: Gauge "switchyard_tenant_connections" "" TENANT, "Connections to a tenant's members.";
    TENANT_CPU: Counter "switchyard_tenant_policy_cpu_seconds" "seconds" TENANT, "CPU time of a tenant's policies.";
    TENANT_REFUSED: Counter "switchyard_tenant_refused_requests" "" &["tenant", "quota"], "Requests refused for a quota: rate or in_flight.";
    TENANT_CLOSED: Counter "switchyard_tenant_refused_connections" "" &["tenant", "quota"], "Connections to members that were not opened for a quota: connections, or egress for where they led.";

    GUEST_REFUSED: Counter "switchyard_guest_series_refused" "" &["tenant", "policy", "digest"], "Series that a policy opened and did not get: over the cap, misnamed, or of another kind under the same name.";
    GUEST_CONFLICTS: Gauge "switchyard_guest_series_conflicts" "" &[], "Series of policies left out of this page, since their name means something else on it.";
    STORE_DROPPED: Counter "switchyard_store_writes_dropped" "" &["tenant"], "Writes to a tenant's store that were over its quota.";
}
