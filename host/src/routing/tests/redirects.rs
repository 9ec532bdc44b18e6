//! Where redirects lead.

use super::fixture::{find, redirect, table, vhost};
use crate::{
    routing::{CanonicalPath, Target, redirect_location},
    snapshot::{Action, RouteOrder},
};

#[test]
fn locations_keep_the_rest_of_the_path_and_the_query() {
    for (path, to, target, location) in [
        ("/old", "/new", "/old", "/new"),
        ("/old", "/new", "/old/x?q=1", "/new/x?q=1"),
        ("/old", "/new/", "/old/x", "/new/x"),
        ("/old", "/new/", "/old", "/new/"),
        ("/old", "/new?a=b", "/old/x?q=1", "/new/x?a=b"),
        ("/old", "/new#top", "/old/x?q=1", "/new/x?q=1#top"),
        ("/old", "https://new.test", "/old/x", "https://new.test/x"),
        ("/old", "https://new.test", "/old", "https://new.test"),
        (
            "/old",
            "https://new.test",
            "/old;x=.evil.test",
            "https://new.test/;x=.evil.test",
        ),
        (
            "/old",
            "https://new.test/a",
            "/old;x=1",
            "https://new.test/a;x=1",
        ),
        ("/", "https://new.test", "/a%20b", "https://new.test/a%20b"),
        ("/", "/", "//evil.test/x", "/evil.test/x"),
        ("/", "//cdn.test", "/x", "//cdn.test/x"),
        ("/old/", "/", "/old//evil.test", "/evil.test"),
        (
            "~^/v([0-9]+)/(.*)$",
            "/ver-$1/$2",
            "/v12/y?z",
            "/ver-12/y?z",
        ),
        (
            "~^/v(.*)$",
            "/new?p=$1&x=$9",
            "/va&b=c d",
            "/new?p=a%26b%3Dc%20d&x=",
        ),
        ("~^/p(.*)$", "/$1", "/p/evil.test", "/evil.test"),
        ("~^/p(.*)$", "$1", "/p/x", "/x"),
        (
            "~^/p/(.*)$",
            "/n/$1",
            "/p/a%2Fb%3F%23%25;x",
            "/n/a%2Fb%3F%23%25",
        ),
        (
            "~^/p/(.*)$",
            "/n/$1",
            "/p/a%3Bb%20%C3%A4",
            "/n/a%3Bb%20%C3%A4",
        ),
        ("~^/p", "/cost/$$5/$0/$", "/p", "/cost/$5//p/$"),
    ] {
        let target = target.replace(' ', "%20");
        let table = table(vec![vhost(
            "h.test",
            RouteOrder::Longest,
            vec![redirect(path, to)],
        )]);
        let Target::Route {
            route, captures, ..
        } = find(&table, "h.test", &target).target
        else {
            panic!("{target} is not taken by {path}");
        };
        let Action::Redirect(redirect) = &route.action else {
            panic!("{:?}", route.action)
        };
        let path = CanonicalPath::parse(target.as_bytes()).unwrap();
        assert_eq!(
            redirect_location(route, redirect, &path, &captures),
            location,
            "{target} to {to}"
        );
    }
}
