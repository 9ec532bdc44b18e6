//! Fields added, kept and removed on both ways.

use switchyard_tests::{Gateway, Member, Request, Setup, scripts};

use crate::conf::{everything_to, site};

#[test]
fn members_learn_who_asked_for_what() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    gateway.ask(&Request::get("/x").host("front.example.com:8080"));
    let seen = a.last();
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(
        seen.field("x-forwarded-host"),
        Some("front.example.com:8080")
    );
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-server"), Some("front.example.com"));
}

#[test]
fn what_a_client_forges_does_not_stand_for_the_client() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(everything_to(&[&a], ""))
        .top("x_real_ip = true")
        .start();
    gateway.ask(
        &Request::get("/")
            .field("X-Forwarded-For", "6.6.6.6")
            .field("X-Real-IP", "6.6.6.6")
            .field("X-Forwarded-Proto", "https")
            .field("X-Forwarded-Host", "evil.example"),
    );
    let seen = a.last();
    assert!(
        seen.head
            .all("x-forwarded-for")
            .join(", ")
            .ends_with("127.0.0.1"),
        "{:?}",
        seen.head
    );
    assert_eq!(seen.head.all("x-real-ip"), ["127.0.0.1"]);
    assert!(
        !seen
            .head
            .all("x-forwarded-proto")
            .join(",")
            .contains("https"),
        "{:?}",
        seen.head
    );
    assert!(
        !seen
            .head
            .all("x-forwarded-host")
            .join(",")
            .starts_with("evil"),
        "{:?}",
        seen.head
    );
}

#[test]
fn a_trusted_proxy_is_continued() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(everything_to(&[&a], ""))
        .top("x_real_ip = true\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .start();
    gateway.ask(
        &Request::get("/")
            .field("X-Forwarded-For", "192.0.2.7")
            .field("X-Forwarded-Proto", "https"),
    );
    let seen = a.last();
    assert_eq!(
        seen.head.all("x-forwarded-for").join(", "),
        "192.0.2.7, 127.0.0.1"
    );
    assert_eq!(seen.field("x-real-ip"), Some("192.0.2.7"));
    assert!(
        seen.head
            .all("x-forwarded-proto")
            .join(", ")
            .contains("https")
    );
}

#[test]
fn x_real_ip_is_sent_only_where_configured() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    gateway.get("/");
    assert_eq!(a.last().field("x-real-ip"), None);
}

#[test]
fn via_and_forwarded_are_sent_where_configured() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(everything_to(&[&a], ""))
        .top("via = \"edge-1\"\nforwarded = true")
        .start();
    let response = gateway.ask(
        &Request::get("/")
            .host("front.example.com")
            .field("Via", "1.0 before"),
    );
    let seen = a.last();
    assert_eq!(seen.head.all("via").join(", "), "1.0 before, 1.1 edge-1");
    let forwarded = seen.head.all("forwarded").join(", ").to_lowercase();
    for part in ["for=127.0.0.1", "host=", "front.example.com", "proto=http"] {
        assert!(forwarded.contains(part), "{part} in {forwarded}");
    }
    assert!(
        response.all("via").join(", ").contains("edge-1"),
        "{response:?}"
    );
}

#[test]
fn hop_by_hop_fields_end_at_the_gateway_in_both_directions() {
    let a = Member::start(
        "a",
        scripts::answer(
            "200 OK",
            &[
                ("Connection", "X-Secret, keep-alive"),
                ("X-Secret", "s"),
                ("Keep-Alive", "timeout=5"),
                ("Proxy-Authenticate", "Basic"),
                ("Trailer", "X-T"),
                ("Upgrade", "h2c"),
                ("Proxy-Connection", "keep-alive"),
                ("X-Kept", "yes"),
            ],
            "ok",
        ),
    );
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let response = gateway.ask(
        &Request::get("/")
            .field("Connection", "X-Hop, keep-alive")
            .field("X-Hop", "h")
            .field("Keep-Alive", "timeout=5")
            .field("Proxy-Connection", "keep-alive")
            .field("Proxy-Authorization", "Basic eDp5")
            .field("TE", "gzip")
            .field("Upgrade", "h2c")
            .field("Proxy", "http://evil.example")
            .field("X-End", "kept"),
    );
    let seen = a.last();
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "proxy",
    ] {
        assert_eq!(seen.field(name), None, "{name} in {:?}", seen.head);
    }
    assert_eq!(seen.field("x-end"), Some("kept"));
    for name in [
        "x-secret",
        "keep-alive",
        "proxy-authenticate",
        "trailer",
        "upgrade",
        "proxy-connection",
    ] {
        assert_eq!(response.field(name), None, "{name} in {response:?}");
    }
    assert_eq!(response.field("x-kept"), Some("yes"));
}

#[test]
fn a_client_cannot_strip_what_the_gateway_adds() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(everything_to(&[&a], ""))
        .top("x_real_ip = true")
        .start();
    gateway.ask(&Request::get("/").field(
        "Connection",
        "close, X-Forwarded-For, X-Real-IP, Host, X-Forwarded-Host",
    ));
    let seen = a.last();
    for name in ["x-forwarded-for", "x-real-ip", "host", "x-forwarded-host"] {
        assert_eq!(seen.head.all(name).len(), 1, "{name} in {:?}", seen.head);
    }
}

#[test]
fn end_to_end_fields_pass_in_order_and_as_written() {
    let a = Member::start(
        "a",
        scripts::answer(
            "200 OK",
            &[
                ("Set-Cookie", "a=1; Path=/"),
                ("X-Mixed-Case", "V"),
                ("Set-Cookie", "b=2"),
                ("Set-Cookie", "c=3"),
            ],
            "",
        ),
    );
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let response = gateway.ask(
        &Request::get("/")
            .field("X-One", "1")
            .field("Cookie", "x=\"quoted; value\"")
            .field("X-One", "2")
            .field("Empty", ""),
    );
    let seen = a.last();
    assert_eq!(seen.head.all("x-one"), ["1", "2"]);
    assert_eq!(seen.field("cookie"), Some("x=\"quoted; value\""));
    assert_eq!(seen.field("empty"), Some(""));
    assert_eq!(response.all("set-cookie"), ["a=1; Path=/", "b=2", "c=3"]);
    assert_eq!(response.field("x-mixed-case"), Some("V"));
}

#[test]
fn answers_of_the_gateways_own_are_complete() {
    let gateway = Gateway::start(site(&[]));
    let response = gateway.get("/nothing");
    assert_eq!(response.status, 404);
    assert!(response.field("date").is_some(), "{response:?}");
    assert!(response.field("content-type").is_some(), "{response:?}");
    assert_eq!(
        response.field("content-length"),
        Some(response.body.len().to_string().as_str())
    );
}
