//! Connections: kept, used again, closed, left by clients.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use switchyard_tests::{
    After, Client, Gateway, Member, Request, Setup, eventually, scripts, wait::DEADLINE,
};

use crate::conf::{everything_to, one};

#[test]
fn connections_to_members_are_used_again() {
    let (a, gateway) = one(scripts::name());
    let mut client = gateway.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(a.connections(), 1, "one worker, one connection");
}

#[test]
fn a_kept_connection_that_the_member_closed_is_not_used() {
    let (a, gateway) = one(scripts::name());
    let mut client = gateway.connect();
    for round in 0..10 {
        let posted = client.ask(&Request::post("/", "x"));
        assert_eq!(posted.status, 200, "round {round}: {posted:?}");
        a.close_connections();
    }
    assert_eq!(a.hits(), 10, "no POST was sent twice");
}

#[test]
fn a_closing_client_is_told_so() {
    let (_a, gateway) = one(scripts::name());
    let mut client = gateway.connect();
    let response = client.ask(&Request::get("/").field("Connection", "close"));
    assert!(response.head.closes(), "{response:?}");
    client.expect_closed();
}

/// Others are waited for after the last answer, lest what they still send make the close a reset.
#[test]
fn a_client_that_asked_for_the_close_is_not_waited_for() {
    let (_a, gateway) = one(scripts::name());
    let is_held_after = |request: Request| {
        let mut client = TcpStream::connect(gateway.addr()).unwrap();
        let closing = request.field("Connection", "close").bytes();
        client.write_all(&closing).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        is_held(gateway.addr(), client.local_addr().unwrap())
    };
    assert!(!is_held_after(Request::get("/")));
    let post = Request::post("/", "x");
    assert!(is_held_after(post), "an empty line may follow a body");
}

#[test]
fn what_a_client_sends_after_it_asked_for_the_close_costs_it_no_answer() {
    for (request, more) in [
        ("GET / HTTP/1.0\r\n\r\n", "\r\n"),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /more HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
    ] {
        let (a, gateway) = one(scripts::held());
        let mut client = TcpStream::connect(gateway.addr()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        a.wait_for_note("holding");
        client.write_all(more.as_bytes()).unwrap();
        a.open_gate();
        let mut answer = String::new();
        // Its end is an end, not a reset, which may overtake what was sent before.
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(a.hits(), 1, "what came after the last is not served");
    }
}

/// Of what it says in the other protocol nothing is known.
#[test]
fn a_client_that_switched_protocols_is_waited_for_though_it_asked_for_the_close() {
    let a = Member::start("a", scripts::websocket_echo());
    let limits = "[limits]\ntunnel_timeout = \"100ms\"\n";
    let gateway = Gateway::start(everything_to(&[&a], "") + limits);
    let mut client = TcpStream::connect(gateway.addr()).unwrap();
    let request = Request::get("/ws")
        .field("Connection", "close, Upgrade")
        .field("Upgrade", "websocket");
    client.write_all(&request.bytes()).unwrap();
    let mut answer = String::new();
    // To the end of the silence that the gateway bears.
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(is_held(gateway.addr(), client.local_addr().unwrap()));
}

/// Whether a process still has the end at `own` of the connection from `peer`.
fn is_held(own: SocketAddr, peer: SocketAddr) -> bool {
    let ends = format!(":{:04X} 0100007F:{:04X} ", own.port(), peer.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let Some(line) = table.lines().find(|line| line.contains(&ends)) else {
        return false;
    };
    // proc(5): one that no process has any more has no inode.
    line.split_whitespace().nth(9) != Some("0")
}

#[test]
fn a_client_that_leaves_frees_the_member() {
    let (a, gateway) = one(|exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        exchange.note("begun");
        exchange.until_closed();
        exchange.note("left");
        After::Close
    });
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    client.head();
    a.wait_for_note("begun");
    drop(client);
    a.wait_for_note("left");
    gateway.wait_for_status("the member is idle again", |_| {
        gateway.member_status("cl", "a")["busy"] == 0
    });
}

/// `%>s %X %{error}x %{member}x` of so many requests, from one worker.
fn told(gateway: &Gateway, n: usize) -> Vec<String> {
    eventually("lines in the access log", DEADLINE, || {
        let text = fs::read_to_string(gateway.dir().join("access.log")).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= n && text.ends_with('\n')).then_some(lines)
    })
}

