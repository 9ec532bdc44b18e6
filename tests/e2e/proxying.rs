//! A request's way to a member and the answer's way back.

use std::thread;

use switchyard_tests::{After, Client, DEADLINE, Gateway, Member, Request, eventually, scripts};

use crate::conf::{balancer, entry, entry_below, one, site};

#[test]
fn the_routes_path_is_replaced_by_the_members() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(
        site(&[
            ("/app", "balancer = \"deep\""),
            ("/same", "balancer = \"flat\""),
        ]) + &balancer("deep", "", &[entry_below(&a, "/ctx/v1", "")])
            + &balancer("flat", "", &[entry_below(&a, "/same", "")]),
    );
    for (asked, sent) in [
        ("/app/x?q=1", "/ctx/v1/x?q=1"),
        ("/app", "/ctx/v1"),
        ("/app/", "/ctx/v1/"),
        ("/app?q", "/ctx/v1?q"),
        ("/app;jsessionid=1.a", "/ctx/v1;jsessionid=1.a"),
        ("/same/y", "/same/y"),
    ] {
        assert_eq!(gateway.get(asked).status, 200, "{asked}");
        assert_eq!(a.last().target(), sent, "{asked}");
    }
}

#[test]
fn the_member_is_sent_its_own_host_unless_the_clients_is_preserved() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(
        site(&[
            ("/", "balancer = \"cl\""),
            ("/kept", "balancer = \"cl\"\npreserve_host = true"),
        ]) + &balancer("cl", "", &[entry(&a, "")]),
    );
    gateway.ask(&Request::get("/x").host("front.example.com:8080"));
    assert_eq!(a.last().field("host"), Some(a.addr().to_string().as_str()));
    gateway.ask(&Request::get("/kept/x").host("front.example.com:8080"));
    assert_eq!(a.last().field("host"), Some("front.example.com:8080"));
}

#[test]
fn bodies_with_a_length_and_in_chunks_arrive_whole() {
    let (a, gateway) = one(scripts::echo());
    let body: Vec<u8> = (0..300_000_u32).map(|i| i as u8).collect();
    let response = gateway.ask(&Request::post("/x", body.clone()));
    assert_eq!(response.status, 200);
    assert!(a.last().body == body, "the member read what was sent");
    assert!(response.body.ends_with(&body), "and so did the client");

    let mut client = gateway.connect();
    client.send("POST /y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in body.chunks(40_000) {
        client
            .send(format!("{:x}\r\n", part.len()))
            .send(part)
            .send("\r\n");
    }
    let response = client.send("0\r\n\r\n").response();
    assert_eq!(response.status, 200);
    assert!(a.last().body == body);
    assert_eq!(
        a.last().head.all("transfer-encoding").len() + a.last().head.all("content-length").len(),
        1
    );
}

#[test]
fn large_answers_arrive_whole_one_after_the_other_and_a_short_one_is_seen() {
    let body: Vec<u8> = (0..3_000_001_u32).map(|i| (i ^ (i >> 9)) as u8).collect();
    let (a, gateway) = one(scripts::answer("200 OK", &[], &body));
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert!(client.get("/").body == body);
    }
    assert_eq!(a.connections(), 1, "the member's connection is kept too");

    let short = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3000001\r\n\r\n",
        &body[..2_000_000],
    ];
    a.becomes(scripts::bytes(short.concat(), After::Close));
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let got = client.until_closed();
    assert!(got.ends_with(&body[1_999_000..2_000_000]), "all there was");
    a.becomes(scripts::name());
    assert_eq!(gateway.get("/").text(), "a");
}

#[test]
fn chunked_answers_and_answers_until_close_arrive_whole() {
    let (a, gateway) = one(scripts::bytes(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
        After::Keep,
    ));
    assert_eq!(gateway.get("/").text(), "abcdefg");
    a.becomes(scripts::bytes(
        "HTTP/1.0 200 OK\r\n\r\nuntil the end",
        After::Close,
    ));
    let mut client = gateway.connect();
    let response = client.get("/");
    assert_eq!(response.text(), "until the end");
    assert!(
        response.head.is_chunked(),
        "an HTTP/1.1 client can tell the end from a break"
    );
    assert_eq!(
        client.get("/").text(),
        "until the end",
        "and its connection lives on"
    );
}

