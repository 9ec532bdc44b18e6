//! ProxyPassReverse and the cookie directives against httpd's vectors, end to end.

use serde_json::Value;
use switchyard_tests::{
    Gateway, Request,
    golden::{self, Compared},
};

use crate::{
    conf::{balancer, entry_below, site},
    mouth::Mouth,
};

/// Two members, and the ports of the vectors replaced by theirs.
struct Stage {
    a: Mouth,
    b: Mouth,
}

impl Stage {
    fn new() -> Self {
        Self {
            a: Mouth::start("a"),
            b: Mouth::start("b"),
        }
    }

    /// Ports of the measurement to ours: members, and the front in rewritten URLs.
    fn ours(&self, text: &str) -> String {
        text.replace("127.0.0.1:210011", &format!("{}1", self.a.member.addr()))
            .replace("127.0.0.1:21001", &self.a.member.addr().to_string())
            .replace("127.0.0.1:21002", &self.b.member.addr().to_string())
    }
}

/// Our configuration of a group of `reverse.json`, by its title; `None` says why there is none.
fn configuration(stage: &Stage, group: &str) -> Result<String, &'static str> {
    let (a, b) = (&stage.a.member, &stage.b.member);
    let to = |path: &str, base: &str, reverse: &str| {
        site(&[(path, &format!("balancer = \"cl\"\nreverse = {reverse}"))])
            + &balancer("cl", "", &[entry_below(a, base, "")])
    };
    let both = |path: &str, base: &str| {
        site(&[(path, "balancer = \"cl\"\nreverse = { location = true }")])
            + &balancer(
                "cl",
                "",
                &[
                    entry_below(a, base, "route = \"a\""),
                    entry_below(b, base, "route = \"b\""),
                ],
            )
    };
    let location = "{ location = true }";
    Ok(match group {
        "simple" => to("/app", "/app", location),
        "prefix change" | "prefix change + path-only reverse" | "Location block form" => {
            let path = if group.starts_with("Location") {
                "/loc"
            } else {
                "/shop"
            };
            to(path, "/webapp", location)
        }
        "root to root" => to("/", "", location),
        "balancer, no path" | "balancer, trailing slash" => both("/", ""),
        "balancer with path" => both("/app", "/webapp"),
        "balancer whose members have a path" => both("/app", "/ctx"),
        "reverse to balancer mapped to /" => both("/", "/ctx"),
        "ProxyPreserveHost On: backend redirects to the public name" => {
            site(&[(
                "/app",
                "balancer = \"cl\"\npreserve_host = true\nreverse = { location = true }",
            )]) + &balancer("cl", "", &[entry_below(a, "/app", "")])
        }
        "root without trailing slash on the URL" => {
            return Err("a slash mismatch cannot be written here");
        }
        "first matching directive wins"
        | "reverse fake is an absolute URL"
        | "reverse without proxypass match (other location)" => {
            return Err("the mapping follows from the route; other targets cannot be written");
        }
        "UseCanonicalName On" => {
            return Err("there is no such switch: the client's Host leads back to the client");
        }
        _ => return Err("a table of its own, tested below"),
    })
}

/// Where we do better than httpd on purpose: group, Location of the member, what the client gets here, why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "simple",
        "http://127.0.0.1:21001/apple",
        "http://127.0.0.1:21001/apple",
        "/apple is not below /app",
    ),
    (
        "simple",
        "http://127.0.0.1:21001/APP/y",
        "http://127.0.0.1:21001/APP/y",
        "paths are case-sensitive",
    ),
    (
        "simple",
        "//127.0.0.1:21001/app/y",
        "http://v0.example.com:21090/app/y",
        "a scheme-relative URL names the member's server too",
    ),
    (
        "prefix change",
        "http://127.0.0.1:21001/webapp",
        "http://v1.example.com:21090/shop",
        "the base itself is below the base",
    ),
    (
        "prefix change",
        "/webapp/y",
        "/shop/y",
        "a path below the member's base leads nowhere at the front",
    ),
    (
        "prefix change + path-only reverse",
        "/webapp/y",
        "/shop/y",
        "a path stays a path",
    ),
    (
        "prefix change + path-only reverse",
        "https://front.example.com/webapp/y",
        "https://front.example.com/webapp/y",
        "a foreign host is never mapped",
    ),
    (
        "prefix change + path-only reverse",
        "/webapp",
        "/shop",
        "the base itself is below the base",
    ),
    (
        "root to root",
        "http://127.0.0.1:21001",
        "http://v3.example.com:21090/",
        "the root itself is below the root",
    ),
    (
        "balancer, no path",
        "http://127.0.0.1:210011/y",
        "http://127.0.0.1:210011/y",
        "another port is another server",
    ),
    (
        "balancer with path",
        "/webapp/y",
        "/app/y",
        "a path below the member's base leads nowhere at the front",
    ),
    (
        "Location block form",
        "/webapp/y",
        "/loc/y",
        "a path stays a path",
    ),
];

