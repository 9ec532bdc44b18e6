//! Signals: drain, end, and what the exit status says.

use std::{
    fs,
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;
use switchyard_tests::{
    Broken, Client, Gateway, Member, Request, ReservedPort, Setup, eventually, scripts,
    wait::DEADLINE, wire::Stop,
};

use crate::{conf::everything_to, websocket};

#[test]
fn sigterm_lets_requests_in_flight_finish() {
    let a = Member::start("a", scripts::held());
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    let mut idle = gateway.connect();
    gateway.signal(libc::SIGTERM);
    idle.expect_closed();
    eventually("no new connections are taken", DEADLINE, || {
        TcpStream::connect(gateway.addr()).is_err().then_some(())
    });
    assert!(gateway.is_running(), "it waits for the request");
    a.open_gate();
    let response = client.response();
    assert_eq!(response.text(), "a");
    assert!(response.head.closes(), "and asks for no more: {response:?}");
    assert!(gateway.wait_for_exit().success());
}

#[test]
fn it_is_ready_until_it_drains_and_alive_to_the_end() {
    let a = Member::start("a", scripts::held());
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let addr = gateway.admin_addr();
    let ask = |path: &str| {
        let request = Request::get(path).host(&addr.to_string());
        Client::connect(addr).ask(&request).status
    };
    assert_eq!((ask("/readyz"), ask("/livez")), (200, 200));
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    gateway.signal(libc::SIGTERM);
    eventually("it is not ready", DEADLINE, || {
        (ask("/readyz") == 503).then_some(())
    });
    assert_eq!(ask("/livez"), 200);
    a.open_gate();
    assert_eq!(client.response().text(), "a");
    assert!(gateway.wait_for_exit().success());
}

#[test]
fn sigterm_without_requests_ends_at_once() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").status, 200);
    let started = Instant::now();
    gateway.terminate();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "an idle connection is nothing to wait for"
    );
    kept.expect_closed();
}

#[test]
fn the_drain_has_a_deadline() {
    let a = Member::start("a", scripts::held());
    let mut gateway = Setup::new(everything_to(&[&a], ""))
        .top("drain_deadline = \"300ms\"")
        .start();
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    gateway.signal(libc::SIGTERM);
    let started = Instant::now();
    assert!(gateway.wait_for_exit().success(), "it did what it was told");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_the_drain_deadline_cuts_off_never_looks_whole() {
    let a = Member::start("a", |exchange| match exchange.target() {
        "/ws" => scripts::websocket_echo()(exchange),
        _ => scripts::streamed()(exchange),
    });
    let mut gateway = Setup::new(everything_to(&[&a], ""))
        .top("drain_deadline = \"300ms\"")
        .start();
    let mut tunnel = websocket::open(&gateway);
    let mut new = gateway.connect();
    new.send(Request::get("/").bytes());
    let head = new.head();
    assert_eq!(new.exactly(10), b"5\r\nfirst\r\n");
    let mut old = gateway.connect();
    old.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    old.head();
    assert_eq!(old.exactly(5), b"first");
    gateway.signal(libc::SIGTERM);
    assert!(gateway.wait_for_exit().success());
    match new.wire().body_of(head, false) {
        Err(Broken::InBody(_)) => {}
        other => panic!("{other:?}"),
    }
    // Nothing but the close would have ended it.
    assert_eq!(old.wire().to_end(&mut Vec::new()), Err(Stop::Reset));
    tunnel.expect_closed();
}

#[test]
fn what_the_drain_deadline_cuts_off_is_in_the_access_log() {
    let a = Member::start("a", |exchange| match exchange.target() {
        "/whole" => scripts::name()(exchange),
        "/held" => scripts::held()(exchange),
        _ => scripts::streamed()(exchange),
    });
    let log = "[log]\naccess = { path = \"access.log\", format = \"json\" }\n";
    let mut gateway = Setup::new(log.to_owned() + &everything_to(&[&a], ""))
        .top("drain_deadline = \"300ms\"")
        .start();
    assert_eq!(gateway.get("/whole").status, 200);
    let mut held = gateway.connect();
    held.send(Request::get("/held").bytes());
    a.wait_for_note("holding");
    let mut begun = gateway.connect();
    begun.send(Request::get("/begun").bytes());
    begun.head();
    gateway.signal(libc::SIGTERM);
    assert!(gateway.wait_for_exit().success());
    let text = fs::read_to_string(gateway.dir().join("access.log")).unwrap();
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            (
                line["target"].to_string(),
                line["status"].clone(),
                line["error"].clone(),
            )
        })
        .collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    let line = |target: &str, status: u16, error: &str| {
        (
            format!("{target:?}"),
            Value::from(status),
            Value::from(error),
        )
    };
    assert_eq!(
        lines[..2],
        [line("/begun", 200, "drained"), line("/held", 0, "drained")]
    );
    assert_eq!((&*lines[2].0, lines.len()), ("\"/whole\"", 3), "each once");
}