#[test]
fn an_http_1_0_client_gets_an_answer_it_can_read() {
    let (_a, gateway) = one(scripts::bytes(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        After::Keep,
    ));
    let mut client = gateway.connect();
    let response = client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n").response();
    assert!(
        !response.head.is_chunked(),
        "HTTP/1.0 knows no chunks: {response:?}"
    );
    assert_eq!(response.text(), "abc");
    client.expect_closed();
}

#[test]
fn an_http_1_0_client_may_keep_its_connection() {
    let (a, gateway) = one(scripts::name());
    let mut client = gateway.connect();
    for _ in 0..2 {
        let response = client
            .send("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
            .response();
        assert_eq!(response.text(), "a");
        assert!(
            response
                .field("connection")
                .is_some_and(|c| c.eq_ignore_ascii_case("keep-alive")),
            "{response:?}"
        );
    }
    assert_eq!(
        a.last().head.word(2),
        "HTTP/1.1",
        "members are spoken to in HTTP/1.1"
    );
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let (a, gateway) = one(scripts::bytes(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        After::Keep,
    ));
    let mut client = gateway.connect();
    let head = client.ask(&Request::new("HEAD", "/"));
    assert_eq!(
        head.field("content-length"),
        Some("5"),
        "what GET would give"
    );
    for (status, fields) in [
        ("204 No Content", ""),
        ("304 Not Modified", "ETag: \"x\"\r\nContent-Length: 5\r\n"),
    ] {
        a.becomes(scripts::bytes(
            format!("HTTP/1.1 {status}\r\n{fields}\r\n"),
            After::Keep,
        ));
        let response = client.get("/");
        assert!(status.starts_with(&response.status.to_string()));
        assert!(response.body.is_empty());
    }
    a.becomes(scripts::name());
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn an_answer_streams_while_the_member_still_writes() {
    let (a, gateway) = one(scripts::streamed());
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    let head = client.head();
    assert!(head.is_chunked());
    assert_eq!(
        client.exactly(8),
        b"5\r\nfirst",
        "the first part comes before the second is written"
    );
    a.release(1);
    assert_eq!(client.exactly(18), b"\r\n6\r\nsecond\r\n0\r\n\r\n");
}

#[test]
fn an_upload_streams_while_the_client_still_writes() {
    let (a, gateway) = one(|exchange| {
        let mut first = Vec::new();
        while first.len() < 5 {
            first.extend(exchange.some());
        }
        exchange.note("first part");
        while first.len() < 10 {
            first.extend(exchange.some());
        }
        exchange.send(scripts::reply("200 OK", &[], &first));
        After::Close
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nfirst");
    a.wait_for_note("first part");
    assert_eq!(client.send("again").response().text(), "firstagain");
}

#[test]
fn expect_100_continue_asks_before_it_sends() {
    let (a, gateway) = one(scripts::echo());
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().word(1), "100");
    let response = client.send("hello").response();
    assert_eq!(response.status, 200);
    assert_eq!(a.last().body, b"hello");
}

#[test]
fn a_members_own_100_is_passed_on() {
    let (a, gateway) = one(|exchange| {
        exchange.send("HTTP/1.1 100 Continue\r\nX-From: a\r\n\r\n");
        scripts::echo()(exchange)
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let head = client.head();
    assert_eq!((head.word(1), head.field("x-from")), ("100", Some("a")));
    client.send("hello");
    assert_eq!(
        client.head().word(1),
        "200",
        "and there is only one of them"
    );
    assert_eq!(a.last().body, b"hello");
    assert_eq!(a.last().field("expect"), Some("100-continue"));
}

#[test]
fn a_refusal_instead_of_a_100_spares_the_body() {
    for status in ["401 Unauthorized", "417 Expectation Failed"] {
        let (a, gateway) = one(move |exchange| {
            exchange.send(scripts::reply(status, &[], "no"));
            let rest = exchange.until_closed();
            exchange.note(&format!("then {}", rest.escape_ascii()));
            After::Close
        });
        let mut client = gateway.connect();
        client.send(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        );
        let head = client.head();
        assert_eq!(head.word(1), &status[..3], "no 100 comes before it");
        assert!(head.closes(), "a body may come or not: {head:?}");
        // Though it is sent now, nobody is given it, as a body or as a request.
        let _ = client.try_send("hello");
        assert_eq!(client.until_closed(), b"no");
        a.wait_for_note("then ");
        assert_eq!(a.hits(), 1);
    }
}

#[test]
fn both_bodies_move_at_once() {
    const ROUNDS: usize = 5;
    for chunked in [false, true] {
        let (_a, gateway) = one(|exchange| {
            let mut came = Vec::new();
            for round in 0..ROUNDS {
                let asked = format!("ask-{round}").into_bytes();
                while !came.windows(asked.len()).any(|bytes| bytes == asked) {
                    let some = exchange.some();
                    if some.is_empty() {
                        return After::Close;
                    }
                    came.extend(some);
                }
                if round == 0 {
                    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                }
                exchange.send(format!("8\r\nanswer-{round}\r\n"));
            }
            exchange.send("0\r\n\r\n");
            After::Close
        });
        let mut client = gateway.connect();
        let framing = if chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", 5 * ROUNDS)
        };
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        for round in 0..ROUNDS {
            // Nothing more is sent before what was sent so far is answered.
            client.send(match chunked {
                true => format!("5\r\nask-{round}\r\n"),
                false => format!("ask-{round}"),
            });
            if round == 0 {
                assert_eq!(client.head().word(1), "200");
            }
            let chunk = format!("8\r\nanswer-{round}\r\n");
            assert_eq!(client.exactly(chunk.len()), chunk.as_bytes());
        }
        if chunked {
            client.send("0\r\n\r\n");
        }
        assert_eq!(client.exactly(5), b"0\r\n\r\n");
    }
}

#[test]
fn an_early_answer_during_an_upload_is_relayed() {
    let (_a, gateway) = one(|exchange| {
        exchange.send(
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
        );
        // As careful servers do: a close with unread input would reset, and lose the answer.
        exchange.finish_sending();
        exchange.until_closed();
        After::Close
    });
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
    // Goes on writing as a client does that has not looked yet; the gateway may close meanwhile.
    for _ in 0..50 {
        if client.try_send(vec![b'x'; 10_000]).is_err() {
            break;
        }
    }
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "big"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (_a, gateway) = one(|exchange| {
        let target = exchange.target().to_owned();
        exchange.send(scripts::reply("200 OK", &[], target));
        After::Keep
    });
    let mut client = gateway.connect();
    let all: Vec<u8> = (0..20)
        .flat_map(|i| Request::get(&format!("/{i}")).bytes())
        .collect();
    client.send(all);
    for i in 0..20 {
        assert_eq!(client.response().text(), format!("/{i}"));
    }
}

#[test]
fn methods_pass_through_and_trace_does_not_leak_cookies() {
    let (a, gateway) = one(scripts::name());
    for method in [
        "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND",
    ] {
        let response = gateway.ask(&Request::new(method, "/").field("Content-Length", "0"));
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(a.last().method(), method);
    }
    let hits = a.hits();
    let response = gateway.ask(&Request::new("TRACE", "/").cookie("secret=1"));
    if a.hits() > hits {
        assert_eq!(
            a.last().field("cookie"),
            None,
            "TRACE echoes what it is sent"
        );
    } else {
        assert!(response.status >= 400, "{response:?}");
    }
}

#[test]
fn request_trailers_do_not_become_fields() {
    let (a, gateway) = one(scripts::echo());
    let request = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n\
                   3\r\nabc\r\n0\r\nX-T: v\r\nContent-Length: 99\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let response = gateway.raw(request);
    assert!(matches!(response.status, 200 | 400), "{response:?}");
    if response.status == 200 {
        let seen = a.last();
        assert_eq!(seen.body, b"abc");
        assert!(
            !seen
                .head
                .all("x-forwarded-for")
                .iter()
                .any(|v| v.contains("6.6.6.6"))
        );
        assert!(
            seen.trailers
                .iter()
                .all(|(n, _)| !n.eq_ignore_ascii_case("content-length"))
        );
    }
}

#[test]
fn interim_answers_of_members_do_not_confuse_the_client() {
    let (_a, gateway) = one(scripts::bytes(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        After::Keep,
    ));
    let mut client = gateway.connect();
    assert_eq!(client.get("/").text(), "ok");
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn two_workers_serve_many_clients_at_once() {
    let (a, gateway) = one(scripts::name());
    let addr = gateway.addr();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(move || {
                let mut client = Client::connect(addr);
                for _ in 0..50 {
                    assert_eq!(client.get("/").text(), "a");
                }
            });
        }
    });
    assert_eq!(a.hits(), 800);
    // A client may have its answer a moment before the request is over.
    let status = eventually("nothing is in flight", DEADLINE, || {
        let status = gateway.member_status("cl", "a");
        (status["busy"] == 0).then_some(status)
    });
    assert_eq!(status["elected"], 800);
}
