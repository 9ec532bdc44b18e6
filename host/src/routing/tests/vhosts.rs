//! Which vhost serves a host.

use super::fixture::{find, table, vhost};
use crate::{
    routing::{Authority, HostMatch},
    snapshot::{HostPattern, RouteOrder, Vhost},
};

fn named(name: &str, aliases: &[HostPattern]) -> Vhost {
    let mut vhost = vhost(name, RouteOrder::Longest, Vec::new());
    vhost.hosts.extend_from_slice(aliases);
    vhost
}

fn suffix(text: &str) -> HostPattern {
    HostPattern::Suffix(text.to_owned())
}

fn glob(text: &str) -> HostPattern {
    HostPattern::Glob(text.to_owned())
}

fn vhosts() -> Vec<Vhost> {
    vec![
        named("first.test", &[suffix(".example.com")]),
        named(
            "www.example.com",
            &[HostPattern::Exact("alias.test".to_owned())],
        ),
        named(
            "deep.test",
            &[
                suffix(".deep.example.com"),
                glob("img*.cdn.test"),
                glob("www.*"),
            ],
        ),
        named(
            "globs.test",
            &[
                glob("img1.cdn.test*"),
                glob("*.cdn.test"),
                glob("h?"),
                glob("www.*.org"),
            ],
        ),
        named("[2001:db8::1]", &[]),
    ]
}

#[test]
fn the_most_telling_claim_wins_then_the_first() {
    use HostMatch::*;
    let table = table(vhosts());
    for (host, name, by) in [
        ("www.example.com", "www.example.com", Exact),
        ("WWW.Example.Com.:8080", "www.example.com", Exact),
        ("alias.test", "www.example.com", Exact),
        ("x.example.com", "first.test", Wildcard),
        ("x.y.example.com", "first.test", Wildcard),
        ("example.com", "first.test", Default),
        ("x.deep.example.com", "deep.test", Wildcard),
        ("deep.example.com", "first.test", Wildcard),
        ("img1.cdn.test", "deep.test", Wildcard),
        ("x.cdn.test", "globs.test", Wildcard),
        ("www.anything", "deep.test", Wildcard),
        ("www.anything.org", "deep.test", Wildcard),
        ("h1", "globs.test", Wildcard),
        ("h12", "first.test", Default),
        ("[2001:DB8:0::1]:80", "[2001:db8::1]", Exact),
        ("[::1]", "first.test", Default),
        ("xexample.com", "first.test", Default),
    ] {
        let authority = Authority::parse(host.as_bytes()).unwrap();
        let found = find(&table, authority.host(), "/");
        assert_eq!((found.vhost.name.as_str(), found.by), (name, by), "{host}");
        assert_eq!(vhosts()[found.vhost_index].name, name);
    }
}

#[test]
fn a_vhost_may_be_the_default_whatever_its_place() {
    let mut vhosts = vhosts();
    vhosts[3].default = true;
    let table = table(vhosts);
    for host in ["nobody.test", "", "192.0.2.1"] {
        let found = find(&table, host, "/");
        assert_eq!(
            (found.vhost_index, found.by),
            (3, HostMatch::Default),
            "{host:?}"
        );
    }
    assert_eq!(find(&table, "first.test", "/").vhost_index, 0);
}
