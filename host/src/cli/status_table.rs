//! `switchyard status` for people.

use std::fmt::Write as _;

use crate::{
    admin::{
        BalancerStatus, MemberStatus, PolicyStatus, Status, TenantStatus, TenantUsage,
        TroubleStatus,
    },
    snapshot::TenantName,
};

/// Versions of a policy that are shown; `--json` has them all.
const VERSIONS: usize = 5;

/// What is in service, as tables.
pub(super) fn render(status: &Status) -> String {
    let mut out = String::new();
    let ready = if status.ready { "ready" } else { "not ready" };
    let (version, pid) = (&status.version, status.pid);
    let up = span(status.uptime_s);
    let _ = writeln!(out, "switchyard {version}, process {pid}, up {up}, {ready}");
    let config = &status.config;
    let (path, generation, at) = (&config.path, config.generation, &config.loaded_at);
    let _ = writeln!(
        out,
        "config     {path}, generation {generation}, since {at}"
    );
    if let Some(trouble) = &config.last_error {
        trouble_line(&mut out, "           not in service: ", trouble);
    }
    for listener in &status.listeners {
        let _ = writeln!(out, "listener   {}", listener.address);
    }
    if let Some(trouble) = &status.tenants_error {
        trouble_line(&mut out, "tenants    ", trouble);
    }
    if !status.tenants.is_empty() {
        out.push('\n');
        tenant_table(&mut out, &status.tenants);
    }
    for (name, balancer) in &status.balancers {
        out.push('\n');
        balancer_table(&mut out, name, balancer);
    }
    let same = |one: &PolicyStatus, other: &PolicyStatus| one.tenant == other.tenant;
    for policies in status.policies.chunk_by(same) {
        out.push('\n');
        policy_table(&mut out, policies);
    }
    // Names and messages come from files, guests and members.
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn tenant_table(out: &mut String, tenants: &[TenantStatus]) {
    let mut table = Table::new(&[
        "TENANT",
        "STATE",
        "IN FLIGHT",
        "OPEN",
        "POLICY CPU",
        "OVER RATE",
        "OVER FLIGHT",
        "OVER OPEN",
        "EGRESS",
    ]);
    for tenant in tenants {
        let usage = tenant.usage.as_ref();
        let number = |of: fn(&TenantUsage) -> u64| {
            usage.map_or("-".to_owned(), |usage| of(usage).to_string())
        };
        table.row([
            tenant.name.clone(),
            tenant.state.replace('_', " "),
            number(|usage| usage.in_flight.into()),
            number(|usage| usage.connections.into()),
            usage.map_or("-".to_owned(), |usage| micros(usage.policy_cpu_us)),
            number(|usage| usage.over_requests),
            number(|usage| usage.over_in_flight),
            number(|usage| usage.over_connections),
            number(|usage| usage.egress_refused),
        ]);
    }
    table.print(out);
    for tenant in tenants {
        if let Some(trouble) = &tenant.last_error {
            let label = format!("  {}: not in service: ", tenant.name);
            trouble_line(out, &label, trouble);
        }
        if let Some(why) = &tenant.unrecalled {
            let _ = writeln!(out, "  {}: nor is what it served last: {why}", tenant.name);
        }
    }
}

fn balancer_table(out: &mut String, name: &str, balancer: &BalancerStatus) {
    let tenant = TenantName::new(&balancer.tenant);
    let (name, owner) = (tenant.local(name), owner(&tenant));
    let methods = balancer.lbmethod.join(", then ");
    let _ = write!(out, "balancer {name}{owner}: {methods}");
    if let Some(affinity) = &balancer.affinity {
        let _ = write!(out, "; sessions by {affinity}");
    }
    out.push('\n');
    let mut table = Table::new(&[
        "MEMBER",
        "ROUTE",
        "STATE",
        "WEIGHT",
        "SET",
        "BUSY",
        "ELECTED",
        "IN",
        "OUT",
        "LATENCY",
        "FAILED",
        "OPEN/IDLE/MAX",
    ]);
    for member in &balancer.members {
        let connections = &member.connections;
        let max = connections
            .max
            .map_or("-".to_owned(), |max| max.to_string());
        table.row([
            member.id.clone(),
            dash(&member.route),
            state(member),
            member.weight.to_string(),
            member.lbset.to_string(),
            member.busy.to_string(),
            member.elected.to_string(),
            bytes(member.bytes_in),
            bytes(member.bytes_out),
            micros(u64::from(member.latency_us)),
            format!("{}/{}", member.consecutive_failures, member.failures),
            format!("{}/{}/{max}", connections.open, connections.idle),
        ]);
    }
    table.print(out);
}

/// Names are told within their tenant, so that has to be told too.
fn owner(tenant: &TenantName) -> String {
    match tenant.is_operator() {
        true => String::new(),
        false => format!(" of tenant {tenant}"),
    }
}

/// Of one tenant.
fn policy_table(out: &mut String, policies: &[PolicyStatus]) {
    let tenant = policies
        .first()
        .map(|policy| TenantName::new(&policy.tenant));
    let owner = tenant.as_ref().map(owner).unwrap_or_default();
    if !owner.is_empty() {
        let _ = writeln!(out, "policies{owner}");
    }
    let mut table = Table::new(&[
        "POLICY",
        "DIGEST",
        "STATE",
        "CALLS",
        "MEAN",
        "P50",
        "P99",
        "FAULTS",
        "FALLBACKS",
        "OVERRULED",
        "USED BY",
    ]);
    for policy in policies {
        let mean = policy.call_time_us.checked_div(policy.calls);
        table.row([
            policy.name.clone(),
            short(&policy.digest).to_owned(),
            policy.state.clone(),
            policy.calls.to_string(),
            mean.map_or("-".to_owned(), micros),
            policy.call_p50_ns.map_or("-".to_owned(), nanos),
            policy.call_p99_ns.map_or("-".to_owned(), nanos),
            faults(policy),
            policy.fallbacks.to_string(),
            policy.overruled.to_string(),
            dash(&policy.bindings.join(", ")),
        ]);
    }
    table.print(out);
    for policy in policies {
        let tried = &policy.candidates;
        if policy.last_error.is_none() && policy.history.is_empty() && tried.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\npolicy {}{owner}", policy.name);
        super::status_candidates::candidates(out, tried);
        if let Some(trouble) = &policy.last_error {
            trouble_line(out, "  last error: ", trouble);
        }
        for version in policy.history.iter().take(VERSIONS) {
            let digest = version.digest.as_deref().map_or("-", short);
            let outcome = version.outcome.replace('_', " ");
            let cause = first_line(&version.cause);
            let _ = writeln!(out, "  {}  {digest:12}  {outcome:10}  {cause}", version.at);
        }
    }
}

/// How many, and of what kind: `3 (2 trap, 1 deadline)`.
fn faults(policy: &PolicyStatus) -> String {
    let kinds = policy.fault_kinds.iter();
    let kinds: Vec<_> = kinds
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match kinds.is_empty() {
        true => policy.faults.to_string(),
        false => format!("{} ({})", policy.faults, kinds.join(", ")),
    }
}

/// Short calls take some hundred.
fn nanos(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns}ns"),
        ns => micros(ns / 1_000),
    }
}

