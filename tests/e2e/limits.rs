//! Bounds on clients: sizes, counts, times. And clients that stall or leave.

use std::time::{Duration, Instant};

use switchyard_tests::{Gateway, Member, Request, scripts};

use crate::conf::everything_to;

fn limited(limits: &str) -> (Member, Gateway) {
    let a = Member::start("a", scripts::echo());
    let gateway = Gateway::start(format!("[limits]\n{limits}\n{}", everything_to(&[&a], "")));
    (a, gateway)
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (a, gateway) = limited("head_size = \"4KiB\"");
    assert_eq!(
        gateway
            .ask(&Request::get("/").field("X", &"x".repeat(3000)))
            .status,
        200
    );
    for request in [
        Request::get("/").field("X", &"x".repeat(5000)),
        Request::get(&format!("/{}", "x".repeat(5000))),
        (0..200).fold(Request::get("/"), |r, i| {
            r.field(&format!("X-{i}"), "0123456789012345")
        }),
    ] {
        let mut client = gateway.connect();
        let _ = client.try_send(request.bytes());
        let response = client.response();
        assert!(matches!(response.status, 400 | 414 | 431), "{response:?}");
        client.until_closed();
    }
    assert_eq!(a.hits(), 1);
}

#[test]
fn too_many_fields_are_refused() {
    let (a, gateway) = limited("field_count = 20");
    let with = |n: usize| (0..n).fold(Request::get("/"), |r, i| r.field(&format!("X-{i}"), "y"));
    assert_eq!(gateway.ask(&with(15)).status, 200);
    let response = gateway.ask(&with(30));
    assert!(matches!(response.status, 400 | 431), "{response:?}");
    assert_eq!(a.hits(), 1);
}

#[test]
fn a_body_that_is_too_large_is_refused_declared_or_not() {
    let (a, gateway) = limited("body_size = 1000");
    assert_eq!(
        gateway.ask(&Request::post("/", vec![b'x'; 1000])).status,
        200
    );
    let mut client = gateway.connect();
    let _ = client.try_send(Request::post("/", vec![b'x'; 1001]).bytes());
    assert_eq!(client.response().status, 413);
    assert_eq!(
        a.hits(),
        1,
        "a declared length is refused before anything is forwarded"
    );
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = client.try_send(format!("{:x}\r\n{}\r\n0\r\n\r\n", 2000, "x".repeat(2000)));
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_client_that_stalls_in_its_head_is_answered_and_left() {
    let (a, gateway) = limited("head_timeout = \"300ms\"");
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
    let started = Instant::now();
    let rest = client.until_closed();
    assert!(rest.starts_with(b"HTTP/1.1 408"), "{}", rest.escape_ascii());
    assert!(started.elapsed() < Duration::from_secs(10));
    // One byte now and then does not make the time longer.
    let mut drip = gateway.connect();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        if drip.try_send("X").is_err() {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "a dripping client was kept"
    );
    assert_eq!(a.hits(), 0);
}

#[test]
fn a_client_that_stalls_in_its_body_is_answered_and_left() {
    let (_a, gateway) = limited("body_timeout = \"300ms\"");
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    let response = client.response();
    assert_eq!(response.status, 408, "{response:?}");
    client.expect_closed();
    assert_eq!(
        gateway.member_status("cl", "a")["state"],
        "ok",
        "the member is not to blame"
    );
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let (_a, gateway) = limited("idle_timeout = \"300ms\"");
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status, 200);
    client.expect_closed();
    let mut silent = gateway.connect();
    silent.expect_closed();
}

#[test]
fn a_connection_ends_after_its_number_of_requests() {
    let (_a, gateway) = limited("requests_per_connection = 3");
    let mut client = gateway.connect();
    for left in [2, 1, 0] {
        let response = client.get("/");
        assert_eq!(response.status, 200);
        assert_eq!(
            response.head.closes(),
            left == 0,
            "{left} left: {response:?}"
        );
    }
    client.expect_closed();
}

#[test]
fn a_client_that_takes_nothing_is_left() {
    let a = Member::start("a", scripts::sized(50_000_000));
    let gateway = Gateway::start(format!(
        "[limits]\nwrite_timeout = \"500ms\"\n{}",
        everything_to(&[&a], "")
    ));
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    client.head();
    gateway.wait_for_status("the member is free again", |_| {
        gateway.member_status("cl", "a")["busy"] == 0
    });
}

#[test]
fn more_connections_than_allowed_wait_their_turn() {
    let (a, gateway) = limited("connections = 4");
    let mut clients: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let mut fifth = gateway.connect();
    fifth.send(Request::get("/").bytes());
    for _ in 0..10 {
        for client in &mut clients {
            assert_eq!(client.get("/").status, 200);
        }
    }
    assert_eq!(a.hits(), 4 + 40, "it is not served meanwhile");
    drop(clients.pop());
    assert_eq!(
        fifth.response().status,
        200,
        "it is served when another leaves"
    );
}

#[test]
fn a_raised_limit_lets_in_who_waits() {
    let (a, mut gateway) = limited("connections = 1");
    let mut first = gateway.connect();
    assert_eq!(first.get("/").status, 200);
    // More than there are workers, so that some have accepted one of them already.
    let mut others: Vec<_> = (0..8).map(|_| gateway.connect()).collect();
    for other in &mut others {
        other.send(Request::get("/").bytes());
    }
    assert_eq!(first.get("/").status, 200);
    assert_eq!(a.hits(), 2, "nobody else is served");
    gateway.rewrite(format!(
        "[limits]\nconnections = 100\n{}",
        everything_to(&[&a], "")
    ));
    for other in &mut others {
        assert_eq!(other.response().status, 200);
    }
    assert_eq!(first.get("/").status, 200);
}

#[test]
fn a_client_that_leaves_in_mid_body_leaves_nothing_behind() {
    let (a, gateway) = limited("");
    for round in 1..=5 {
        let mut client = gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\npart");
        a.wait_for_hits(round);
        client.reset();
    }
    gateway.wait_for_status("nobody is busy", |_| {
        gateway.member_status("cl", "a")["busy"] == 0
    });
    assert_eq!(
        gateway.member_status("cl", "a")["state"],
        "ok",
        "the member is not to blame"
    );
    assert_eq!(gateway.get("/").status, 200);
}
