//! Who may: rules by path, by network, behind trusted proxies; one canonical path for all of them.

use switchyard_tests::{Client, Gateway, Member, Request, Setup, scripts};

use crate::conf::{balancer, entry, site};

fn guarded(member: &Member, keys: &str) -> String {
    site(&[("/", "balancer = \"cl\""), ("/admin", keys)])
        + &balancer("cl", "", &[entry(member, "")])
}

#[test]
fn networks_are_denied_and_allowed() {
    let a = Member::start("a", scripts::name());
    let routes = site(&[
        ("/", "balancer = \"cl\""),
        (
            "/denied",
            "deny_from = [\"127.0.0.0/8\"]\nbalancer = \"cl\"",
        ),
        ("/others", "deny_from = [\"10.0.0.0/8\"]\nbalancer = \"cl\""),
        ("/inner", "allow_from = [\"10.0.0.0/8\"]\nbalancer = \"cl\""),
        ("/local", "allow_from = [\"127.0.0.1\"]\nbalancer = \"cl\""),
        (
            "/both",
            "allow_from = [\"127.0.0.0/8\"]\ndeny_from = [\"127.0.0.1\"]\nbalancer = \"cl\"",
        ),
    ]);
    let gateway = Gateway::start(routes + &balancer("cl", "", &[entry(&a, "")]));
    for (path, status) in [
        ("/denied", 403),
        ("/others", 200),
        ("/inner", 403),
        ("/local", 200),
        ("/both", 403),
        ("/free", 200),
    ] {
        assert_eq!(gateway.get(path).status, status, "{path}");
    }
    assert_eq!(a.hits(), 3, "what was refused did not reach the member");
}

#[test]
fn a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let a = Member::start("a", scripts::name());
    let body = guarded(&a, "allow_from = [\"192.0.2.0/24\"]\nbalancer = \"cl\"");
    let inside = Request::get("/admin").field("X-Forwarded-For", "192.0.2.7");

    let distrusting = Gateway::start(body.clone());
    assert_eq!(
        distrusting.ask(&inside).status,
        403,
        "anybody can write that header"
    );

    let trusting = Setup::new(body)
        .top("trusted_proxies = [\"127.0.0.0/8\"]")
        .start();
    assert_eq!(trusting.ask(&inside).status, 200);
    let spoofed = Request::get("/admin").field("X-Forwarded-For", "192.0.2.7, 198.51.100.1");
    assert_eq!(
        trusting.ask(&spoofed).status,
        403,
        "the last address that is no trusted proxy is the client"
    );
    let chained = Request::get("/admin").field("X-Forwarded-For", "192.0.2.7, 127.0.0.9");
    assert_eq!(
        trusting.ask(&chained).status,
        200,
        "trusted hops are skipped from the right"
    );
}

const PROXIED: &str = "[[listener]]\nbind = \"127.0.0.1:0\"\nproxy_protocol = true\n";

#[test]
fn the_proxy_protocol_names_the_client() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(guarded(
        &a,
        "allow_from = [\"192.0.2.0/24\"]\nbalancer = \"cl\"",
    ))
    .top("trusted_proxies = [\"127.0.0.0/8\"]")
    .listeners(PROXIED)
    .start();
    let ask = |prefix: &[u8]| {
        let mut client = gateway.connect();
        client
            .send(prefix)
            .send(Request::get("/admin").bytes())
            .response()
    };
    assert_eq!(
        ask(b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 80\r\n").status,
        200
    );
    assert_eq!(a.last().field("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(
        ask(b"PROXY TCP4 198.51.100.1 127.0.0.1 40000 80\r\n").status,
        403
    );

    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    second.extend_from_slice(&[192, 0, 2, 8, 127, 0, 0, 1, 0x9c, 0x40, 0, 80]);
    assert_eq!(ask(&second).status, 200, "version 2");
    assert_eq!(a.last().field("x-forwarded-for"), Some("192.0.2.8"));
}

#[test]
fn every_form_of_the_proxy_protocol_is_understood() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(guarded(&a, "deny = true"))
        .top("trusted_proxies = [\"127.0.0.0/8\"]")
        .listeners(PROXIED)
        .start();
    let second = |command: u8, family: u8, rest: &[u8]| {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([command, family, 0, rest.len() as u8]);
        header.extend_from_slice(rest);
        header
    };
    let four = [192, 0, 2, 8, 127, 0, 0, 1, 0x9c, 0x40, 0, 80];
    let mut six = [0; 36];
    six[..16].copy_from_slice(
        &"2001:db8::7"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets(),
    );
    let no_op = [&four[..], &[4, 0, 0]].concat();
    for (what, header, client) in [
        (
            "1, TCP6",
            b"PROXY TCP6 2001:db8::7 ::1 40000 80\r\n".to_vec(),
            "2001:db8::7",
        ),
        ("1, of nobody", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (
            "1, of nobody, with addresses",
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            "127.0.0.1",
        ),
        ("2, IPv6", second(0x21, 0x21, &six), "2001:db8::7"),
        (
            "2, with more behind the addresses",
            second(0x21, 0x11, &no_op),
            "192.0.2.8",
        ),
        ("2, the proxy itself", second(0x20, 0, &[]), "127.0.0.1"),
        (
            "2, the proxy itself, with addresses",
            second(0x20, 0x11, &four),
            "127.0.0.1",
        ),
    ] {
        let request = Request::get("/").bytes();
        let whole = [header.clone(), request.clone()].concat();
        let response = gateway.raw(&whole);
        assert_eq!(response.status, 200, "{what}: {response:?}");
        assert_eq!(a.last().field("x-forwarded-for"), Some(client), "{what}");
        // In pieces, each of them read by itself.
        for at in [1, 7, header.len() - 1, header.len()] {
            let mut divided = gateway.connect();
            divided.send(&whole[..at]);
            std::thread::park_timeout(std::time::Duration::from_millis(20));
            let response = divided.send(&whole[at..]).response();
            assert_eq!(
                response.status, 200,
                "{what}, divided at {at}: {response:?}"
            );
            assert_eq!(a.last().field("x-forwarded-for"), Some(client), "{what}");
        }
    }
}

#[test]
fn a_connection_without_its_proxy_protocol_header_is_not_served() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(format!(
        "[limits]\nhead_timeout = \"1s\"\n{}",
        guarded(&a, "deny = true")
    ))
    .top("trusted_proxies = [\"127.0.0.0/8\"]")
    .listeners(PROXIED)
    .start();
    for start in [
        &b""[..],
        b"PROXY TCP4 not-an-address\r\n",
        b"PROXY NOTHING\r\n",
    ] {
        let mut client = gateway.connect();
        let _ = client.try_send(start);
        let _ = client.try_send(Request::get("/").bytes());
        let rest = client.until_closed();
        assert!(
            !rest.starts_with(b"HTTP/1.1 200"),
            "{}",
            rest.escape_ascii()
        );
    }
    assert_eq!(a.hits(), 0);
}

