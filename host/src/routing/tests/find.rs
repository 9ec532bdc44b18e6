//! Which route takes a path.

use std::net::IpAddr;

use super::fixture::{allow, deny, find, outcome, proxy, redirect, route, snapshot, table, vhost};
use crate::{
    routing::{CanonicalPath, Table, TableError},
    snapshot::{Access, Action, Route, RouteOrder, Vhost},
};

fn check(vhost: Vhost, cases: &[(&str, &str)]) {
    let order = vhost.order;
    let table = table(vec![vhost]);
    for (target, expected) in cases {
        assert_eq!(
            outcome(&find(&table, "h.test", target)),
            *expected,
            "{target} in order {order:?}"
        );
    }
}

#[test]
fn the_longest_prefix_wins_whatever_its_place() {
    let routes = || {
        vec![
            proxy("/a"),
            proxy("~\\.gif$"),
            proxy("/a/b/c"),
            proxy("/a/b"),
            proxy("/d/"),
        ]
    };
    check(
        vhost("h.test", RouteOrder::Longest, routes()),
        &[
            ("/a", "/a"),
            ("/a/x", "/a"),
            ("/a;v=1/b;w=2/x", "/a/b"),
            ("/a/b/c/d", "/a/b/c"),
            ("/a/bc", "/a"),
            ("/ab", "files"),
            ("/A", "files"),
            ("/d", "files"),
            ("/d/", "/d/"),
            ("/d/x", "/d/"),
            ("/a/x.gif", "/a"),
            ("/x.gif", "~\\.gif$"),
            ("/", "files"),
        ],
    );
}

#[test]
fn the_first_in_the_file_wins_where_so_configured() {
    let routes = vec![
        proxy("/a/b"),
        proxy("~\\.gif$"),
        proxy("/a"),
        proxy("/a/b/c"),
        proxy("~^/z"),
        proxy("/z"),
    ];
    check(
        vhost("h.test", RouteOrder::File, routes),
        &[
            ("/a/b/c", "/a/b"),
            ("/a/b/x.gif", "/a/b"),
            ("/a/x.gif", "~\\.gif$"),
            ("/a/x", "/a"),
            ("/z", "~^/z"),
            ("/z.gif", "~\\.gif$"),
            ("/q", "files"),
        ],
    );
}

#[test]
fn a_later_route_for_the_same_path_never_serves() {
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let mut second = proxy("/a");
        second.name = "second".to_owned();
        check(
            vhost("h.test", order, vec![proxy("/a"), second]),
            &[("/a/x", "/a")],
        );
    }
}

#[test]
fn a_root_route_takes_what_no_other_does() {
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let vhost = vhost("h.test", order, vec![proxy("/a"), proxy("/")]);
        check(
            vhost,
            &[
                ("/", "/"),
                ("/x", "/"),
                ("/a", "/a"),
                ("/;jsessionid=1", "/"),
            ],
        );
    }
}

#[test]
fn exclusions_lead_to_the_files_of_the_vhost() {
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let routes = vec![route("/images", Action::Exclude), proxy("/")];
        let mut vhost = vhost("h.test", order, routes);
        check(
            vhost.clone(),
            &[("/images/a.png", "files"), ("/imagesx", "/")],
        );
        vhost.document_root = None;
        check(vhost, &[("/images/a.png", "nothing")]);
    }
}

#[test]
fn nothing_is_found_without_routes_and_files() {
    let mut vhost = vhost("h.test", RouteOrder::Longest, Vec::new());
    vhost.document_root = None;
    check(vhost, &[("/", "nothing"), ("/x", "nothing")]);
}

#[test]
fn access_is_checked_before_the_action_and_on_every_route_passed() {
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let routes = vec![
            allow("/a/in", "192.0.2.0/24"),
            allow("/a/out", "10.0.0.0/8"),
            deny("/a/no"),
            proxy("/a"),
        ];
        check(
            vhost("h.test", order, routes),
            &[
                ("/a/in/x", "/a"),
                ("/a/out/x", "denied by /a/out"),
                ("/a/no", "denied by /a/no"),
                ("/a/no;x=1/y", "denied by /a/no"),
                ("/x/../a/no/y", "denied by /a/no"),
                ("/a/not", "/a"),
            ],
        );
    }
    // In file order a rule behind the route it should guard comes too late.
    check(
        vhost("h.test", RouteOrder::File, vec![proxy("/a"), deny("/a/no")]),
        &[("/a/no", "/a")],
    );
    check(
        vhost(
            "h.test",
            RouteOrder::File,
            vec![deny("~\\.bak$"), proxy("/a")],
        ),
        &[("/a/x.bak", "denied by ~\\.bak$")],
    );
}

#[test]
fn rules_on_the_same_path_add_up_before_the_route_that_serves() {
    let narrow = allow("/a", "192.0.2.0/24");
    for (first, second, expected) in [
        (narrow.clone(), narrow.clone(), "/a/"),
        (narrow.clone(), deny("/a"), "denied by /a"),
        (deny("/a"), narrow, "denied by /a"),
    ] {
        let mut serves = proxy("/a");
        serves.name = "/a/".to_owned();
        check(
            vhost("h.test", RouteOrder::Longest, vec![first, second, serves]),
            &[("/a/x", expected)],
        );
    }
}

