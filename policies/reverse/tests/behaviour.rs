//! What the vectors do not cover: mappings from the pool itself, bodies, triggers, and
//! a configuration that is wrong.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_reverse::{Reverse, Settings};
use switchyard_policy::{
    BodyPlan, Edit, Hook, Membership, ResponsePlan, Rewriter, Trigger, config,
    testing::{self, Host},
};

const MEMBER: &str = "http://10.0.0.3:8080/Test";

fn start(config: &str, members: &[&str]) -> Reverse {
    let mut policy: Reverse = testing::start(config).unwrap();
    let members = members.iter().map(|id| testing::member(id, ""));
    policy.members_changed(1, members.collect());
    policy
}

fn answer(policy: &mut Reverse, member: &str, lines: &[(&str, &str)]) -> ResponsePlan {
    let host = Host::new();
    host.scheme("https")
        .authority("www.example.com")
        .response(200, member, "");
    for (name, value) in lines {
        host.response_header(name, value);
    }
    host.run(|| policy.on_response())
}

#[test]
fn every_header_that_is_looked_at_has_a_trigger_and_no_other_is() {
    let lines = [
        ("location", "http://10.0.0.3:8080/Test/a"),
        ("content-location", "http://10.0.0.3:8080/Test/b"),
        ("uri", "http://10.0.0.3:8080/Test/c"),
        ("destination", "http://10.0.0.3:8080/Test/d"),
        ("refresh", "1; url=http://10.0.0.3:8080/Test/e"),
        ("link", "<http://10.0.0.3:8080/Test/f>; rel=next"),
        ("set-cookie", "a=b; Path=/Test/"),
    ];
    for text in [
        r#"{"front": "/app/", "location": true, "cookie_path": true}"#,
        r#"{"front": "/app/", "location": true}"#,
        r#"{"front": "/app/", "location": false, "cookie_path": true}"#,
    ] {
        let settings: Settings = config::read(text).unwrap();
        let triggers: Vec<_> = Reverse::describe(&settings)
            .triggers
            .into_iter()
            .filter(|(hook, _)| *hook == Hook::OnResponse)
            .map(|(_, trigger)| trigger)
            .collect();
        let mut policy = start(text, &[MEMBER]);
        for (name, value) in lines {
            let has =
                |trigger: &Trigger| matches!(trigger, Trigger::ResponseHeader(of) if of == name);
            let plan = answer(&mut policy, MEMBER, &[(name, value)]);
            assert_eq!(
                plan.headers.len(),
                usize::from(triggers.iter().any(has)),
                "{name} under {text}"
            );
        }
    }
}

