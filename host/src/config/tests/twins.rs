//! For every key of the format a bad value, and what is said about it.

use std::collections::BTreeSet;

use super::{
    super::{Severity, schema},
    bad_values::TWINS,
    read,
};

/// Each table with keys that make it good.
const TABLES: [(&str, &str, &[&str]); 23] = [
    ("Config", "", &["version = 1"]),
    ("AdminTable", "[admin]", &[]),
    ("LogTable", "[log]", &[]),
    ("ErrorLogTable", "[vhost.log.error]", &[]),
    ("AccessTable", "[vhost.log.access]", &[]),
    ("ListenerTable", "[[listener]]", &["bind = \"127.0.0.1:0\""]),
    ("LimitsTable", "[limits]", &[]),
    ("PolicyLimitsTable", "[limits.policy]", &[]),
    ("VhostTable", "[[vhost]]", &["name = \"a.example\""]),
    (
        "FilesTable",
        "[vhost.document_root]",
        &["path = \"htdocs\""],
    ),
    ("RedirectTable", "[vhost.route.redirect]", &["to = \"/b\""]),
    ("ReverseTable", "[vhost.route.reverse]", &[]),
    ("BalancerTable", "[balancer.app]", &[]),
    ("RouteCookieTable", "[balancer.app.route_cookie]", &[]),
    ("HealthTable", "[balancer.app.health]", &[]),
    (
        "MemberTable",
        "[[balancer.app.member]]",
        &["url = \"http://10.0.0.1\""],
    ),
    ("PolicyTable", "[policy.own]", &["source = \"own.wasm\""]),
    ("RollbackTable", "[policy.own.rollback]", &[]),
    (
        "ShadowTable",
        "[balancer.app.shadow]",
        &["policy = \"own\""],
    ),
    (
        "CanaryTable",
        "[balancer.app.canary]",
        &["policy = \"own\""],
    ),
    ("QuotaTable", "[tenant.acme]", &[]),
    (
        "RecordTable",
        "[policy.own.record]",
        &["path = \"own.rec\""],
    ),
    (
        "CompileTable",
        "[compile.e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855]",
        &[],
    ),
];

/// The file with `line` in `table`, in place of a line for the same key.
fn file(table: &str, line: &str) -> String {
    let key = line.split(" =").next().expect("a key");
    let mut text = String::new();
    let mut add = |name: &str, header: &str, good: &[&str]| {
        let lines = good
            .iter()
            .filter(|good| table != name || !good.starts_with(&format!("{key} =")));
        text.push_str(&format!("{header}\n"));
        text.extend(lines.map(|line| format!("{line}\n")));
        if table == name {
            text.push_str(&format!("{line}\n"));
        }
    };
    let table_of = |name: &str| {
        TABLES
            .into_iter()
            .find(|(n, ..)| *n == name)
            .expect("a table")
    };
    for name in [
        "Config",
        "AdminTable",
        "LogTable",
        "ListenerTable",
        "LimitsTable",
        "PolicyLimitsTable",
        "VhostTable",
    ] {
        let (name, header, good) = table_of(name);
        add(name, header, good);
    }
    for name in ["ErrorLogTable", "AccessTable", "FilesTable"] {
        let (name, header, good) = table_of(name);
        // These have other shapes that a vhost's twin may use.
        if table == name {
            add(name, header, good);
        }
    }
    let (redirects, reverses) = (table == "RedirectTable", table == "ReverseTable");
    let action: &[&str] = if redirects {
        &["path = \"/r\""]
    } else {
        &["path = \"/\"", "balancer = \"app\""]
    };
    add("RouteTable", "[[vhost.route]]", action);
    for (wanted, name) in [(redirects, "RedirectTable"), (reverses, "ReverseTable")] {
        if wanted {
            let (name, header, good) = table_of(name);
            add(name, header, good);
        }
    }
    for name in [
        "BalancerTable",
        "HealthTable",
        "MemberTable",
        "PolicyTable",
        "RecordTable",
        "RouteCookieTable",
        "RollbackTable",
        "ShadowTable",
        "CanaryTable",
        "QuotaTable",
        "CompileTable",
    ] {
        let (name, header, good) = table_of(name);
        let optional = !["MemberTable", "BalancerTable", "PolicyTable"].contains(&name);
        if !optional || table == name {
            add(name, header, good);
        }
    }
    text
}

#[test]
fn the_good_twin_is_taken() {
    let mut tables: Vec<_> = TABLES.into_iter().map(|(name, ..)| name).collect();
    tables.push("RouteTable");
    for table in tables {
        let text = file(table, "");
        assert!(
            read(&text).is_ok(),
            "{table}: {}",
            read(&text).expect_err("refused")
        );
    }
}

#[test]
fn every_bad_twin_is_reported_under_its_key() {
    let mut wrong = String::new();
    for (table, line, part) in TWINS {
        // Top-level scalars must not swallow the tables of the same name.
        let key = line.split(" =").next().expect("a key");
        let mut text = file(table, line);
        if *table == "Config"
            && [
                "admin", "log", "limits", "listener", "vhost", "balancer", "policy", "compile",
            ]
            .contains(&key)
        {
            text = format!("version = 1\n{line}\n");
        }
        let clash = match *table {
            "BalancerTable" if key == "member" => Some("[[balancer.app.member]]"),
            "VhostTable" if key == "route" => Some("[[vhost.route]]"),
            "LimitsTable" if key == "policy" => Some("[limits.policy]"),
            _ => None,
        };
        if let Some(header) = clash {
            let start = text.find(header).expect("the table");
            let end = text[start + 2..]
                .find("\n[")
                .map_or(text.len(), |at| start + 2 + at);
            text.replace_range(start..end, "");
        }
        let about = |p: &&super::super::Diagnostic| {
            p.severity == Severity::Error && p.key.split(['.', '[']).any(|part| part == key)
        };
        let problems = match read(&text) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report.problems,
        };
        let said: Vec<String> = problems
            .iter()
            .filter(about)
            .map(ToString::to_string)
            .collect();
        if !said.iter().any(|said| said.contains(part)) {
            wrong.push_str(&format!(
                "{table} {line}: expected {part:?}, got {said:?}\n"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_key_of_the_schema_has_a_bad_twin() {
    let schema = schema();
    let mut keys = BTreeSet::new();
    let tables = schema["$defs"].as_object().expect("definitions");
    let root = ("Config".to_owned(), &schema);
    for (table, definition) in tables
        .iter()
        .map(|(name, d)| (name.clone(), d))
        .chain([root])
    {
        let properties = definition["properties"].as_object();
        keys.extend(
            properties
                .into_iter()
                .flat_map(|p| p.keys())
                .map(|key| (table.clone(), key.clone())),
        );
    }
    assert!(keys.len() > 100, "{keys:?}");
    for (table, line, _) in TWINS {
        keys.remove(&(
            (*table).to_owned(),
            line.split(" =").next().expect("a key").to_owned(),
        ));
    }
    assert!(keys.is_empty(), "without a bad twin: {keys:?}");
}