/// One member that serves one request at a time, and a log for [`told`].
fn narrow(member: &Member) -> Gateway {
    let log =
        "[log]\naccess = { path = \"access.log\", format = \"%>s %X %{error}x %{attempts}x\" }\n";
    let keys = "max_connections = 1\nacquire_timeout = \"60s\"\nanswer_timeout = \"60s\"";
    Setup::new(log.to_owned() + &everything_to(&[member], keys))
        .arguments(&["--workers", "1"])
        .start()
}

#[test]
fn a_client_that_leaves_before_its_answer_frees_the_member() {
    for request in [
        Request::get("/"),
        Request::post("/", "x"),
        Request::get("/").field("Connection", "close"),
    ] {
        let a = Member::start("a", scripts::hang());
        let gateway = narrow(&a);
        let mut client = gateway.connect();
        client.send(request.bytes());
        a.wait_for_hits(1);
        drop(client);
        a.wait_for_note("left");
        assert_eq!(told(&gateway, 1), ["499 X client_left 1"]);
        let member = gateway.member_status("cl", "a");
        assert_eq!(
            (&member["busy"], &member["failures"]),
            (&0.into(), &0.into()),
            "{member}"
        );
        // The only connection it may have is free again.
        a.becomes(scripts::name());
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn a_client_that_resets_before_its_answer_frees_the_member() {
    let a = Member::start("a", scripts::hang());
    let gateway = narrow(&a);
    let mut client = gateway.connect();
    // Whoever speaks HTTP/1.0 cannot be asked, but a reset says it all.
    client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    a.wait_for_hits(1);
    client.reset();
    a.wait_for_note("left");
    assert_eq!(told(&gateway, 1), ["499 X client_left 1"]);
}

#[test]
fn a_client_that_leaves_while_it_waits_for_a_member_asks_none() {
    let a = Member::start("a", scripts::held());
    let gateway = narrow(&a);
    let mut first = gateway.connect();
    first.send(Request::get("/first").bytes());
    a.wait_for_note("holding");
    let mut second = gateway.connect();
    second.send(Request::post("/second", "x").bytes());
    drop(second);
    assert_eq!(told(&gateway, 1), ["499 X client_left 1"]);
    a.open_gate();
    assert_eq!(first.response().status, 200);
    assert_eq!(gateway.get("/third").status, 200);
    let targets: Vec<String> = a.seen().iter().map(|s| s.target().to_owned()).collect();
    assert_eq!(targets, ["/first", "/third"]);
}

#[test]
fn a_client_that_only_ended_its_sending_direction_gets_its_answer() {
    let (a, gateway) = one(scripts::held());
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    client.wire().finish_sending();
    // It is asked whether it is there: had it left, its kernel would answer with a reset.
    assert_eq!(client.head().first, "HTTP/1.1 100 Continue");
    a.release(1);
    assert_eq!(client.response().text(), "a");
    // Nobody who gets an answer soon enough is asked, and nobody of HTTP/1.0.
    a.open_gate();
    let mut old = gateway.connect();
    old.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    old.wire().finish_sending();
    let answer = String::from_utf8(old.until_closed()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\na"), "{answer}");
}

#[test]
fn slow_readers_get_everything_and_hold_up_nobody() {
    const SIZE: usize = 30_000_000;
    const READERS: usize = 20;
    // More than the kernel's buffers hold, without keeping it all.
    let (_a, gateway) = one(|exchange| {
        let block = [b'x'; 60_000];
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        for _ in 0..SIZE / block.len() {
            if !exchange.send(block) {
                return After::Close;
            }
        }
        After::Keep
    });
    let whole = |client: &mut Client| {
        let mut rest = client.wire().some().unwrap().len();
        let mut room = vec![0; 1 << 20];
        let mut stream = client.wire().stream().try_clone().unwrap();
        while rest < SIZE {
            match stream.read(&mut room).unwrap() {
                0 => break,
                n => rest += n,
            }
        }
        rest
    };
    let fast = |gateway: &Gateway| {
        let mut client = gateway.connect();
        client.send(Request::get("/").bytes());
        client.head();
        assert_eq!(whole(&mut client), SIZE);
    };
    fast(&gateway);
    let before = gateway.resident();
    let mut slow: Vec<Client> = (0..READERS).map(|_| gateway.connect()).collect();
    for client in &mut slow {
        client.send(Request::get("/").bytes());
        client.head();
    }
    // The other client reads everything while those do not read at all.
    fast(&gateway);
    let each = gateway.resident().saturating_sub(before) / READERS as u64;
    assert!(each < 600_000, "{each} bytes more for each slow reader");
    assert_eq!(whole(&mut slow[0]), SIZE);
}
