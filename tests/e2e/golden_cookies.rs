//! The cookie directives of httpd against its vectors, end to end.

use switchyard_tests::{
    Client, Gateway, Setup,
    golden::{self, Compared},
};

use crate::{
    conf::{balancer, entry, site},
    mouth::Mouth,
};

/// Where we do better than httpd on purpose: cookie of the member, what the client gets here, why.
const COOKIE_DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "s=1; Path=/app",
        "s=1; Path=/front/app",
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
        "a domain has no port",
    ),
];

/// `ProxyPassReverseCookiePath /app /` lines as our table.
fn cookie_rules(config: &str) -> (String, String) {
    let mut paths = Vec::new();
    let mut domains = Vec::new();
    for line in config.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ProxyPassReverseCookiePath", from, to] => paths.push(format!("{from:?} = {to:?}")),
            ["ProxyPassReverseCookieDomain", from, to] => {
                domains.push(format!("{from:?} = {to:?}"))
            }
            _ => {}
        }
    }
    (paths.join(", "), domains.join(", "))
}

#[test]
fn cookie_paths_and_domains_are_mapped_as_httpd_does_or_better() {
    let file = golden::load("cookies.json");
    let a = Mouth::start("a");
    let mut compared = Compared::default();
    for group in golden::list(&file, "groups") {
        let title = golden::text(group, "group");
        // A table has no order; nested rules are decided by the longest, not by the first.
        if title.starts_with("two rules")
            || title.starts_with("Location scoped")
            || title.starts_with("several")
        {
            continue;
        }
        let (paths, domains) = cookie_rules(golden::text(group, "config"));
        let keys = format!(
            "balancer = \"cl\"\nreverse = {{ location = false, cookie_path = {{ {paths} }}, cookie_domain = {{ {domains} }} }}"
        );
        let gateway =
            Gateway::start(site(&[("/", &keys)]) + &balancer("cl", "", &[entry(&a.member, "")]));
        let mut client = gateway.connect();
        for row in golden::list(group, "rows") {
            let said = golden::text(row, "backend_set_cookie");
            a.say(200, &[("Set-Cookie", said)]);
            let response = client.get(golden::text(row, "request"));
            let difference = COOKIE_DIFFERENCES.iter().find(|(c, _, _)| *c == said);
            let expected = difference.map_or_else(
                || golden::text(row, "client_set_cookie"),
                |(_, ours, _)| *ours,
            );
            let here = response.all("set-cookie");
            compared.row(format!("{title}: {said}"), here, vec![expected]);
        }
    }
    compared.end(25);
}

#[test]
fn several_cookies_stay_separate_and_in_order() {
    let a = Mouth::start("a");
    let keys = "balancer = \"cl\"\nreverse = { cookie_path = { \"/app\" = \"/\" } }";
    let gateway =
        Gateway::start(site(&[("/", keys)]) + &balancer("cl", "", &[entry(&a.member, "")]));
    a.say(
        200,
        &[
            ("Set-Cookie", "a=1; Path=/app"),
            ("Set-Cookie", "b=2; Path=/other"),
            ("Set-Cookie2", "c=3; Path=/app"),
        ],
    );
    let response = gateway.get("/x");
    assert_eq!(
        response.all("set-cookie"),
        ["a=1; Path=/", "b=2; Path=/other"]
    );
    assert_eq!(response.all("set-cookie2"), ["c=3; Path=/app"]);
}

#[test]
fn cookies_are_mapped_only_under_their_route() {
    let a = Mouth::start("a");
    let gateway = Setup::new(
        site(&[
            (
                "/in",
                "balancer = \"cl\"\nreverse = { cookie_path = { \"/app\" = \"/x\" } }",
            ),
            ("/out", "balancer = \"cl\""),
        ]) + &balancer("cl", "", &[entry(&a.member, "")]),
    )
    .start();
    a.say(200, &[("Set-Cookie", "s=1; Path=/app")]);
    let mut client: Client = gateway.connect();
    assert_eq!(
        client.get("/in/x").field("set-cookie"),
        Some("s=1; Path=/x")
    );
    assert_eq!(
        client.get("/out/x").field("set-cookie"),
        Some("s=1; Path=/app")
    );
}