#[test]
fn networks_allow_and_deny() {
    let net = |text: &str| text.parse().unwrap();
    let access = |allow_from: &[&str], deny_from: &[&str]| Access {
        deny: false,
        allow_from: allow_from.iter().map(|text| net(text)).collect(),
        deny_from: deny_from.iter().map(|text| net(text)).collect(),
    };
    for (access, client, passes) in [
        (access(&[], &[]), "192.0.2.7", true),
        (access(&["192.0.2.0/24"], &[]), "192.0.2.7", true),
        (access(&["192.0.2.0/24"], &[]), "::ffff:192.0.2.7", true),
        (access(&["192.0.2.0/24"], &[]), "192.0.3.7", false),
        (access(&["192.0.2.0/24"], &[]), "2001:db8::1", false),
        (
            access(&["192.0.2.0/24"], &["192.0.2.7/32"]),
            "192.0.2.7",
            false,
        ),
        (
            access(&["192.0.2.0/24"], &["192.0.2.7/32"]),
            "192.0.2.8",
            true,
        ),
        (access(&[], &["192.0.2.0/24"]), "::ffff:192.0.2.7", false),
        (access(&[], &["2001:db8::/32"]), "2001:db8::1", false),
        (access(&[], &["2001:db8::/32"]), "192.0.2.7", true),
    ] {
        let routes = vec![Route {
            access,
            ..proxy("/a")
        }];
        let table = table(vec![vhost("h.test", RouteOrder::Longest, routes)]);
        let path = CanonicalPath::parse(b"/a").unwrap();
        let client: IpAddr = client.parse().unwrap();
        assert_eq!(
            outcome(&table.find("h.test", &path, client)) == "/a",
            passes,
            "{client}"
        );
    }
}

#[test]
fn what_an_encoded_character_stands_for_must_not_lead_elsewhere() {
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let routes = vec![
            deny("/admin"),
            proxy("/files/x"),
            proxy("/files"),
            deny("~secret"),
        ];
        check(
            vhost("h.test", order, routes),
            &[
                ("/files/a%2Fb%20c", "/files"),
                ("/files/a%3Bb", "/files"),
                ("/files/50%25", "/files"),
                ("/files/%2541", "/files"),
                ("/files/x%2Fy", "ambiguous"),
                ("/files%2Fx", "ambiguous"),
                ("/admin%2Fx", "ambiguous"),
                ("/admin%3Bx/y", "ambiguous"),
                ("/admin%3Bx%2Fy", "ambiguous"),
                ("/%2561dmin/x", "ambiguous"),
                ("/admin/x%2Fy", "denied by /admin"),
                ("/admin/%2573ecret", "denied by /admin"),
            ],
        );
    }
    let routes = vec![deny("~secret"), proxy("/files")];
    check(
        vhost("h.test", RouteOrder::File, routes),
        &[
            ("/files/%2573ecret", "ambiguous"),
            ("/files/%2573afe", "/files"),
        ],
    );
    let hidden = vec![deny("/x/admin"), proxy("/")];
    check(
        vhost("h.test", RouteOrder::Longest, hidden),
        &[("/x;a=%2Fadmin", "ambiguous"), ("/x;a=b%2Fc", "/")],
    );
}

#[test]
fn groups_are_kept_for_redirects_that_use_them() {
    let captures = |route, target: &str| {
        let table = table(vec![vhost("h.test", RouteOrder::Longest, vec![route])]);
        match find(&table, "h.test", target).target {
            crate::routing::Target::Route { captures, .. } => captures,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        captures(redirect("~^/v([0-9]+)(/x)?", "/new/$1"), "/v12/y"),
        ["/v12", "12", ""]
    );
    assert!(captures(redirect("~^/v([0-9]+)", "/new"), "/v12").is_empty());
    assert!(captures(proxy("~^/v([0-9]+)"), "/v12").is_empty());
}

#[test]
fn a_regex_that_is_wrong_or_too_large_names_its_route() {
    for pattern in ["~(", "~(a{1000}){1000}"] {
        let vhost = vhost(
            "h.test",
            RouteOrder::Longest,
            vec![proxy("/ok"), proxy(pattern)],
        );
        let error = Table::new(&snapshot(vec![vhost])).unwrap_err();
        assert!(
            matches!(&error, TableError::Regex { vhost, route, .. } if vhost == "h.test" && route == pattern),
            "{error}"
        );
    }
    assert!(matches!(
        Table::new(&snapshot(Vec::new())),
        Err(TableError::NoVhost)
    ));
}

#[test]
fn more_regexes_than_one_pass_holds_keep_their_order() {
    let mut routes: Vec<Route> = (0..600).map(|n| proxy(&format!("~^/r{n}/"))).collect();
    routes.push(proxy("~^/r"));
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let vhost = vhost("h.test", order, routes.clone());
        check(
            vhost,
            &[
                ("/r7/x", "~^/r7/"),
                ("/r599/x", "~^/r599/"),
                ("/r600/x", "~^/r"),
                ("/x", "files"),
            ],
        );
    }
}