fn trouble_line(out: &mut String, label: &str, trouble: &TroubleStatus) {
    let indent = " ".repeat(label.len());
    let mut lines = trouble.what.lines();
    let first = lines.next().unwrap_or_default();
    let _ = writeln!(out, "{label}{first} ({})", trouble.at);
    for line in lines {
        let _ = writeln!(out, "{indent}{line}");
    }
}

fn state(member: &MemberStatus) -> String {
    match (member.status.as_str(), member.state.as_str()) {
        (status, state) if status == state || status == "ok" => state.to_owned(),
        (status, state) => format!("{status}, {state}"),
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn dash(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn micros(us: u64) -> String {
    match us {
        0 => "-".to_owned(),
        1..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{:.1}s", us as f64 / 1e6),
    }
}

fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return match unit {
                "B" => format!("{count}B"),
                unit => format!("{value:.1}{unit}"),
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}TiB")
}

/// Columns as wide as their widest cell; numbers are aligned to the right.
struct Table<const N: usize> {
    head: [String; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(head: &[&str; N]) -> Self {
        Self {
            head: head.map(str::to_owned),
            rows: Vec::new(),
        }
    }

    fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    fn print(&self, out: &mut String) {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
        let number = |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        let right: [bool; N] = std::array::from_fn(|column| {
            column > 1 && self.rows.iter().all(|row| number(&row[column]))
        });
        for row in all() {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(widths).zip(right) {
                let _ = match right {
                    true => write!(line, "  {cell:>width$}"),
                    false => write!(line, "  {cell:width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Status {
        let member = |id: &str, state: &str, busy: u32, max: Option<u32>| {
            json!({
                "id": id, "route": "w1", "status": "ok", "state": state,
                "since": "2026-11-22T23:48:12.345Z", "weight": 1.5, "lbset": 0, "busy": busy,
                "elected": 1234, "bytes_in": 2048, "bytes_out": 17, "latency_us": 1500,
                "consecutive_failures": 0, "failures": 3,
                "connections": { "open": 2, "idle": 1, "max": max }, "addresses": [],
            })
        };
        serde_json::from_value(json!({
            "version": "0.1.0", "pid": 7, "started_at": "2026-11-22T23:48:12.345Z",
            "uptime_s": 3_725, "ready": true,
            "config": {
                "path": "/etc/switchyard.toml", "generation": 4,
                "loaded_at": "2026-11-23T00:00:00.000Z",
                "last_error": { "at": "2026-11-23T00:10:00.000Z", "what": "line 1\nline 2\u{1b}[2J" },
            },
            "listeners": [{ "address": "0.0.0.0:8080" }],
            "balancers": { "app": {
                "lbmethod": ["policy:canary", "byrequests"], "affinity": "jsessionid", "revision": 1,
                "members": [
                    member("http://10.0.0.1:8080", "ok", 11, None),
                    member("http://10.0.0.22:8080", "blocked", 0, Some(10)),
                ],
            } },
            "policies": [{
                "name": "canary", "digest": "0123456789abcdef", "state": "serving", "calls": 10,
                "faults": 1, "overruled": 0, "call_time_us": 55,
                "call_p50_ns": 500, "call_p99_ns": 25_000, "fault_kinds": { "trap": 1 }, "fallbacks": 2, "bindings": ["default/app"],
                "last_error": { "at": "2026-11-23T00:10:00.000Z", "what": "trapped" },
                "history": [{
                    "at": "2026-11-23T00:00:00.000Z", "digest": "0123456789abcdef",
                    "cause": "start", "outcome": "in_service",
                }],
            }],
        }))
        .unwrap()
    }

    #[test]
    fn tables_are_aligned_and_show_trouble_where_it_is() {
        let expected = "\
switchyard 0.1.0, process 7, up 1 h 2 min, ready
config     /etc/switchyard.toml, generation 4, since 2026-11-23T00:00:00.000Z
           not in service: line 1 (2026-11-23T00:10:00.000Z)
                           line 2\u{fffd}[2J
listener   0.0.0.0:8080

balancer app: policy:canary, then byrequests; sessions by jsessionid
  MEMBER                 ROUTE  STATE    WEIGHT  SET  BUSY  ELECTED      IN  OUT  LATENCY  FAILED  OPEN/IDLE/MAX
  http://10.0.0.1:8080   w1     ok          1.5    0    11     1234  2.0KiB  17B    1.5ms     0/3          2/1/-
  http://10.0.0.22:8080  w1     blocked     1.5    0     0     1234  2.0KiB  17B    1.5ms     0/3         2/1/10

  POLICY  DIGEST        STATE    CALLS  MEAN    P50   P99      FAULTS  FALLBACKS  OVERRULED  USED BY
  canary  0123456789ab  serving     10   5us  500ns  25us  1 (1 trap)          2          0  default/app

policy canary
  last error: trapped (2026-11-23T00:10:00.000Z)
  2026-11-23T00:00:00.000Z  0123456789ab  in service  start
";
        let rendered = render(&status());
        assert!(rendered == expected, "{rendered}");
    }

    #[test]
    fn quantities_are_short() {
        for (us, expected) in [
            (0, "-"),
            (999, "999us"),
            (1_000, "1.0ms"),
            (2_500_000, "2.5s"),
        ] {
            assert_eq!(micros(us), expected);
        }
        for (count, expected) in [
            (0, "0B"),
            (1_023, "1023B"),
            (1_536, "1.5KiB"),
            (u64::MAX, "16777216.0TiB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
        for (seconds, expected) in [
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_600, "1 h 0 min"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(span(seconds), expected);
        }
    }
}