#[test]
fn locations_are_mapped_as_httpd_does_or_better() {
    let file = golden::load("reverse.json");
    let stage = Stage::new();
    let mut compared = Compared::default();
    for group in golden::list(&file, "groups") {
        let title = golden::text(group, "group");
        let Ok(text) = configuration(&stage, title) else {
            continue;
        };
        let gateway = Gateway::start(text);
        // `GET /app/x Host: v0.example.com:21090`
        let words: Vec<&str> = golden::text(group, "request").split(' ').collect();
        let mut client = gateway.connect();
        for row in golden::list(group, "rows") {
            let said = golden::text(row, "backend_location");
            stage.a.say(302, &[("Location", &stage.ours(said))]);
            stage.b.say(302, &[("Location", &stage.ours(said))]);
            let response = client.ask(&Request::get(words[1]).host(words[3]));
            let difference = DIFFERENCES
                .iter()
                .find(|(g, l, _, _)| *g == title && *l == said);
            let expected = difference.map_or_else(
                || golden::text(row, "client_location"),
                |(_, _, ours, _)| *ours,
            );
            let expected = stage.ours(expected);
            let here = response.field("location").unwrap_or_default();
            compared.row(format!("{title}: {said}"), here, expected.as_str());
        }
    }
    compared.end(45);
}

#[test]
fn headers_with_urls_are_mapped_at_any_status_and_others_are_left_alone() {
    let stage = Stage::new();
    let gateway = Gateway::start(configuration(&stage, "simple").unwrap());
    let file = golden::load("reverse.json");
    let group = golden::list(&file, "groups")
        .iter()
        .find(|g| golden::text(g, "group").starts_with("which response headers"))
        .expect("the table");
    let mut client = gateway.connect();
    for row in golden::list(group, "rows") {
        let (name, said) = (golden::text(row, "header"), golden::text(row, "in"));
        let status = u16::try_from(row["status"].as_u64().unwrap()).unwrap();
        stage.a.say(status, &[(name, &stage.ours(said))]);
        let response = client.ask(&Request::get("/app/x").host("v0.example.com:21090"));
        // httpd leaves Refresh and Link alone, so that they lead the client past the gateway.
        let expected = match name {
            "Refresh" => "5; url=http://v0.example.com:21090/app/y".to_owned(),
            "Link" => "<http://v0.example.com:21090/app/y>; rel=preload".to_owned(),
            _ => stage.ours(golden::text(row, "out")),
        };
        assert_eq!(response.field(name), Some(expected.as_str()), "{row}");
    }
}

#[test]
fn the_clients_host_header_makes_the_mapped_url() {
    let stage = Stage::new();
    let gateway = Gateway::start(configuration(&stage, "simple").unwrap());
    stage.a.say(
        302,
        &[("Location", &format!("{}/app/y", stage.a.member.url()))],
    );
    for (host, mapped) in [
        ("v0.example.com", "http://v0.example.com/app/y"),
        ("v0.example.com:9999", "http://v0.example.com:9999/app/y"),
        ("V0.example.com:21090", "http://v0.example.com:21090/app/y"),
    ] {
        let response = gateway.ask(&Request::get("/app/x").host(host));
        assert_eq!(
            response.field("location").map(str::to_lowercase).as_deref(),
            Some(mapped),
            "{host}"
        );
    }
}

#[test]
fn every_group_of_the_vectors_is_compared_or_has_its_reason() {
    let file = golden::load("reverse.json");
    let stage = Stage::new();
    let unknown: Vec<&Value> = golden::list(&file, "groups")
        .iter()
        .filter(|g| {
            configuration(&stage, golden::text(g, "group"))
                == Err("a table of its own, tested below")
        })
        .filter(|g| g.get("config").is_some())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
