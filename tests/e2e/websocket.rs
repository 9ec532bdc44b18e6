//! Upgrades: tunnelled when asked for and granted, never otherwise.

use std::time::{Duration, Instant};

use switchyard_tests::{Client, Gateway, Member, Request, eventually, scripts, wait::DEADLINE};

use crate::conf::{balancer, entry, everything_to, site};

fn upgrade() -> Request {
    Request::get("/ws")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .field("Sec-WebSocket-Version", "13")
}

/// A tunnel to `/ws`.
pub fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.send(upgrade().bytes());
    let head = client.head();
    assert_eq!(head.word(1), "101", "{head:?}");
    assert_eq!(
        head.field("upgrade").map(str::to_lowercase).as_deref(),
        Some("websocket")
    );
    assert_eq!(
        head.field("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    client
}

#[test]
fn bytes_pass_in_both_directions_and_count_busy_until_the_close() {
    let a = Member::start("a", scripts::websocket_echo());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = open(&gateway);
    for n in [1, 100, 70_000] {
        let bytes: Vec<u8> = (0..n).map(|i: u32| i as u8).collect();
        client.send(&bytes);
        assert_eq!(client.exactly(bytes.len()), bytes);
    }
    assert_eq!(gateway.member_status("cl", "a")["busy"], 1);
    drop(client);
    a.wait_for_note("tunnel closed");
    eventually("nobody is busy", DEADLINE, || {
        (gateway.member_status("cl", "a")["busy"] == 0).then_some(())
    });
}

#[test]
fn the_members_close_reaches_the_client() {
    let a = Member::start("a", |exchange| {
        exchange.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        exchange.send("bye");
        switchyard_tests::After::Close
    });
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = open(&gateway);
    assert_eq!(
        client.until_closed(),
        b"bye",
        "bytes right behind the 101 are not lost"
    );
}

#[test]
fn bytes_that_the_client_sends_with_its_request_are_not_lost() {
    let a = Member::start("a", scripts::websocket_echo());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send([upgrade().bytes(), b"early".to_vec()].concat());
    let head = client.head();
    assert_eq!(head.word(1), "101");
    assert_eq!(client.exactly(5), b"early");
}

#[test]
fn a_session_is_respected() {
    let m: Vec<Member> = ["a", "b"]
        .into_iter()
        .map(|n| Member::start(n, scripts::websocket_echo()))
        .collect();
    let gateway = Gateway::start(everything_to(&[&m[0], &m[1]], "stickysession = \"S\""));
    for _ in 0..4 {
        let mut client = gateway.connect();
        client.send(upgrade().cookie("S=1.b").bytes());
        assert_eq!(client.head().word(1), "101");
    }
    assert_eq!((m[0].hits(), m[1].hits()), (0, 4));
}

#[test]
fn a_refused_upgrade_stays_http() {
    let a = Member::start(
        "a",
        scripts::answer("426 Upgrade Required", &[("X-Member", "a")], "no"),
    );
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(upgrade().bytes());
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (426, "no"));
    a.becomes(scripts::name());
    if let Ok(()) = client.try_send(Request::get("/next").bytes()) {
        match client.try_response() {
            Ok(response) => assert_eq!(response.text(), "a"),
            Err(broken) => assert!(
                broken.is_bare_close() && response.head.closes(),
                "{broken:?}"
            ),
        }
    }
}

#[test]
fn an_unasked_or_unmatched_101_opens_no_tunnel() {
    for (what, upgrade_field) in [
        ("another protocol", "h2c"),
        ("several protocols", "websocket, h2c"),
    ] {
        let a = Member::start(
            "a",
            scripts::then_hang(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {upgrade_field}\r\n\r\nsecret"
            )),
        );
        let gateway = Gateway::start(everything_to(&[&a], "answer_timeout = \"500ms\""));
        let response = gateway.raw(upgrade().bytes());
        assert_eq!(response.status, 502, "{what}: {response:?}");
    }
    let a = Member::start(
        "a",
        scripts::then_hang(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsecret",
        ),
    );
    let gateway = Gateway::start(everything_to(&[&a], "answer_timeout = \"500ms\""));
    let mut client = gateway.connect();
    match client.send(Request::get("/").bytes()).try_response() {
        Ok(response) => assert_eq!(response.status, 502),
        Err(broken) => panic!("{broken:?}"),
    }
}

#[test]
fn only_configured_protocols_are_forwarded() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(
        site(&[
            ("/", "balancer = \"cl\""),
            ("/none", "balancer = \"cl\"\nupgrade = false"),
            ("/other", "balancer = \"cl\"\nupgrade = \"echo\""),
        ]) + &balancer("cl", "", &[entry(&a, "")]),
    );
    let sent = |path: &str, protocol: &str| {
        gateway.ask(
            &Request::get(path)
                .field("Connection", "Upgrade")
                .field("Upgrade", protocol),
        );
        a.last().field("upgrade").map(str::to_lowercase)
    };
    assert_eq!(sent("/", "websocket").as_deref(), Some("websocket"));
    assert_eq!(sent("/", "h2c"), None);
    assert_eq!(sent("/none", "websocket"), None);
    assert_eq!(sent("/other", "echo").as_deref(), Some("echo"));
    assert_eq!(sent("/other", "websocket"), None);
}

#[test]
fn a_dead_member_is_passed_over_for_an_upgrade() {
    let dead = switchyard_tests::ReservedPort::new();
    let b = Member::start("b", scripts::websocket_echo());
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")])
            + &balancer("cl", "", &[entry(&dead, ""), entry(&b, "")]),
    );
    let mut client = open(&gateway);
    client.send("x");
    assert_eq!(client.exactly(1), b"x");
}

#[test]
fn a_tunnel_is_no_second_http_connection() {
    let a = Member::start("a", scripts::websocket_echo());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = open(&gateway);
    let request = Request::get("/admin").bytes();
    client.send(&request);
    assert_eq!(
        client.exactly(request.len()),
        request,
        "the echo, not an answer"
    );
    assert_eq!(a.hits(), 1);
    drop(client);
}

#[test]
fn only_a_tunnel_that_is_silent_for_its_time_is_cut() {
    let a = Member::start("a", scripts::websocket_echo());
    let limits = "[limits]\ntunnel_timeout = \"1s\"\nidle_timeout = \"100ms\"\n";
    let keys = "answer_timeout = \"100ms\"";
    let gateway = Gateway::start(limits.to_owned() + &everything_to(&[&a], keys));
    let mut client = open(&gateway);
    let begun = Instant::now();
    // Longer than any of the limits in all, with pauses longer than those that are not its own.
    while begun.elapsed() < Duration::from_millis(1500) {
        std::thread::park_timeout(Duration::from_millis(250));
        client.send("x");
        assert_eq!(client.exactly(1), b"x");
    }
    client.expect_closed();
    a.wait_for_note("tunnel closed");
    gateway.wait_for_status("nobody is busy", |_| {
        gateway.member_status("cl", "a")["busy"] == 0
    });
}
