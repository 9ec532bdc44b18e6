//! Every row measured on httpd, with the differences that are on purpose.
//!
//! A group's directives become a front path, members and, where they map something
//! beside the members, a `map`.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_reverse::Reverse;
use serde_json::{Value, json};
use switchyard_policy::{
    Edit, Membership, Rewriter,
    testing::{self, Host},
};

fn golden(file: &str) -> Value {
    let path = format!("{}/../../tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn group<'a>(golden: &'a Value, name: &str) -> &'a Value {
    let mut groups = golden["groups"].as_array().unwrap().iter();
    groups.find(|group| group["group"] == name).unwrap()
}

fn start(config: &Value, members: &[&str]) -> Reverse {
    let mut policy: Reverse = testing::start(&config.to_string()).unwrap();
    let members = members.iter().map(|id| testing::member(id, ""));
    policy.members_changed(1, members.collect());
    policy
}

/// What the client gets where the first member answers with this header.
fn answer(policy: &mut Reverse, authority: &str, header: (&str, &str), member: &str) -> String {
    let (name, value) = header;
    let host = Host::new();
    host.authority(authority)
        .response(302, member, "")
        .response_header(name, value);
    let plan = host.run(|| policy.on_response());
    match plan.headers.as_slice() {
        [] => value.to_owned(),
        [Edit::ReplaceLine((line, new))] => {
            assert_eq!((line.name.as_str(), line.index), (name, 0));
            String::from_utf8(new.clone()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// One group of reverse.json in this policy's terms.
struct Group {
    name: &'static str,
    front: &'static str,
    members: &'static [&'static str],
    map: &'static [(&'static str, &'static str)],
}

const fn plain(name: &'static str, front: &'static str, members: &'static [&'static str]) -> Group {
    Group {
        name,
        front,
        members,
        map: &[],
    }
}

const GROUPS: [Group; 13] = [
    plain("simple", "/app", &["http://127.0.0.1:21001/app"]),
    plain("prefix change", "/shop", &["http://127.0.0.1:21001/webapp"]),
    plain(
        "prefix change + path-only reverse",
        "/shop",
        &["http://127.0.0.1:21001/webapp"],
    ),
    plain("root to root", "/", &["http://127.0.0.1:21001"]),
    plain(
        "root without trailing slash on the URL",
        "/",
        &["http://127.0.0.1:21001"],
    ),
    plain(
        "balancer, no path",
        "/",
        &["http://127.0.0.1:21001", "http://127.0.0.1:21002"],
    ),
    plain(
        "balancer, trailing slash",
        "/",
        &["http://127.0.0.1:21001", "http://127.0.0.1:21002"],
    ),
    plain(
        "balancer with path",
        "/app",
        &[
            "http://127.0.0.1:21001/webapp",
            "http://127.0.0.1:21002/webapp",
        ],
    ),
    plain(
        "balancer whose members have a path",
        "/app",
        &["http://127.0.0.1:21001/ctx", "http://127.0.0.1:21002/ctx"],
    ),
    plain(
        "reverse to balancer mapped to /",
        "/",
        &["http://127.0.0.1:21001/ctx", "http://127.0.0.1:21002/ctx"],
    ),
    Group {
        name: "reverse fake is an absolute URL",
        front: "/a",
        members: &["http://127.0.0.1:21001/a"],
        map: &[("http://127.0.0.1:21001/a", "https://public.example/a")],
    },
    plain(
        "ProxyPreserveHost On: backend redirects to the public name",
        "/app",
        &["http://127.0.0.1:21001/app"],
    ),
    plain(
        "Location block form",
        "/loc",
        &["http://127.0.0.1:21001/webapp"],
    ),
];

/// A row where httpd does something else, on purpose.
struct Difference {
    group: &'static str,
    value: &'static str,
    /// What this policy makes of it; `None` = left as it is.
    ours: Option<&'static str>,
    reason: &'static str,
}

const fn left(group: &'static str, value: &'static str, reason: &'static str) -> Difference {
    Difference {
        group,
        value,
        ours: None,
        reason,
    }
}

const fn mapped(
    group: &'static str,
    value: &'static str,
    ours: &'static str,
    reason: &'static str,
) -> Difference {
    Difference {
        group,
        value,
        ours: Some(ours),
        reason,
    }
}

const SHOP_AND_PATHS: &str = "prefix change + path-only reverse";

const DIFFERENCES: [Difference; 14] = [
    left(
        "simple",
        "http://127.0.0.1:21001/apple",
        "/apple is not below /app",
    ),
    left(
        "simple",
        "http://127.0.0.1:21001/APP/y",
        "paths are case-sensitive",
    ),
    mapped(
        "simple",
        "//127.0.0.1:21001/app/y",
        "http://v0.example.com:21090/app/y",
        "a scheme-relative URL names the member's server too",
    ),
    mapped(
        "prefix change",
        "http://127.0.0.1:21001/webapp",
        "http://v1.example.com:21090/shop",
        "the base itself is below the base",
    ),
    mapped(
        "prefix change",
        "/webapp/y",
        "/shop/y",
        "a path below the member's base leads nowhere at the front",
    ),
    mapped(
        SHOP_AND_PATHS,
        "/webapp/y",
        "/shop/y",
        "a path stays a path",
    ),
    left(
        SHOP_AND_PATHS,
        "https://front.example.com/webapp/y",
        "a foreign host is never mapped",
    ),
    mapped(
        SHOP_AND_PATHS,
        "/webapp",
        "/shop",
        "the base itself is below the base",
    ),
    mapped(
        "root to root",
        "http://127.0.0.1:21001",
        "http://v3.example.com:21090/",
        "the root itself is below the root",
    ),
    mapped(
        "root without trailing slash on the URL",
        "http://127.0.0.1:21001/y",
        "http://v4.example.com:21090/y",
        "httpd fails with 500 here",
    ),
    mapped(
        "root without trailing slash on the URL",
        "http://127.0.0.1:21001",
        "http://v4.example.com:21090/",
        "httpd fails with 500 here",
    ),
    left(
        "balancer, no path",
        "http://127.0.0.1:210011/y",
        "port 210011 is not 21001",
    ),
    mapped(
        "balancer with path",
        "/webapp/y",
        "/app/y",
        "a path below the member's base leads nowhere at the front",
    ),
    mapped(
        "Location block form",
        "/webapp/y",
        "/loc/y",
        "a path stays a path",
    ),
];

/// Groups that have no counterpart here.
const LEFT_OUT: [(&str, &str); 5] = [
    (
        "first matching directive wins",
        "two fronts for one member are two routes here, each with its own policy",
    ),
    (
        "UseCanonicalName On",
        "the client's own authority is the one that works for the client",
    ),
    (
        "reverse without proxypass match (other location)",
        "the front is always the route's own path",
    ),
    (HEADERS, "a table of its own, below"),
    (HOSTS, "a table of its own, below"),
];

const HEADERS: &str =
    "which response headers and statuses are rewritten (config of group \"simple\")";
const HOSTS: &str = "host and port used in the rewritten absolute URL \
    (UseCanonicalName Off): taken from the Host header";

#[test]
fn every_location_of_httpd_is_mapped_but_for_the_named_differences() {
    let golden = golden("reverse.json");
    let mut rows = 0;
    let mut met = vec![false; DIFFERENCES.len()];
    for group in golden["groups"].as_array().unwrap() {
        let name = group["group"].as_str().unwrap();
        let Some(ours) = GROUPS.iter().find(|ours| ours.name == name) else {
            assert!(LEFT_OUT.iter().any(|(out, _)| *out == name), "{name}");
            continue;
        };
        let config = json!({"front": ours.front, "location": true, "map": ours.map});
        let mut policy = start(&config, ours.members);
        let (_, authority) = group["request"]
            .as_str()
            .unwrap()
            .split_once("Host: ")
            .unwrap();
        for row in group["rows"].as_array().unwrap() {
            rows += 1;
            let value = row["backend_location"].as_str().unwrap();
            let difference = DIFFERENCES
                .iter()
                .position(|difference| difference.group == name && difference.value == value);
            let wanted = match difference {
                Some(index) => {
                    met[index] = true;
                    DIFFERENCES[index].ours.unwrap_or(value)
                }
                None => row["client_location"].as_str().unwrap(),
            };
            // A difference that httpd shares would be none.
            assert!(
                difference.is_none() || row["client_location"] != wanted,
                "{name} {value}"
            );
            let got = answer(&mut policy, authority, ("location", value), ours.members[0]);
            assert_eq!(got, wanted, "{name}");
        }
    }
    assert_eq!(rows, 55);
    for (difference, met) in DIFFERENCES.iter().zip(met) {
        assert!(
            met,
            "no row for: {} {}",
            difference.value, difference.reason
        );
    }
}

#[test]
fn headers_that_hold_urls_are_mapped_and_no_others() {
    let golden = golden("reverse.json");
    let simple = &GROUPS[0];
    let config = json!({"front": simple.front, "location": true});
    let mut policy = start(&config, simple.members);
    // Deliberate: these two hold URLs of the application as Location does.
    let differences = [
        ("Refresh", "5; url=http://v0.example.com:21090/app/y"),
        ("Link", "<http://v0.example.com:21090/app/y>; rel=preload"),
    ];
    for row in group(&golden, HEADERS)["rows"].as_array().unwrap() {
        let header = row["header"].as_str().unwrap();
        let difference = differences.iter().find(|(name, _)| *name == header);
        let wanted = difference.map_or(row["out"].as_str().unwrap(), |(_, wanted)| wanted);
        let lower = header.to_ascii_lowercase();
        let value = row["in"].as_str().unwrap();
        let line = (lower.as_str(), value);
        let got = answer(&mut policy, "v0.example.com:21090", line, simple.members[0]);
        assert_eq!(got, wanted, "{header}");
    }
}

#[test]
fn the_authority_is_the_one_the_client_used() {
    let golden = golden("reverse.json");
    let simple = &GROUPS[0];
    let config = json!({"front": simple.front, "location": true});
    let mut policy = start(&config, simple.members);
    for row in group(&golden, HOSTS)["rows"].as_array().unwrap() {
        // httpd lower-cases the host, and without one falls back to its own name.
        let (authority, wanted) = match row["request_host_header"].as_str() {
            Some("V0.example.com:21090") => {
                ("V0.example.com:21090", "http://V0.example.com:21090/app/y")
            }
            Some(authority) => (authority, row["client_location"].as_str().unwrap()),
            None => ("", "/app/y"),
        };
        let line = ("location", "http://127.0.0.1:21001/app/y");
        let got = answer(&mut policy, authority, line, simple.members[0]);
        assert_eq!(got, wanted);
    }
}

/// Groups of cookies.json as configurations.
fn cookie_config(name: &str) -> Value {
    match name {
        "path only" => json!({"cookie_path": [["/app", "/"]]}),
        "path /  to /front/ (internal root to public prefix)" => {
            json!({"cookie_path": [["/", "/front/"]]})
        }
        "two rules, first match wins" => json!({"cookie_path": [["/a", "/one"], ["/a/b", "/two"]]}),
        "domain only" => {
            json!({"cookie_domain": [["backend.example.com", "public.example.com"]]})
        }
        "domain and path" => json!({
            "cookie_domain": [["backend.example.com", "p.io"]],
            "cookie_path": [["/app", "/very/long/public/path"]],
        }),
        // Rules belong to a route; the row outside of it has no such policy.
        "Location scoped: only inside its Location" => json!({"cookie_path": [["/app", "/x"]]}),
        other => panic!("{other}"),
    }
}

const COOKIE_DIFFERENCES: [(&str, &str, &str); 6] = [
    (
        "s=1; Path=/app",
        "s=1; Path=/front/app",
        "what follows the mapped part is kept",
    ),
    (
        "s=1; Path=/a/b",
        "s=1; Path=/one/b",
        "what follows the mapped part is kept",
    ),
    (
        "JSESSIONID=1; Path =/app",
        "JSESSIONID=1; Path =/",
        "browsers ignore blanks around names",
    ),
    (
        "s=1; Domain=.backend.example.com",
        "s=1; Domain=public.example.com",
        "a leading dot means nothing (RFC 6265 section 5.2.3)",
    ),
    (
        "s=1; Domain=backend.example.com.evil",
        "s=1; Domain=backend.example.com.evil",
        "another host is another host",
    ),
    (
        "s=1; Domain=backend.example.com:8080",
        "s=1; Domain=backend.example.com:8080",
        "a domain has no port: browsers refuse this cookie either way",
    ),
];

#[test]
fn every_cookie_of_httpd_is_mapped_but_for_the_named_differences() {
    let golden = golden("cookies.json");
    let mut rows = 0;
    let mut met = vec![false; COOKIE_DIFFERENCES.len()];
    for group in golden["groups"].as_array().unwrap() {
        let name = group["group"].as_str().unwrap();
        if name.starts_with("several Set-Cookie headers") {
            continue;
        }
        let mut policy = start(&cookie_config(name), &["http://127.0.0.1:21001"]);
        for row in group["rows"].as_array().unwrap() {
            if row["request"] == "/out/x" {
                continue;
            }
            rows += 1;
            let line = row["backend_set_cookie"].as_str().unwrap();
            let httpd = row["client_set_cookie"].as_str().unwrap();
            let difference = COOKIE_DIFFERENCES.iter().position(|(from, to, _)| {
                *from == line && *to != httpd && !name.contains("scoped")
            });
            let wanted = match difference {
                Some(index) => {
                    met[index] = true;
                    COOKIE_DIFFERENCES[index].1
                }
                None => httpd,
            };
            let header = ("set-cookie", line);
            let got = answer(&mut policy, "front", header, "http://127.0.0.1:21001");
            assert_eq!(got, wanted, "{name}");
        }
    }
    assert_eq!(rows, 31);
    assert_eq!(met, [true; COOKIE_DIFFERENCES.len()]);
}

#[test]
fn several_cookies_stay_separate_and_in_order() {
    let golden = golden("cookies.json");
    let name = "several Set-Cookie headers stay separate and keep order; Set-Cookie2 untouched";
    let row = &group(&golden, name)["rows"][0];
    let mut policy = start(&cookie_config("path only"), &["http://127.0.0.1:21001"]);
    let host = Host::new();
    host.response(200, "http://127.0.0.1:21001", "");
    for line in row["backend"].as_array().unwrap() {
        host.response_header(line[0].as_str().unwrap(), line[1].as_str().unwrap());
    }
    let plan = host.run(|| policy.on_response());
    // Of a=1, b=2 and the Set-Cookie2 line only the first needs a change.
    let wanted = Edit::replace_line("set-cookie", 0, row["client"][1][1].as_str().unwrap());
    assert_eq!(plan.headers, [wanted]);
}
