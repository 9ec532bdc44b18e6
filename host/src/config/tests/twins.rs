//! For every key of the format a bad value, and what is said about it.

use std::collections::BTreeSet;

use super::{
    super::{Severity, schema},
    read,
};

/// Each table with keys that make it good.
const TABLES: [(&str, &str, &[&str]); 17] = [
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
        "RouteCookieTable",
    ] {
        let (name, header, good) = table_of(name);
        let optional = name == "RouteCookieTable" || name == "HealthTable";
        if !optional || table == name {
            add(name, header, good);
        }
    }
    text
}

/// Table, bad line, part of what is said.
const TWINS: &[(&str, &str, &str)] = &[
    ("Config", "version = 2", "not known"),
    (
        "Config",
        "trusted_proxies = [\"10.0.0.0/33\"]",
        "not a network",
    ),
    ("Config", "trusted_proxies = [\"10.0.0.1/8\"]", "10.0.0.0/8"),
    ("Config", "x_real_ip = \"yes\"", "true or false"),
    ("Config", "via = \"two words\"", "Via"),
    ("Config", "forwarded = 1", "true or false"),
    ("Config", "cache_dir = \"\"", "not a path"),
    ("Config", "state_dir = 5", "a string"),
    ("Config", "drain_deadline = \"30\"", "not a duration"),
    ("Config", "admin = 9191", "a table"),
    ("Config", "log = \"file\"", "a table"),
    ("Config", "limits = []", "a table"),
    ("Config", "listener = {}", "an array"),
    ("Config", "vhost = true", "an array"),
    ("Config", "balancer = [1]", "a table"),
    ("Config", "policy = \"own\"", "a table"),
    (
        "AdminTable",
        "listen = \"localhost:9191\"",
        "127.0.0.1:9191",
    ),
    ("AdminTable", "hosts = \"a\"", "an array"),
    ("LogTable", "error = 1", "a string or a table"),
    ("LogTable", "access = 1", "true or false or"),
    ("ErrorLogTable", "path = \"\"", "not a path"),
    (
        "ErrorLogTable",
        "level = \"warning\"",
        "did you mean `warn`",
    ),
    ("AccessTable", "path = 7", "a string"),
    (
        "AccessTable",
        "format = \"combinde\"",
        "did you mean `combined`",
    ),
    ("ListenerTable", "bind = \"*:8080\"", "0.0.0.0:8080"),
    ("ListenerTable", "proxy_protocol = 1", "true or false"),
    ("LimitsTable", "head_size = 1", "1KiB"),
    ("LimitsTable", "head_size = \"1TiB\"", "not a size"),
    ("LimitsTable", "field_count = 0", "above zero"),
    ("LimitsTable", "body_size = -1", "not a size"),
    ("LimitsTable", "head_timeout = 20", "\"20s\""),
    ("LimitsTable", "body_timeout = \"0s\"", "above zero"),
    (
        "LimitsTable",
        "idle_timeout = \"1 fortnight\"",
        "not a duration",
    ),
    ("LimitsTable", "write_timeout = \"\"", "not a duration"),
    (
        "LimitsTable",
        "requests_per_connection = -1",
        "out of range",
    ),
    ("LimitsTable", "connections = 0", "above zero"),
    ("LimitsTable", "policy = 5", "a table"),
    ("PolicyLimitsTable", "deadline = \"0ms\"", "above zero"),
    ("PolicyLimitsTable", "init_deadline = \"0s\"", "above zero"),
    ("PolicyLimitsTable", "memory = \"5GiB\"", "4GiB"),
    ("PolicyLimitsTable", "module_size = 0", "1KiB"),
    ("PolicyLimitsTable", "compile_time = \"0s\"", "above zero"),
    ("PolicyLimitsTable", "compile_memory = \"1MiB\"", "64MiB"),
    ("PolicyLimitsTable", "log_bytes = \"2GiB\"", "1GiB"),
    ("PolicyLimitsTable", "failures = 0", "above zero"),
    ("PolicyLimitsTable", "failure_window = \"0s\"", "above zero"),
    ("PolicyLimitsTable", "quarantine = \"0s\"", "above zero"),
    ("PolicyLimitsTable", "on_error = \"pass\"", "`builtin`"),
    ("VhostTable", "name = \"*.example.com\"", "aliases"),
    ("VhostTable", "aliases = [\"b.example:80\"]", "no port"),
    ("VhostTable", "default = \"yes\"", "true or false"),
    ("VhostTable", "order = \"longst\"", "`longest`"),
    ("VhostTable", "document_root = []", "a string or a table"),
    (
        "VhostTable",
        "error_page = { \"200\" = \"x\" }",
        "400 to 599",
    ),
    (
        "VhostTable",
        "error_page = { \"404\" = \"no-such-file\" }",
        "cannot be read",
    ),
    ("VhostTable", "replace_member_errors = 1", "true or false"),
    ("VhostTable", "log = 1", "a table"),
    ("VhostTable", "route = {}", "an array"),
    ("FilesTable", "path = \"\"", "not a path"),
    ("FilesTable", "index = \"a/b\"", "without folders"),
    ("RouteTable", "name = 1", "a string"),
    ("RouteTable", "path = \"app\"", "start it with /"),
    ("RouteTable", "regex = \"a\"", "not both"),
    ("RouteTable", "balancer = \"ap\"", "did you mean `app`"),
    ("RouteTable", "proxy = \"http://h\"", "cannot both"),
    ("RouteTable", "static = \"htdocs\"", "cannot both"),
    ("RouteTable", "redirect = \"//evil.example\"", "no place"),
    ("RouteTable", "exclude = true", "cannot both"),
    ("RouteTable", "deny = true", "cannot both"),
    ("RouteTable", "allow_from = [\"10.0.0\"]", "not a network"),
    ("RouteTable", "deny_from = [10]", "a string"),
    ("RouteTable", "preserve_host = 0", "true or false"),
    ("RouteTable", "upgrade = \"web socket\"", "not a protocol"),
    (
        "RouteTable",
        "reverse = \"yes\"",
        "true or false or a table",
    ),
    (
        "RouteTable",
        "rewrite = \"policy:onw\"",
        "did you mean `own`",
    ),
    ("RouteTable", "rewrite = \"own\"", "write \"policy:own\""),
    ("RouteTable", "rewrite = [\"reverse\"]", "reverse = true"),
    ("RouteTable", "index = \"a.html\"", "without static"),
    ("RedirectTable", "to = \"javascript:x\"", "no place"),
    ("RedirectTable", "status = 200", "no redirect"),
    ("ReverseTable", "location = 1", "true or false"),
    (
        "ReverseTable",
        "cookie_path = { \"\" = \"/\" }",
        "non-empty",
    ),
    (
        "ReverseTable",
        "cookie_domain = 1",
        "true or false or a table",
    ),
    ("ReverseTable", "html = 1", "true or false"),
    ("ReverseTable", "events = 1", "true or false"),
    ("ReverseTable", "map = true", "a table"),
    ("BalancerTable", "lbmethod = \"byrequest\"", "`byrequests`"),
    ("BalancerTable", "lbmethod = []", "empty"),
    (
        "BalancerTable",
        "lbmethod = [\"policy:none\"]",
        "no policy `none`",
    ),
    ("BalancerTable", "affinity = \"jsesionid\"", "`jsessionid`"),
    (
        "BalancerTable",
        "stickysession = \"A|B|C\"",
        "COOKIE|parameter",
    ),
    (
        "BalancerTable",
        "stickysession = \"A B\"",
        "not a session's name",
    ),
    (
        "BalancerTable",
        "stickysessionsep = \"ab\"",
        "one character",
    ),
    ("BalancerTable", "failover = \"off\"", "true or false"),
    (
        "BalancerTable",
        "route_cookie = \"A=B\"",
        "not a cookie's name",
    ),
    ("BalancerTable", "maxattempts = -1", "out of range"),
    ("BalancerTable", "failonstatus = 99", "not a status"),
    (
        "BalancerTable",
        "failonstatus = [\"504-502\"]",
        "not a status",
    ),
    ("BalancerTable", "failontimeout = 5", "true or false"),
    ("BalancerTable", "forcerecovery = 5", "true or false"),
    ("BalancerTable", "wait = 5", "\"5s\""),
    ("BalancerTable", "slow_start = true", "a duration"),
    (
        "BalancerTable",
        "traffic_half_life = \"x\"",
        "not a duration",
    ),
    ("BalancerTable", "health = true", "a table"),
    ("BalancerTable", "loadfactor = 101", "1 and 100"),
    ("BalancerTable", "lbset = -1", "out of range"),
    ("BalancerTable", "status = \"up\"", "`draining`"),
    ("BalancerTable", "retry = 60", "\"60s\""),
    ("BalancerTable", "connect_timeout = \"0s\"", "above zero"),
    ("BalancerTable", "answer_timeout = \"0s\"", "above zero"),
    ("BalancerTable", "max_connections = \"5\"", "a whole number"),
    ("BalancerTable", "acquire_timeout = []", "a duration"),
    ("BalancerTable", "keepalive = \"on\"", "true or false"),
    ("BalancerTable", "idle_timeout = \"0s\"", "above zero"),
    ("BalancerTable", "members = [\"http://h\"]", "a table"),
    ("BalancerTable", "member = {}", "an array"),
    ("RouteCookieTable", "name = \"\"", "not a cookie's name"),
    ("RouteCookieTable", "path = \"app\"", "not a cookie's path"),
    ("HealthTable", "path = \"health\"", "start it with /"),
    ("HealthTable", "interval = \"1ms\"", "100ms"),
    ("HealthTable", "rise = 0", "above zero"),
    ("HealthTable", "fall = 0", "above zero"),
    ("HealthTable", "expect = []", "counts as a pass"),
    ("HealthTable", "timeout = \"0s\"", "above zero"),
    ("MemberTable", "url = \"https://h\"", "TLS"),
    ("MemberTable", "url = \"ajp://h:8009\"", "HTTP connector"),
    ("MemberTable", "route = \"a;b\"", "not a route"),
    (
        "MemberTable",
        "redirect = \"w2\"",
        "no member has the route",
    ),
    ("MemberTable", "loadfactor = 0", "disabled"),
    ("MemberTable", "loadfactor = 0.99", "1 and 100"),
    ("MemberTable", "loadfactor = nan", "1 and 100"),
    ("MemberTable", "lbset = 1.5", "a whole number"),
    ("MemberTable", "status = \"disable\"", "`disabled`"),
    ("MemberTable", "retry = \"soon\"", "not a duration"),
    ("MemberTable", "connect_timeout = \"0s\"", "above zero"),
    ("MemberTable", "answer_timeout = \"0s\"", "above zero"),
    (
        "MemberTable",
        "max_connections = 4294967296",
        "out of range",
    ),
    ("MemberTable", "acquire_timeout = 1", "\"1s\""),
    ("MemberTable", "keepalive = 0", "true or false"),
    ("MemberTable", "idle_timeout = \"0s\"", "above zero"),
    ("MemberTable", "labels = { zone = 1 }", "a string"),
    ("PolicyTable", "source = \"\"", "not a path"),
    ("PolicyTable", "config = { share = nan }", "JSON"),
    ("PolicyTable", "on_error = \"builtn\"", "`builtin`"),
    (
        "PolicyTable",
        "limits = { on_error = \"refuse\" }",
        "policy.own.on_error",
    ),
];

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
                "admin", "log", "limits", "listener", "vhost", "balancer", "policy",
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
