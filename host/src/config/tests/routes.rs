//! What the keys of routes mean.

use serde_json::json;

use super::{LEAST, TWO, made, said, taken};
use crate::snapshot::{Action, PathPattern, PolicyRef, Proxy, Route, Snapshot};

fn routes(text: &str) -> (Snapshot, Vec<Route>) {
    let app = format!("[balancer.app]\n{TWO}\n[policy.own]\nsource = \"own.wasm\"\n");
    let snapshot = taken(&format!("{LEAST}{text}{app}")).snapshot;
    let routes = snapshot.vhosts[0].routes.clone();
    (snapshot, routes)
}

fn proxy(keys: &str) -> Proxy {
    let (_, routes) = routes(&format!("[[vhost.route]]\n{keys}\n"));
    match &routes[0].action {
        Action::Proxy(proxy) => (**proxy).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn reverse_becomes_a_configuration_in_the_order_of_the_file() {
    let config = |keys: &str| {
        made(&proxy(&format!("path = \"/app\"\nbalancer = \"app\"\n{keys}")).rewrite[0])
    };
    let all = json!({
        "front": "/app", "location": true, "cookie_path": true, "cookie_domain": true,
        "html": false, "events": false, "map": [],
    });
    assert_eq!(config("reverse = true"), ("reverse", all.clone()));
    assert_eq!(config("reverse = {}"), ("reverse", all));
    let (_, tables) = config(
        "reverse = { cookie_path = { \"/z\" = \"/1\", \"/a\" = \"/2\" }, cookie_domain = false, html = true, events = true, \
         map = { \"http://old/\" = \"/new/\" } }",
    );
    assert_eq!(tables["cookie_path"], json!([["/z", "/1"], ["/a", "/2"]]));
    assert_eq!(
        (&tables["cookie_domain"], &tables["location"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&tables["html"], &tables["events"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(tables["map"], json!([["http://old/", "/new/"]]));
    assert_eq!(
        proxy("path = \"/app\"\nbalancer = \"app\"\nreverse = false").rewrite,
        []
    );
}

#[test]
fn rewriters_follow_reverse() {
    let rewrite =
        proxy("path = \"/\"\nbalancer = \"app\"\nreverse = true\nrewrite = [\"policy:own\"]")
            .rewrite;
    assert_eq!(made(&rewrite[0]).0, "reverse");
    assert_eq!(rewrite[1], PolicyRef::Named("own".to_owned()));
}

#[test]
fn a_rewriter_is_not_tried_against_itself() {
    let of = |keys: &str| {
        let keys = format!("balancer = \"app\"\n{keys}");
        let policies = "[policy.own]\nsource = \"a\"\n[policy.new]\nsource = \"b\"\n";
        said(&format!(
            "{LEAST}[[vhost.route]]\npath = \"/\"\n{keys}\n[balancer.app]\n{TWO}\n{policies}"
        ))
    };
    let due = "is in service here";
    let last = "rewrite = [\"policy:new\", \"policy:own\"]";
    let found = of(&format!("{last}\nshadow = \"policy:own\""));
    assert!(
        found.contains(&format!("route[0].shadow: policy:own {due}")),
        "{found}"
    );
    // Candidates take the place of the last one alone.
    let found = of(&format!("{last}\nshadow = \"policy:new\""));
    assert!(!found.contains(due), "{found}");
}

#[test]
fn fronts_and_prefixes_suit_what_is_cut_off() {
    for (pattern, prefix, front) in [
        ("path = \"/\"", "", "/"),
        ("path = \"/app\"", "/app", "/app"),
        ("path = \"/app/\"", "/app/", "/app"),
        ("regex = \"^/app\"", "", ""),
    ] {
        let proxy = proxy(&format!("{pattern}\nbalancer = \"APP\"\nreverse = true"));
        assert_eq!(proxy.prefix, prefix);
        assert_eq!(made(&proxy.rewrite[0]).1["front"], front);
        assert_eq!(proxy.balancer, "app");
    }
}

#[test]
fn upgrades_default_to_websocket() {
    let upgrade = |keys: &str| proxy(&format!("path = \"/\"\nbalancer = \"app\"\n{keys}")).upgrade;
    assert_eq!(upgrade(""), ["websocket"]);
    assert_eq!(upgrade("upgrade = true"), ["websocket"]);
    assert_eq!(upgrade("upgrade = false"), [""; 0]);
    assert_eq!(
        upgrade("upgrade = [\"WebSocket\", \"h2c\"]"),
        ["websocket", "h2c"]
    );
}

#[test]
fn a_url_makes_a_balancer_of_its_own() {
    let text = "[[vhost.route]]\npath = \"/x\"\nproxy = \"http://One:3002/\"\n\
                [[vhost.route]]\npath = \"/x/\"\nproxy = \"http://two\"\n\
                [[vhost.route]]\npath = \"/x\"\nproxy = \"http://three\"\n";
    let (snapshot, routes) = routes(text);
    let of = |route: &Route| match &route.action {
        Action::Proxy(proxy) => snapshot.balancers[&proxy.balancer].members[0]
            .id
            .to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        routes.iter().map(of).collect::<Vec<_>>(),
        ["http://one:3002", "http://two:80", "http://three:80"]
    );
    assert_eq!(snapshot.balancers["a.example/x"].max_attempts, 0);
}

#[test]
fn each_action_is_understood() {
    let text = "[[vhost.route]]\npath = \"/i\"\nstatic = \"htdocs\"\nindex = [\"a.html\"]\n\
                [[vhost.route]]\nregex = \"^/(a)(b)\"\nredirect = { to = \"/$2/$1\", status = 308 }\n\
                [[vhost.route]]\npath = \"/r\"\nredirect = \"https://b.example/\"\nname = \"away\"\n\
                [[vhost.route]]\npath = \"/e\"\nexclude = true\n\
                [[vhost.route]]\npath = \"/d\"\ndeny = true\n\
                [[vhost.route]]\npath = \"/n\"\nallow_from = [\"10.0.0.0/8\", \"::1\"]\ndeny_from = [\"10.1.0.0/16\"]\n";
    let (_, routes) = routes(text);
    let [files, regex, redirect, exclude, deny, networks] = &routes[..] else {
        panic!("{routes:?}")
    };
    assert!(
        matches!(&files.action, Action::Static(f) if f.index == ["a.html"] && f.prefix == "/i" && f.root.is_absolute())
    );
    assert!(matches!(&regex.path, PathPattern::Regex(r) if r == "^/(a)(b)"));
    assert!(
        matches!(&regex.action, Action::Redirect(r) if r.status == 308 && r.to == "/$2/$1" && r.prefix.is_empty())
    );
    assert!(matches!(&redirect.action, Action::Redirect(r) if r.status == 302 && r.prefix == "/r"));
    assert_eq!(
        (redirect.name.as_str(), exclude.name.as_str()),
        ("away", "/e")
    );
    assert_eq!(exclude.action, Action::Exclude);
    assert_eq!((&deny.action, deny.access.deny), (&Action::Continue, true));
    assert_eq!(networks.access.allow_from.len(), 2);
    assert_eq!(
        (
            networks.access.deny_from[0].to_string().as_str(),
            &networks.action
        ),
        ("10.1.0.0/16", &Action::Continue)
    );
}

#[test]
fn groups_that_a_regex_lacks_are_refused() {
    let text = format!("{LEAST}[[vhost.route]]\nregex = \"^/(a)\"\nredirect = \"/$2\"\n");
    assert!(
        said(&text).contains("$2 stands for a group"),
        "{}",
        said(&text)
    );
}

#[test]
fn regexes_that_are_too_large_together_are_reported_with_their_vhost() {
    let route = |n| format!("[[vhost.route]]\nregex = '^/{n}\\w{{20}}'\ndeny = true\n");
    let text = format!("{LEAST}{}", (0..128).map(route).collect::<String>());
    let said = said(&text);
    assert!(
        said.contains("vhost[0]: ") && said.contains("too large together"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
