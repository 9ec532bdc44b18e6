//! Malformed answers of members: 502 for the client, and no trace of them for the next one.

use switchyard_tests::{After, Broken, Gateway, Member, Request, scripts, wire::Stop};

use crate::conf::everything_to;

/// Answers that cannot be relayed. Each is followed by what would poison the next client.
const REFUSED: &[(&str, &[u8])] = &[
    ("not HTTP", b"garbage\r\n\r\n"),
    ("no version", b"200 OK\r\n\r\n"),
    ("bad status", b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n"),
    ("status out of range", b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n"),
    ("two Content-Lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 6\r\n\r\nabcdef"),
    ("both lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("bad length", b"HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc"),
    ("unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\n\r\nabc"),
    ("line without a colon", b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n"),
    ("blank before a colon", b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n"),
    ("folded field", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a value", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("bare CR in a value", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: x=y\r\nContent-Length: 0\r\n\r\n"),
    ("unasked 101", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nsecret"),
];

#[test]
fn malformed_answers_become_502() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], "retry = \"0s\""));
    for (what, bytes) in REFUSED {
        a.becomes(scripts::bytes(bytes, After::Close));
        let response = gateway.get("/");
        assert_eq!(response.status, 502, "{what}: {response:?}");
        assert!(!response.text().contains("secret"), "{what}");
        a.becomes(scripts::name());
        let next = gateway.get("/");
        assert_eq!(
            (next.status, next.text().as_str()),
            (200, "a"),
            "the answer after {what}: {next:?}"
        );
    }
}

#[test]
fn a_head_without_end_is_cut_off() {
    let a = Member::start("a", |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\n");
        let line = format!("X-Long: {}\r\n", "x".repeat(1000));
        while exchange.send(&line) {}
        exchange.note("cut off");
        After::Close
    });
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let before = gateway.resident();
    assert_eq!(gateway.get("/").status, 502);
    a.wait_for_note("cut off");
    assert!(
        gateway.resident() < before + 8_000_000,
        "it is not collected in memory"
    );
}

#[test]
fn surplus_bytes_after_an_answer_reach_nobody() {
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let a = Member::start(
        "a",
        scripts::bytes(
            format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{poison}"),
            After::Keep,
        ),
    );
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    for round in 0..10 {
        assert_eq!(client.get("/").text(), "ok", "round {round}");
    }
    assert_eq!(
        a.connections(),
        10,
        "a connection with stray bytes is not used again"
    );
}

#[test]
fn bytes_sent_on_an_idle_connection_reach_nobody() {
    let a = Member::start("a", |exchange| {
        exchange.send(scripts::reply("200 OK", &[], "ok"));
        exchange.wait_at_gate();
        exchange.send(scripts::reply("200 OK", &[], "poisoned"));
        exchange.note("stray");
        After::Keep
    });
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    assert_eq!(client.get("/").text(), "ok");
    a.release(1);
    a.wait_for_note("stray");
    a.becomes(scripts::name());
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_body_after_a_bodiless_answer_reaches_nobody() {
    let a = Member::start(
        "a",
        scripts::bytes(
            "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nstrays",
            After::Keep,
        ),
    );
    let gateway = Gateway::start(everything_to(&[&a], "retry = \"0s\""));
    let mut client = gateway.connect();
    let response = client.get("/");
    assert!(matches!(response.status, 204 | 502), "{response:?}");
    a.becomes(scripts::name());
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_broken_body_is_visibly_aborted() {
    for (what, start) in [
        (
            "within a length",
            &b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"[..],
        ),
        (
            "within a chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\npart",
        ),
        (
            "between chunks",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        ),
        (
            "at a malformed chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n",
        ),
    ] {
        for after in [After::Close, After::Reset] {
            let start = start.to_vec();
            let a = Member::start("a", move |exchange| {
                exchange.send(&start);
                // A reset must not overtake the bytes: wait until the client has them.
                exchange.wait_at_gate();
                after
            });
            let gateway = Gateway::start(everything_to(&[&a], ""));
            let mut client = gateway.connect();
            client.send(Request::get("/").bytes());
            let head = client.head();
            a.release(1);
            match client.wire().body_of(head, false) {
                Err(Broken::InBody(_) | Broken::Malformed(_)) => {}
                other => {
                    panic!("{what}, {after:?}: a broken answer must not look whole: {other:?}")
                }
            }
        }
    }
}

#[test]
fn a_broken_body_that_only_the_close_could_end_ends_with_a_reset() {
    // A client of HTTP/1.0 gets no chunks: it would take a close for the end.
    for start in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart",
    ] {
        let a = Member::start("a", move |exchange| {
            exchange.send(start);
            exchange.wait_at_gate();
            After::Reset
        });
        let gateway = Gateway::start(everything_to(&[&a], ""));
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
        let head = client.head();
        assert_eq!(client.exactly(4), b"part");
        a.release(1);
        let mut rest = Vec::new();
        let end = client.wire().to_end(&mut rest);
        assert_eq!(rest, b"", "{start:?}");
        // With a length, what is missing shows by itself.
        let expected = match head.length() {
            Ok(Some(1000)) => Ok(()),
            _ => Err(Stop::Reset),
        };
        assert_eq!(end, expected, "{start:?}");
    }
}
