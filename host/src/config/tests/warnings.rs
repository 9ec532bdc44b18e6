//! What is legal and hardly meant.

use super::{LEAST, said, taken};

/// A file with a balancer of these members and a route to it.
fn balanced(keys: &str, members: &str) -> String {
    format!(
        "{LEAST}[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n[balancer.app]\n{keys}\nmembers = [{members}]\n"
    )
}

const ONE: &str = "{ url = \"http://h:1\", route = \"a\" }";

#[test]
fn each_doubt_is_a_warning_with_its_key() {
    let with_routes = |order: &str, routes: &str| format!("{LEAST}order = \"{order}\"\n{routes}");
    let route = |matches: &str| format!("[[vhost.route]]\n{matches}\nredirect = \"/there\"\n");
    let two_routes = balanced(
        "",
        &format!("{ONE}, {{ url = \"http://h:2\", route = \"a\" }}"),
    );
    let cases = [
        (
            two_routes,
            "balancer.app.members[1].route",
            "two members have the route",
        ),
        (
            balanced("stickysession = \"S\"", "{ url = \"http://h:1\" }"),
            "stickysession",
            "no session will stick",
        ),
        (
            balanced("failover = false", ONE),
            "balancer.app.failover",
            "without stickysession",
        ),
        (
            balanced("", ONE).replace("balancer = \"app\"", "deny = true"),
            "balancer.app",
            "no route uses",
        ),
        (
            format!("{LEAST}[policy.p]\nsource = \"nowhere.wasm\"\n"),
            "policy.p.source",
            "is not there",
        ),
        (
            format!("{LEAST}[policy.p]\nsource = \"nowhere.wasm\"\n"),
            "policy.p",
            "nothing uses",
        ),
        (LEAST.to_owned(), "vhost[0]", "every answer is 404"),
        (
            format!("{LEAST}document_root = \"nowhere\"\n"),
            "document_root",
            "not a folder",
        ),
        (
            format!("{LEAST}aliases = [\"A.example.\"]\n"),
            "aliases[0]",
            "listed twice",
        ),
        (
            format!("{LEAST}[admin]\nlisten = \"0.0.0.0:9191\"\n"),
            "admin.listen",
            "no password",
        ),
        (
            LEAST.replace("[[vhost]]", "proxy_protocol = true\n[[vhost]]"),
            "proxy_protocol",
            "trusted_proxies",
        ),
        (
            format!("{LEAST}[[vhost.route]]\npath = \"/a/\"\ndeny = true\n"),
            "route[0].path",
            "does not cover \"/a\"",
        ),
        (
            with_routes(
                "file",
                &(route("path = \"/a\"") + &route("path = \"/a/b\"")),
            ),
            "vhost[0].route[1]",
            "never serves",
        ),
        (
            with_routes("file", &(route("path = \"/\"") + &route("regex = \"x\""))),
            "vhost[0].route[1]",
            "never serves",
        ),
        (
            with_routes(
                "longest",
                &(route("path = \"/a\"") + &route("path = \"/a\"")),
            ),
            "vhost[0].route[1]",
            "never serves",
        ),
        (
            with_routes(
                "longest",
                &(route("regex = \"a\"") + &route("regex = \"a\"")),
            ),
            "vhost[0].route[1]",
            "never serves",
        ),
        (
            with_routes(
                "longest",
                &(route("regex = \"a\"") + &route("path = \"/\"")),
            ),
            "vhost[0].route[0]",
            "regexes come after all paths",
        ),
        (
            balanced("", ONE).replace(
                "balancer = \"app\"",
                "balancer = \"app\"\nreverse = { events = true }",
            ),
            "reverse.events",
            "without html",
        ),
    ];
    for (text, key, part) in cases {
        let loaded = taken(&text);
        let found = loaded
            .warnings
            .iter()
            .any(|w| w.key.ends_with(key) && w.message.contains(part));
        assert!(found, "{key}: {part} not in\n{}", loaded.lines());
    }
}

#[test]
fn nothing_is_said_about_what_is_well_meant() {
    let rest = "[[vhost.route]]\npath = \"/\"\nallow_from = [\"10.0.0.0/8\"]\n\
                [[vhost.route]]\npath = \"/\"\nredirect = \"/there\"\n\
                [[vhost.route]]\npath = \"/there\"\ndeny = true\n\
                [[vhost.route]]\npath = \"/therefore\"\ndeny = true\n";
    assert_eq!(said(&format!("{LEAST}{rest}")), "");
    let file = "order = \"file\"\n[[vhost.route]]\npath = \"/a/\"\nredirect = \"/b\"\n\
                [[vhost.route]]\npath = \"/a\"\nredirect = \"/c\"\n\
                [[vhost.route]]\npath = \"/apple\"\nexclude = true\n";
    assert_eq!(said(&format!("{LEAST}{file}")), "");
}

#[test]
fn an_address_that_is_taken_is_a_warning() {
    let taken_port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken_port.local_addr().expect("its address").to_string();
    let route = "[[vhost.route]]\npath = \"/\"\ndeny = true\n";
    let text = LEAST.replace("127.0.0.1:0", &address) + route;
    let mut loaded = taken(&text);
    assert_eq!(loaded.lines(), "");
    loaded.try_binding();
    assert!(
        loaded
            .lines()
            .contains(&format!("listener[0].bind: {address} cannot be bound")),
        "{}",
        loaded.lines()
    );
    let mut free = taken(&(LEAST.to_owned() + route));
    free.try_binding();
    assert_eq!(free.lines(), "");
}
