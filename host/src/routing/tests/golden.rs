//! Rows measured on httpd 2.4.71, and where this gateway means to differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fixture::{CLIENT, proxy, route, table, vhost};
use crate::{
    routing::{CanonicalPath, Table, Target},
    snapshot::{Action, RouteOrder},
};

const ROWS: &str = include_str!("../../../../tests/golden/mapping.json");

/// Groups about directives that have no counterpart here.
const OTHER_DIRECTIVES: &[(&str, &str)] = &[
    (
        "Location beats server-level; last matching Location wins",
        "there is one list of routes",
    ),
    ("Location exclusion", "there is one list of routes"),
    (
        "Location exclusion written before the broader Location",
        "there is one list of routes",
    ),
    (
        "ProxyPassMatch with groups",
        "regex routes send the path on unchanged",
    ),
    (
        "ProxyPass ~ regex",
        "regex routes send the path on unchanged",
    ),
    (
        "balancer root without slash on url",
        "a member's URL without a path is the same as with a slash",
    ),
    ("nocanon", "the canonical path is what is sent on"),
    (
        "AllowEncodedSlashes On",
        "an encoded slash is never decoded",
    ),
    ("mapping=encoded", "routes see the decoded path"),
    ("url with query string", "a member's URL has no query"),
    (
        "no-proxy env by SetEnvIf",
        "there are no environment variables",
    ),
    ("MergeSlashes Off", "runs of slashes are always merged"),
];

/// What happens here, by group and target, and why it is better.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "prefix with slash both",
        "/app/;a=b/x",
        "400",
        "an empty segment with parameters hides the next one",
    ),
    (
        "prefix with slash both",
        "/app/a%2Fb",
        "a /webapp/a%2Fb",
        "an encoded slash within a segment is legal",
    ),
    (
        "prefix with slash both",
        "/app/a%3Bb",
        "a /webapp/a%3Bb",
        "decoded it would start a parameter",
    ),
    ("prefix with slash both", "/app/..%2fx", "400", "ambiguous"),
    (
        "prefix with slash both",
        "/app/%2e%2e/x",
        "400",
        "ambiguous",
    ),
    (
        "prefix without slash both",
        "/app;v=1",
        "a /webapp;v=1",
        "parameters belong to the segment",
    ),
    (
        "mismatched: slash on path only",
        "/app/",
        "a /webapp/",
        "a base path and the rest are joined by one slash",
    ),
    (
        "mismatched: slash on path only",
        "/app/x",
        "a /webapp/x",
        "a base path and the rest are joined by one slash",
    ),
    (
        "mismatched: slash on url only",
        "/app/",
        "a /webapp/",
        "a base path and the rest are joined by one slash",
    ),
    (
        "balancer members with path",
        "/app",
        "a /ctx",
        "no slash is made up",
    ),
    (
        "AllowEncodedSlashes NoDecode",
        "/a%5Cb",
        "400",
        "some servers take a backslash for a slash",
    ),
    (
        "mapping=servlet",
        "/some/path;v=1",
        "a /some/path;v=1",
        "parameters are the member's to read",
    ),
    ("mapping=servlet", "/some/path/..;/x", "400", "ambiguous"),
];

/// `a /target` for what is sent to a member, else `404` or `400`.
fn here(table: &Table, bases: &[(String, String)], target: &str) -> String {
    let Ok(path) = CanonicalPath::parse(target.as_bytes()) else {
        return "400".to_owned();
    };
    match table.find("h.test", &path, CLIENT).target {
        Target::Route { index, route, .. } => {
            let Action::Proxy(proxy) = &route.action else {
                panic!("{:?}", route.action)
            };
            let (member, base) = &bases[index];
            format!("{member} {}", path.mapped(&proxy.prefix, base))
        }
        Target::Ambiguous => "400".to_owned(),
        _ => "404".to_owned(),
    }
}

/// One `ProxyPass` a line; the member and its base path for each.
fn configured(config: &str) -> (Table, Vec<(String, String)>) {
    let mut routes = Vec::new();
    let mut bases = Vec::new();
    for line in config.lines().filter(|line| line.starts_with("ProxyPass")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let path = if words[0] == "ProxyPassMatch" {
            format!("~{}", words[1])
        } else {
            words[1].to_owned()
        };
        if words[2] == "!" {
            routes.push(route(&path, Action::Exclude));
            bases.push(Default::default());
            continue;
        }
        let url = words[2].replace("balancer://clp", "http://127.0.0.1:21001/ctx");
        let url = url.replace("balancer://cl", "http://127.0.0.1:21001");
        let member = if url.contains(":21002") { "b" } else { "a" };
        let base = url["http://127.0.0.1:21001".len()..].to_owned();
        routes.push(proxy(&path));
        bases.push((
            member.to_owned(),
            if base == "/" { String::new() } else { base },
        ));
    }
    let mut vhost = vhost("h.test", RouteOrder::File, routes);
    vhost.document_root = None;
    (table(vec![vhost]), bases)
}

#[test]
fn mapping_is_what_httpd_does_but_for_the_listed_differences() {
    let golden: Value = serde_json::from_str(ROWS).unwrap();
    let differences: BTreeMap<(&str, &str), &str> = DIFFERENCES
        .iter()
        .map(|(group, target, here, _)| ((*group, *target), *here))
        .collect();
    let mut used = BTreeSet::new();
    for group in golden["groups"].as_array().unwrap() {
        let name = group["group"].as_str().unwrap();
        if OTHER_DIRECTIVES.iter().any(|(other, _)| *other == name) {
            used.insert((name, ""));
            continue;
        }
        let (table, bases) = configured(group["config"].as_str().unwrap());
        for row in group["rows"].as_array().unwrap() {
            let target = row["request_target"].as_str().unwrap();
            let httpd = match (row["backend"].as_str(), row["backend_target"].as_str()) {
                (Some(member), Some(target)) => format!("{member} {target}"),
                _ => row["status"].to_string(),
            };
            // The file holds a Latin-1 reading of the UTF-8 bytes that were sent.
            let sent = target.replace("\u{c3}\u{a4}", "ä");
            let here = here(&table, &bases, &sent);
            match differences.get(&(name, target)) {
                Some(expected) => {
                    used.insert((name, target));
                    assert_eq!(here, *expected, "{name}: {target}");
                    assert_ne!(here, httpd, "{name}: {target} is no difference");
                }
                None => assert_eq!(here, httpd, "{name}: {target}"),
            }
        }
    }
    assert_eq!(
        used.len(),
        DIFFERENCES.len() + OTHER_DIRECTIVES.len(),
        "a listed row is gone: {used:?}"
    );
}