fn one(policy: &mut Reverse, member: &str, name: &str, value: &str) -> Option<String> {
    match answer(policy, member, &[(name, value)]).headers.as_slice() {
        [] => None,
        [Edit::ReplaceLine((line, new))] => {
            assert_eq!(line.name, name);
            Some(String::from_utf8(new.clone()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_members_address_is_mapped_and_nobody_elses() {
    let members = [
        MEMBER,
        "http://app.internal:80/Test",
        "http://[fd00::1]:8080/Test",
    ];
    let mut policy = start(r#"{"front": "/app/", "location": true}"#, &members);
    let cases = [
        (
            "http://10.0.0.3:8080/Test/x?y#z",
            Some("https://www.example.com/app/x?y#z"),
        ),
        (
            "http://10.0.0.3:8080/Test",
            Some("https://www.example.com/app"),
        ),
        (
            "http://APP.internal/Test/x",
            Some("https://www.example.com/app/x"),
        ),
        (
            "//app.internal:80/Test/x",
            Some("https://www.example.com/app/x"),
        ),
        (
            "http://[FD00::1]:8080/Test/",
            Some("https://www.example.com/app/"),
        ),
        (
            "http://10.0.0.3:8080/Test;jsessionid=1.a",
            Some("https://www.example.com/app;jsessionid=1.a"),
        ),
        ("/Test/x", Some("/app/x")),
        ("/Test", Some("/app")),
        ("/Tester", None),
        ("/other", None),
        ("x/y", None),
        ("https://10.0.0.3:8080/Test/x", None),
        ("http://10.0.0.3:80801/Test/x", None),
        ("http://10.0.0.3/Test/x", None),
        ("http://10.0.0.3:8080/Testing", None),
        ("http://10.0.0.3:8080/Test/../manager", None),
        ("http://evil@10.0.0.3:8080/Test/x", None),
        ("http://10.0.0.3:8080@evil/Test/x", None),
        ("http://evil.example/?u=http://10.0.0.3:8080/Test/x", None),
        ("http:\\\\10.0.0.3:8080/Test/x", None),
    ];
    for (value, wanted) in cases {
        let got = one(&mut policy, MEMBER, "location", value);
        assert_eq!(got.as_deref(), wanted, "{value}");
    }
}

#[test]
fn a_path_is_mapped_by_the_base_of_the_member_that_sent_it() {
    let members = ["http://a:80/one", "http://b:80/two"];
    let mut policy = start(r#"{"front": "/app", "location": true}"#, &members);
    let mut path = |member: &str| one(&mut policy, member, "location", "/two/x");
    assert_eq!(path("http://a:80/one"), None);
    assert_eq!(path("http://b:80/two").as_deref(), Some("/app/x"));
    assert_eq!(path("http://gone:80/two"), None);
}

#[test]
fn of_nested_bases_on_one_server_the_longer_counts() {
    let members = ["http://a:80/app", "http://a:80/app/admin"];
    let mut policy = start(
        r#"{"front": "/x", "location": true, "html": true}"#,
        &members,
    );
    let value = "http://a/app/admin/1";
    let got = one(&mut policy, members[0], "location", value);
    assert_eq!(got.as_deref(), Some("https://www.example.com/x/1"));
    let (urls, _) = links(r#"{"front": "/x", "html": true}"#, &members, "text/html").unwrap();
    let at = |from: &str| urls.iter().position(|(url, _)| url == from).unwrap();
    assert!(at("http://a/app/admin") < at("http://a/app"));
    assert!(at("/app/admin") < at("/app"));
}

#[test]
fn the_root_works_on_either_side() {
    let mut to_root = start(r#"{"front": "/", "location": true}"#, &[MEMBER]);
    let mut location = |value: &str| one(&mut to_root, MEMBER, "location", value);
    assert_eq!(location("/Test").as_deref(), Some("/"));
    assert_eq!(location("/Test?x").as_deref(), Some("/?x"));
    let absolute = location("http://10.0.0.3:8080/Test");
    assert_eq!(absolute.as_deref(), Some("https://www.example.com/"));
    let root = "http://a:80";
    let mut from_root = start(r#"{"front": "/app", "location": true}"#, &[root]);
    let mut location = |value: &str| one(&mut from_root, root, "location", value);
    assert_eq!(location("/x").as_deref(), Some("/app/x"));
    assert_eq!(
        location("http://a").as_deref(),
        Some("https://www.example.com/app")
    );
    assert_eq!(location("//other/x"), None);
}

#[test]
fn further_prefixes_are_mapped_first() {
    let config = r#"{"front": "/app", "location": true, "map": [
        ["http://old.example.com/x/", "/y/"], ["/cgi", "https://cgi.example.com"]]}"#;
    let mut policy = start(config, &[MEMBER]);
    let mut location = |value: &str| one(&mut policy, MEMBER, "location", value);
    let old = location("http://OLD.example.com/x/1");
    assert_eq!(old.as_deref(), Some("https://www.example.com/y/1"));
    assert_eq!(
        location("/cgi/a").as_deref(),
        Some("https://cgi.example.com/a")
    );
    assert_eq!(location("http://old.example.com/xy"), None);
    let mut all = start(r#"{"location": true, "map": [["/", "/a/"]]}"#, &[MEMBER]);
    let mut location = |value: &str| one(&mut all, MEMBER, "location", value);
    assert_eq!(location("/x").as_deref(), Some("/a/x"));
    assert_eq!(location("//other/x"), None);
}

#[test]
fn each_line_of_each_header_is_edited_by_itself() {
    let mut policy = start(r#"{"front": "/app", "location": true}"#, &[MEMBER]);
    let lines = [
        ("link", "<http://foreign/a>"),
        ("link", "</Test/a>; rel=next, <http://10.0.0.3:8080/Test/b>"),
        ("refresh", "0;URL='/Test/c'"),
        ("content-location", "/Test/d"),
    ];
    let plan = answer(&mut policy, MEMBER, &lines);
    let wanted = [
        Edit::replace_line("content-location", 0, "/app/d"),
        Edit::replace_line("refresh", 0, "0;URL='/app/c'"),
        Edit::replace_line(
            "link",
            1,
            "</app/a>; rel=next, <https://www.example.com/app/b>",
        ),
    ];
    assert_eq!(plan.headers, wanted);
    assert_eq!(plan.body, BodyPlan::Pass);
}

#[test]
fn cookies_of_the_members_become_the_fronts() {
    let config = r#"{"front": "/app", "cookie_path": true, "cookie_domain": true}"#;
    let mut policy = start(config, &[MEMBER, "http://Tc1.internal:8080/Test"]);
    let cases = [
        ("s=1; Path=/Test", Some("s=1; Path=/app")),
        ("s=1; Path=/Test/", Some("s=1; Path=/app/")),
        (
            "s=1; Path=/Test/sub; HttpOnly",
            Some("s=1; Path=/app/sub; HttpOnly"),
        ),
        ("s=1; path = \"/Test\"", Some("s=1; path = \"/app\"")),
        ("s=1; Path=/Tester", None),
        ("s=1; Path=/test", None),
        ("s=1; Path=/", None),
        (
            "s=1; Domain=.tc1.INTERNAL; Path=/Test",
            Some("s=1; Path=/app"),
        ),
        ("s=1; Domain=10.0.0.3", Some("s=1")),
        ("s=1; Domain=internal", None),
    ];
    for (line, wanted) in cases {
        let got = one(&mut policy, MEMBER, "set-cookie", line);
        assert_eq!(got.as_deref(), wanted, "{line}");
    }
}

#[test]
fn cookies_of_a_root_application_get_the_front_as_their_path() {
    let root = "http://a:80";
    let mut policy = start(r#"{"front": "/app", "cookie_path": true}"#, &[root]);
    let mut cookie = |line: &str| one(&mut policy, root, "set-cookie", line);
    // `/app/` would not be sent for `/app`.
    assert_eq!(cookie("s=1; Path=/").as_deref(), Some("s=1; Path=/app"));
    assert_eq!(cookie("s=1; Path=/x").as_deref(), Some("s=1; Path=/app/x"));
    let mut to_root = start(r#"{"cookie_path": true}"#, &[MEMBER]);
    let mut cookie = |line: &str| one(&mut to_root, MEMBER, "set-cookie", line);
    assert_eq!(cookie("s=1; Path=/Test").as_deref(), Some("s=1; Path=/"));
    assert_eq!(cookie("s=1; Path=/Test/x").as_deref(), Some("s=1; Path=/x"));
}

fn links(
    config: &str,
    members: &[&str],
    content_type: &str,
) -> Option<(Vec<(String, String)>, bool)> {
    let mut policy = start(config, members);
    let plan = answer(&mut policy, members[0], &[("content-type", content_type)]);
    let BodyPlan::Links(links) = plan.body else {
        return None;
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let urls = links.urls.into_iter();
    Some((
        urls.map(|s| (text(s.from), text(s.to))).collect(),
        links.events,
    ))
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    list.iter().map(owned).collect()
}

#[test]
fn pages_get_a_rule_for_every_form_of_every_members_address() {
    let config = r#"{"front": "/app", "html": true, "events": true}"#;
    let members = [MEMBER, "http://web:80/Test"];
    let (urls, events) = links(config, &members, "Text/HTML; charset=utf-8").unwrap();
    let wanted = [
        ("http://10.0.0.3:8080/Test", "/app"),
        ("//10.0.0.3:8080/Test", "/app"),
        ("http://web:80/Test", "/app"),
        ("//web:80/Test", "/app"),
        ("http://web/Test", "/app"),
        ("//web/Test", "/app"),
        ("/Test", "/app"),
    ];
    assert_eq!(urls, pairs(&wanted));
    assert!(events);
}

#[test]
fn pages_of_the_root_keep_foreign_scheme_relative_links() {
    let config = r#"{"front": "/app", "html": true}"#;
    let (urls, events) = links(config, &["http://web:8080"], "text/css").unwrap();
    let wanted = [
        ("http://web:8080", "/app"),
        ("//web:8080", "/app"),
        ("//", "//"),
        ("/", "/app/"),
    ];
    assert_eq!(urls, pairs(&wanted));
    assert!(!events);
}

#[test]
fn pages_for_the_root_never_get_two_slashes_or_an_empty_link() {
    let config = r#"{"html": true, "map": [["http://old", "/"]]}"#;
    let (urls, _) = links(config, &[MEMBER], "application/xhtml+xml").unwrap();
    let wanted = [
        ("http://old/", "/"),
        ("http://old", "/"),
        ("http://10.0.0.3:8080/Test/", "/"),
        ("http://10.0.0.3:8080/Test", "/"),
        ("//10.0.0.3:8080/Test/", "/"),
        ("//10.0.0.3:8080/Test", "/"),
        ("/Test/", "/"),
        ("/Test", "/"),
    ];
    assert_eq!(urls, pairs(&wanted));
}

#[test]
fn other_bodies_pass() {
    for content_type in ["text/htmlx", "text/plain", "application/javascript", ""] {
        let config = r#"{"front": "/app", "html": true}"#;
        assert_eq!(
            links(config, &[MEMBER], content_type),
            None,
            "{content_type}"
        );
    }
    assert_eq!(links(r#"{"front": "/app"}"#, &[MEMBER], "text/html"), None);
}

fn triggers(text: &str) -> Vec<(Hook, Trigger)> {
    Reverse::describe(&config::read::<Settings>(text).unwrap()).triggers
}

#[test]
fn uninteresting_exchanges_cost_nothing() {
    let header = |name: &str| (Hook::OnResponse, Trigger::ResponseHeader(name.into()));
    let all = triggers(r#"{"location": true, "cookie_path": true, "html": true}"#);
    for name in [
        "location",
        "content-location",
        "uri",
        "refresh",
        "link",
        "destination",
        "set-cookie",
    ] {
        assert!(all.contains(&header(name)), "{name}");
    }
    let html = Trigger::ContentType("text/html".into());
    assert!(all.contains(&(Hook::OnResponse, html)));
    assert!(!triggers(r#"{"html": true}"#).contains(&header("location")));
    assert!(!triggers(r#"{"location": true}"#).contains(&header("set-cookie")));
    // Each hook that is not wanted has the trigger that never applies.
    assert!(all.iter().any(|(hook, _)| *hook == Hook::OnRequest));
    let off = triggers("{}");
    assert_eq!(
        off.iter()
            .filter(|(hook, _)| *hook == Hook::OnResponse)
            .count(),
        1
    );
}

#[test]
fn every_mistake_in_the_configuration_is_reported() {
    let text = r#"{"front": "app", "location": 1, "cookie_path": [["/a"], ["b", "/c"]],
        "cookie_domain": "x", "map": [["http://a", "/b"], ["foo", "/c"]], "htlm": true}"#;
    let problems = config::read::<Settings>(text).unwrap_err();
    let mut at: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    at.sort_unstable();
    let wanted = [
        "/cookie_domain",
        "/cookie_path/0",
        "/cookie_path/1",
        "/front",
        "/htlm",
        "/location",
        "/map/1",
    ];
    assert_eq!(at, wanted);
}
