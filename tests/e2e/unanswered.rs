//! Members that take a request and give no answer: what the client is told.

use std::{thread, time::Duration};

use switchyard_tests::{After, Gateway, Member, Request, scripts};

use crate::conf::everything_to;

#[test]
fn a_client_never_gets_a_bare_close_before_its_answer() {
    for (what, script) in scripts::without_answer() {
        let a = Member::start("a", move |exchange| match exchange.target() {
            "/good" => scripts::name()(exchange),
            _ => script(exchange),
        });
        let keys = "answer_timeout = \"300ms\"\nretry = \"0s\"";
        let gateway = Gateway::start(everything_to(&[&a], keys));
        for method in ["GET", "POST"] {
            // On a connection's first request, and on a later one over a kept connection to the member.
            for kept in [false, true] {
                let mut client = gateway.connect();
                if kept {
                    assert_eq!(client.get("/good").status, 200);
                }
                client.send(
                    Request::new(method, "/")
                        .field("Content-Length", "0")
                        .bytes(),
                );
                match client.try_response() {
                    Ok(answer) => {
                        let expected = if what == "hangs" { 504 } else { 502 };
                        assert_eq!(answer.status, expected, "{what}, {method}, {kept}");
                    }
                    Err(broken) => panic!("{what}, {method}, {kept}: {broken:?}"),
                }
            }
        }
    }
}

#[test]
fn a_member_that_drips_its_head_has_answer_timeout_for_all_of_it() {
    let a = Member::start("a", |exchange| {
        if exchange.target() == "/good" {
            return scripts::name()(exchange);
        }
        let mut goes_on = exchange.send("HTTP/1.1 200 OK\r\nX: ");
        while goes_on {
            // Slow enough for the head never to be too large.
            thread::sleep(Duration::from_millis(20));
            goes_on = exchange.send("x");
        }
        After::Close
    });
    let keys = "answer_timeout = \"300ms\"\nretry = \"0s\"";
    let gateway = Gateway::start(everything_to(&[&a], keys));
    assert_eq!(gateway.get("/").status, 504);
    assert_eq!(gateway.get("/good").status, 200);
}
