//! Mapping of request paths against httpd's vectors, end to end.

use switchyard_tests::{
    Gateway, Member,
    golden::{self, Compared},
};

use crate::conf::{balancer, entry, entry_below, site};

/// Our configuration of a group, or why there is none.
fn configuration(a: &Member, b: &Member, group: &str) -> Result<String, &'static str> {
    let to = |path: &str, base: &str| {
        site(&[(path, "balancer = \"cl\"")]) + &balancer("cl", "", &[entry_below(a, base, "")])
    };
    let in_order = |routes: &[(&str, &str)]| {
        site(routes).replace("default = true", "default = true\norder = \"file\"")
            + &balancer("short", "", &[entry_below(a, "/short", "")])
            + &balancer("long", "", &[entry_below(b, "/long", "")])
            + &balancer("all", "", &[entry(a, "")])
    };
    Ok(match group {
        "prefix with slash both" | "MergeSlashes default On" => to("/app/", "/webapp/"),
        "prefix without slash both" => to("/app", "/webapp"),
        "root" | "balancer root" => to("/", ""),
        "balancer with path, prefix" => to("/app", "/webapp"),
        "noquery" => to("/app", "/app"),
        "balancer members with path" => to("/app", "/ctx"),
        "balancer members with path + url path" => to("/app/", "/ctx/w/"),
        "exclusions before general" => in_order(&[
            ("/images", "exclude = true"),
            ("/app/static/", "exclude = true"),
            ("/", "balancer = \"all\""),
        ]),
        "exclusion after general has no effect" => {
            in_order(&[("/", "balancer = \"all\""), ("/images", "exclude = true")])
        }
        "first match in config order, not longest" => in_order(&[
            ("/a", "balancer = \"short\""),
            ("/a/b", "balancer = \"long\""),
        ]),
        "longest first" => in_order(&[
            ("/a/b", "balancer = \"long\""),
            ("/a", "balancer = \"short\""),
        ]),
        "ProxyPassMatch without substitution appends the whole uri" => {
            format!(
                "{}[[vhost.route]]\nregex = '\\.gif$'\nbalancer = \"all\"\n",
                site(&[])
            ) + &balancer("all", "", &[entry(a, "")])
        }
        "mapping=servlet" => {
            site(&[("/some/path", "balancer = \"cl\"")])
                + &balancer("cl", "", &[entry_below(a, "/some/path", "")])
        }
        g if g.starts_with("mismatched") || g == "balancer root without slash on url" => {
            return Err(
                "a slash mismatch cannot be written: base path and rest are joined by one slash",
            );
        }
        g if g.contains("Location") => return Err("there are no Location blocks"),
        g if g.contains("ProxyPassMatch") || g.contains("regex") => {
            return Err("a regex route forwards the whole path; groups are for redirects");
        }
        g if g.contains("SetEnvIf") => return Err("there are no environment variables"),
        g if g.contains("AllowEncodedSlashes")
            || g.contains("nocanon")
            || g == "MergeSlashes Off" =>
        {
            return Err("there is one canonical path, without switches");
        }
        "mapping=encoded" | "url with query string" => {
            return Err("there is no such parameter");
        }
        _ => return Err(UNKNOWN),
    })
}

const UNKNOWN: &str = "not decided";

/// Where we differ on purpose: group, target, member and what it gets, why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "prefix with slash both",
        "/app/\u{c3}\u{a4}",
        "refused",
        "a target is ASCII (RFC 3986); two servers need not agree about other bytes",
    ),
    (
        "prefix with slash both",
        "/app/;a=b/x",
        "refused",
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
    (
        "prefix without slash both",
        "/app;v=1",
        "a /webapp;v=1",
        "parameters belong to the segment",
    ),
    (
        "balancer members with path",
        "/app",
        "a /ctx",
        "no slash is made up",
    ),
    (
        "mapping=servlet",
        "/some/path;v=1",
        "a /some/path;v=1",
        "parameters are the member's to read",
    ),
    (
        "mapping=servlet",
        "/some/path/..;/x",
        "refused",
        "ambiguous",
    ),
];

#[test]
fn paths_are_mapped_as_httpd_does_or_better() {
    let file = golden::load("mapping.json");
    let (a, b) = Member::pair();
    let mut compared = Compared::default();
    for group in golden::list(&file, "groups") {
        let title = golden::text(group, "group");
        let text = match configuration(&a, &b, title) {
            Ok(text) => text,
            Err(why) => {
                assert_ne!(why, UNKNOWN, "{title}");
                continue;
            }
        };
        let gateway = Gateway::start(text);
        for row in golden::list(group, "rows") {
            let asked = golden::text(row, "request_target");
            let (hits_a, hits_b) = (a.hits(), b.hits());
            // The table holds bytes as the characters of the same number.
            let target: Vec<u8> = asked
                .chars()
                .map(|c| u8::try_from(c).expect("a byte"))
                .collect();
            let request = [
                b"GET ",
                target.as_slice(),
                b" HTTP/1.1\r\nHost: front.example.com\r\n\r\n",
            ]
            .concat();
            let response = gateway.raw(request);
            let here = match (a.hits() > hits_a, b.hits() > hits_b) {
                (true, _) => format!("a {}", a.last().target()),
                (_, true) => format!("b {}", b.last().target()),
                _ if matches!(response.status, 400 | 403 | 404) => "refused".to_owned(),
                _ => format!("status {}", response.status),
            };
            let difference = DIFFERENCES
                .iter()
                .find(|(g, t, _, _)| *g == title && *t == asked);
            let expected = match (difference, row["backend"].as_str()) {
                (Some((_, _, ours, _)), _) => (*ours).to_owned(),
                (None, Some(member)) => format!("{member} {}", golden::text(row, "backend_target")),
                (None, None) => "refused".to_owned(),
            };
            compared.row(format!("{title}: {asked}"), here, expected);
        }
    }
    compared.end(50);
}
