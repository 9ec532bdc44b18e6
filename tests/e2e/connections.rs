//! Connections: kept, used again, closed, left by clients.

use std::{io::Read as _, thread};

use switchyard_tests::{After, Client, Gateway, Member, Request, scripts};

use crate::conf::everything_to;

fn one(
    script: impl Fn(&mut switchyard_tests::Exchange<'_>) -> After + Send + Sync + 'static,
) -> (Member, Gateway) {
    let member = Member::start("a", script);
    let gateway = Gateway::start(everything_to(&[&member], ""));
    (member, gateway)
}

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

#[test]
fn a_slow_reader_gets_everything_and_holds_up_nobody() {
    let (_a, gateway) = one(scripts::sized(30_000_000));
    let mut slow = gateway.connect();
    slow.send(Request::get("/").bytes());
    slow.head();
    let before = gateway.resident();
    // The other client reads everything while the first one does not read at all.
    let addr = gateway.addr();
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(Client::connect(addr).get("/").body.len(), 30_000_000));
    });
    let grown = gateway.resident().saturating_sub(before);
    assert!(
        grown < 10_000_000,
        "a slow reader does not fill the gateway's memory: {grown} bytes more"
    );
    let mut rest = 0;
    let mut room = vec![0; 1 << 20];
    let mut stream = slow.wire().stream().try_clone().unwrap();
    rest += slow.wire().some().unwrap_or_default().len();
    while rest < 30_000_000 {
        match stream.read(&mut room).unwrap() {
            0 => break,
            n => rest += n,
        }
    }
    assert_eq!(rest, 30_000_000);
}
