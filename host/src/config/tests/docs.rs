//! `docs/configuration.md` against the schema.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::schema;

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// Where the page tells of which table of the schema.
const SECTIONS: [(&str, &str); 24] = [
    ("The file itself", "Config"),
    ("`[admin]`", "AdminTable"),
    ("`[log]`", "LogTable"),
    ("`error = { … }`", "ErrorLogTable"),
    ("`access = { … }`", "AccessTable"),
    ("`[[listener]]`", "ListenerTable"),
    ("`[limits]`", "LimitsTable"),
    ("`[limits.policy]`", "PolicyLimitsTable"),
    ("`[[vhost]]`", "VhostTable"),
    ("`document_root = { … }`", "FilesTable"),
    ("`[[vhost.route]]`", "RouteTable"),
    ("`redirect = { … }`", "RedirectTable"),
    ("`reverse = { … }`", "ReverseTable"),
    ("`[balancer.NAME]`", "BalancerTable"),
    ("A member", "MemberTable"),
    ("`route_cookie = { … }`", "RouteCookieTable"),
    ("`health = { … }`", "HealthTable"),
    ("`[policy.NAME]`", "PolicyTable"),
    ("`rollback = { … }`", "RollbackTable"),
    ("`shadow = { … }`", "ShadowTable"),
    ("`canary = { … }`", "CanaryTable"),
    ("`[each_tenant]`", "QuotaTable"),
    ("`record = { … }`", "RecordTable"),
    ("`[compile.SHA256]`", "CompileTable"),
];

/// Key and default of each row, by heading.
fn rows() -> BTreeMap<&'static str, BTreeMap<&'static str, &'static str>> {
    let mut sections: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    let mut heading = "";
    for line in PAGE.lines() {
        if let Some(text) = line.strip_prefix('#') {
            heading = text.trim_start_matches('#').trim();
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        let key = cells[0]
            .strip_prefix("| `")
            .and_then(|cell| cell.strip_suffix('`'));
        if let (Some(key), Some(default)) = (key, cells.get(2)) {
            sections
                .entry(heading)
                .or_default()
                .insert(key, default.trim_matches('`'));
        }
    }
    sections
}

#[test]
fn every_key_is_on_the_page_with_its_default() {
    let schema = schema();
    let mut rows = rows();
    for (heading, table) in SECTIONS {
        let definition = if table == "Config" {
            &schema
        } else {
            &schema["$defs"][table]
        };
        let mut told = rows.remove(heading).unwrap_or_default();
        for (key, property) in definition["properties"].as_object().expect("properties") {
            let default = property
                .get("default")
                .map_or("–".to_owned(), Value::to_string);
            assert_eq!(
                told.remove(key.as_str()),
                Some(default.as_str()),
                "{heading} {key}"
            );
        }
        assert!(told.is_empty(), "{heading} tells of {told:?}");
    }
    let tables = schema["$defs"].as_object().expect("definitions").values();
    assert_eq!(
        tables.filter(|d| d.get("properties").is_some()).count() + 1,
        SECTIONS.len()
    );
}