#[test]
fn an_untrusted_peer_is_not_believed_about_its_address() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(guarded(
        &a,
        "allow_from = [\"192.0.2.0/24\"]\nbalancer = \"cl\"",
    ))
    .top("trusted_proxies = [\"10.0.0.0/8\"]")
    .listeners(PROXIED)
    .start();
    let mut client = gateway.connect();
    let _ = client.try_send(b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 80\r\n");
    let _ = client.try_send(Request::get("/admin").bytes());
    let rest = client.until_closed_or_answered();
    assert!(
        !rest.starts_with(b"HTTP/1.1 200"),
        "{}",
        rest.escape_ascii()
    );
    assert_eq!(a.hits(), 0);
}

/// Reads an answer or the close, whichever comes.
trait Whichever {
    fn until_closed_or_answered(&mut self) -> Vec<u8>;
}

impl Whichever for Client {
    fn until_closed_or_answered(&mut self) -> Vec<u8> {
        self.try_response().map(|r| r.head.raw).unwrap_or_default()
    }
}

#[test]
fn no_spelling_of_a_path_slips_past_a_rule() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(guarded(&a, "deny = true"));
    // What Tomcat would take for /admin, spelt in ways that other proxies let through.
    for path in [
        "/admin",
        "/admin/x",
        "/a/../admin/x",
        "/a/..;/admin/x",
        "/a/..;v=1/admin/x",
        "/;/admin/x",
        "/;v=1/admin",
        "/admin;v=1/x",
        "/admin;jsessionid=1",
        "/a/%2e%2e/admin/x",
        "/%2e/admin",
        "/a/.%2E/admin",
        "//admin/x",
        "///admin",
        "/./admin",
        "/%61dmin",
        "/a/..%2fadmin",
        "/a%2f..%2fadmin",
        "/admin%00/x",
        "/a%5c..%5cadmin",
        "/a\\..\\admin",
        "/a/..%3b/admin",
        "/%09admin",
        "http://front.example.com/admin",
        "http://front.example.com/x/../admin",
    ] {
        let response = gateway.get(path);
        assert!(
            matches!(response.status, 400 | 403 | 404),
            "{path}: {response:?}"
        );
    }
    // A spelling that no server reads as /admin may pass, but none that is ambiguous.
    assert_eq!(
        a.hits(),
        0,
        "{:?}",
        a.seen()
            .iter()
            .map(|s| s.target().to_owned())
            .collect::<Vec<_>>()
    );
}

#[test]
fn harmless_escapes_are_forwarded_as_they_came() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(guarded(&a, "deny = true"));
    for path in [
        "/files/a%2Fb%20c",
        "/x?y=%2e%2e%2f&z=//",
        "/caf%C3%A9",
        "/x;v=1/y;w=2?q#".trim_end_matches('#'),
    ] {
        assert_eq!(gateway.get(path).status, 200, "{path}");
        assert_eq!(a.last().target(), path);
    }
}