#[test]
fn a_tunnel_lives_on_while_it_drains() {
    let a = Member::start("a", scripts::websocket_echo());
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let mut tunnel = websocket::open(&gateway);
    gateway.signal(libc::SIGTERM);
    eventually("it is draining", DEADLINE, || {
        TcpStream::connect(gateway.addr()).is_err().then_some(())
    });
    tunnel.send("still here");
    assert_eq!(tunnel.exactly(10), b"still here");
    assert!(gateway.is_running());
    drop(tunnel);
    assert!(gateway.wait_for_exit().success());
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let a = Member::start("a", scripts::held());
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    gateway.signal(libc::SIGTERM);
    eventually("it is draining", DEADLINE, || {
        TcpStream::connect(gateway.addr()).is_err().then_some(())
    });
    gateway.signal(libc::SIGTERM);
    let started = Instant::now();
    let status = gateway.wait_for_exit();
    assert_eq!(status.code(), Some(128 + libc::SIGTERM), "{status}");
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "the default drain would take 30 s"
    );
}

#[test]
fn what_a_second_sigterm_cuts_off_is_in_the_access_log_and_so_is_what_came_before() {
    let a = Member::start("a", |exchange| match exchange.target() {
        "/whole" => scripts::name()(exchange),
        _ => scripts::held()(exchange),
    });
    let log = "[log]\naccess = { path = \"access.log\", format = \"json\" }\n";
    let mut gateway = Gateway::start(log.to_owned() + &everything_to(&[&a], ""));
    let mut held = gateway.connect();
    held.send(Request::get("/held").bytes());
    a.wait_for_note("holding");
    for _ in 0..100 {
        assert_eq!(gateway.get("/whole").status, 200);
    }
    gateway.signal(libc::SIGTERM);
    eventually("it is draining", DEADLINE, || {
        TcpStream::connect(gateway.addr()).is_err().then_some(())
    });
    gateway.signal(libc::SIGTERM);
    assert_eq!(gateway.wait_for_exit().code(), Some(128 + libc::SIGTERM));
    let text = fs::read_to_string(gateway.dir().join("access.log")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let (held, whole): (Vec<Value>, Vec<Value>) = lines.partition(|line| line["target"] == "/held");
    assert_eq!(whole.len(), 100);
    assert_eq!(held.len(), 1);
    assert_eq!(held[0]["error"], "drained");
}

#[test]
fn an_upload_in_flight_is_finished_too() {
    let a = Member::start("a", scripts::echo());
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nfirst");
    a.wait_for_hits(1);
    gateway.signal(libc::SIGTERM);
    eventually("it is draining", DEADLINE, || {
        TcpStream::connect(gateway.addr()).is_err().then_some(())
    });
    let response = client.send("again").response();
    assert!(response.text().ends_with("firstagain"), "{response:?}");
    assert!(gateway.wait_for_exit().success());
}

#[test]
fn the_listeners_address_is_free_again_afterwards() {
    let a = Member::start("a", scripts::name());
    let port = ReservedPort::new();
    let listener = format!("[[listener]]\nbind = \"{}\"\n", port.addr());
    for _ in 0..2 {
        let gateway = Setup::new(everything_to(&[&a], ""))
            .listeners(&listener)
            .start();
        // A connection that the gateway closes first leaves its address in TIME_WAIT.
        let mut client = gateway.connect();
        client.ask(&Request::get("/").field("Connection", "close"));
        client.expect_closed();
        gateway.terminate();
    }
}
