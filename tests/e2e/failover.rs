//! Failures of members and what clients see of them: as design section 2 promises.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use switchyard_tests::{
    After, Client, Gateway, Member, Request, ReservedPort, Script, SetOnDrop, eventually, scripts,
    wait::DEADLINE,
};

use crate::conf::{balancer, entry, everything_to, site};

/// A member under the test's control, and one that always answers.
fn pair(
    script: impl Fn(&mut switchyard_tests::Exchange<'_>) -> After + Send + Sync + 'static,
    keys: &str,
) -> (Member, Member, Gateway) {
    let (a, b) = (
        Member::start("a", script),
        Member::start("b", scripts::name()),
    );
    let gateway = Gateway::start(everything_to(&[&a, &b], keys));
    (a, b, gateway)
}

#[test]
fn a_refused_connection_moves_any_method_to_another_member() {
    let dead = ReservedPort::new();
    let b = Member::start("b", scripts::echo());
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")])
            + &balancer("cl", "retry = \"0s\"", &[entry(&dead, ""), entry(&b, "")]),
    );
    for n in [0, 1000, 200_000] {
        for _ in 0..2 {
            let response = gateway.ask(&Request::post("/", vec![b'x'; n]));
            assert_eq!(response.status, 200, "{n} bytes");
            assert_eq!(b.last().body.len(), n, "the body arrived whole");
        }
    }
    let chunk = format!("186a0\r\n{}\r\n", "x".repeat(100_000));
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for _ in 0..2 {
        let response = gateway.raw(format!("{head}{chunk}0\r\n\r\n"));
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(b.last().body.len(), 100_000, "the chunks arrived whole");
    }
    assert_eq!(b.hits(), 8, "each once");
}

#[test]
fn a_get_moves_on_when_its_member_closes_resets_or_stays_silent() {
    for (what, script) in scripts::without_answer() {
        let (_a, b, gateway) = pair(
            move |exchange| script(exchange),
            "answer_timeout = \"300ms\"\nretry = \"0s\"",
        );
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let mut client = gateway.connect();
            for _ in 0..2 {
                let response = client.ask(&Request::new(method, "/").field("Content-Length", "0"));
                assert_eq!(
                    response.status, 200,
                    "a member that {what}, {method}: {response:?}"
                );
                assert_eq!(
                    response.field("x-member"),
                    Some("b"),
                    "a member that {what}, {method}"
                );
            }
        }
        assert_eq!(b.hits(), 10, "a member that {what}");
    }
}

#[test]
fn a_post_that_may_have_been_carried_out_is_never_sent_twice() {
    for (what, script, status) in [
        (
            "closes",
            Box::new(scripts::silent(After::Close)) as Box<Script>,
            502,
        ),
        ("resets", Box::new(scripts::silent(After::Reset)), 502),
        (
            "breaks off its head",
            Box::new(scripts::bytes("HTTP/1.1 200 OK\r\nX: ", After::Close)),
            502,
        ),
        ("hangs", Box::new(scripts::hang()), 504),
    ] {
        let (a, b, gateway) = pair(
            move |exchange| script(exchange),
            "answer_timeout = \"300ms\"",
        );
        let response = gateway.ask(&Request::post("/", "order"));
        assert_eq!(
            response.status, status,
            "a member that {what}: {response:?}"
        );
        assert_eq!((a.hits(), b.hits()), (1, 0), "a member that {what}");
    }
}

#[test]
fn a_post_on_a_kept_connection_that_dies_is_not_repeated() {
    // Answers the first request of a connection and drops the second after reading it.
    let a = Member::start("a", |exchange| {
        if exchange.nth_on_connection == 0 {
            return scripts::name()(exchange);
        }
        let _ = exchange.read_body();
        After::Reset
    });
    let gateway = Gateway::start(everything_to(&[&a], "retry = \"0s\""));
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(client.ask(&Request::post("/", "order")).status, 502);
    let orders = a.seen().iter().filter(|s| s.method() == "POST").count();
    assert_eq!(orders, 1);
}

#[test]
fn a_get_on_a_kept_connection_that_dies_is_answered() {
    let a = Member::start("a", |exchange| {
        if exchange.nth_on_connection == 0 {
            scripts::name()(exchange)
        } else {
            After::Close
        }
    });
    let gateway = Gateway::start(everything_to(&[&a], "retry = \"0s\"\nmaxattempts = 1"));
    let mut client = gateway.connect();
    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "a");
    }
}

#[test]
fn a_large_body_that_is_not_held_is_not_sent_twice() {
    // PUT may be repeated, but 200 kB are more than is kept for that.
    let (a, b, gateway) = pair(
        |exchange| {
            let _ = exchange.read_body();
            After::Reset
        },
        "",
    );
    let mut put = Request::new("PUT", "/")
        .field("Content-Length", "200000")
        .bytes();
    put.extend(vec![b'x'; 200_000]);
    assert_eq!(gateway.raw(put).status, 502);
    assert_eq!((a.hits(), b.hits()), (1, 0));
    let mut small = Request::new("PUT", "/")
        .field("Content-Length", "1000")
        .bytes();
    small.extend(vec![b'x'; 1000]);
    a.becomes(|exchange| {
        let _ = exchange.read_body();
        After::Reset
    });
    // Two, so that the broken member has had its turn.
    for _ in 0..2 {
        assert_eq!(gateway.raw(&small).status, 200);
    }
}

#[test]
fn no_get_fails_when_one_of_two_members_is_killed_under_load() {
    let mut a = Member::start("a", scripts::name());
    let b = Member::start("b", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a, &b], "retry = \"100ms\""));
    let addr = gateway.addr();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let ending = SetOnDrop(&done);
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| failures(addr, &done)))
            .collect();
        for _ in 0..3 {
            a.wait_for_hits(a.hits() + 20);
            a.crash();
            b.wait_for_hits(b.hits() + 50);
            a.restart();
        }
        a.wait_for_hits(a.hits() + 20);
        drop(ending);
        for client in clients {
            assert_eq!(client.join().unwrap(), Vec::<String>::new());
        }
    });
}

/// What went wrong with GETs on one kept connection until the test is done.
fn failures(addr: SocketAddr, done: &AtomicBool) -> Vec<String> {
    let mut client = Client::connect(addr);
    let mut failures = Vec::new();
    for i in 0.. {
        if done.load(Ordering::Relaxed) || failures.len() > 3 {
            break;
        }
        match client
            .try_send(Request::get("/").bytes())
            .map(|()| client.try_response())
        {
            Ok(Ok(response)) if response.status == 200 => {}
            other => {
                failures.push(format!("request {i}: {other:?}"));
                client = Client::connect(addr);
            }
        }
    }
    failures
}

#[test]
fn answers_without_anybody_are_503_and_say_so() {
    let dead = ReservedPort::new();
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\""), ("/off", "balancer = \"off\"")])
            + &balancer("cl", "", &[entry(&dead, "")])
            + &balancer("off", "", &[entry(&dead, "status = \"disabled\"")]),
    );
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert!(matches!(client.get("/").status, 502 | 503));
    }
    let off = client.get("/off");
    assert_eq!(off.status, 503);
    assert!(!off.body.is_empty(), "never a bare close");
}

#[test]
fn a_member_in_error_rests_for_retry_and_then_gets_one_trial() {
    let mut a = Member::start("a", scripts::name());
    let b = Member::start("b", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a, &b], "retry = \"400ms\""));
    a.crash();
    for _ in 0..4 {
        assert_eq!(gateway.get("/").text(), "b");
    }
    assert_ne!(gateway.member_status("cl", "a")["state"], "ok");
    // It is back, but its first request is held: no second one may be risked meanwhile.
    a.becomes(scripts::held());
    a.restart();
    let addr = gateway.addr();
    let trial = eventually("somebody is sent to try it", DEADLINE, || {
        let mut client = Client::connect(addr);
        client.send(Request::get("/").bytes());
        (a.hits() > 0 || !answered(&mut client)).then_some(client)
    });
    for _ in 0..10 {
        assert_eq!(gateway.get("/").text(), "b");
    }
    assert_eq!(a.hits(), 1, "one trial at a time");
    a.open_gate();
    let mut trial = trial;
    assert_eq!(trial.response().status, 200);
    a.becomes(scripts::name());
    eventually("it has its share again", DEADLINE, || {
        (gateway.get("/").text() == "a").then_some(())
    });
}

/// Whether an answer comes within a moment.
fn answered(client: &mut Client) -> bool {
    client.wire().deadline = std::time::Duration::from_millis(100);
    let answered = client.try_response().is_ok();
    client.wire().deadline = DEADLINE;
    answered
}

#[test]
fn a_hung_member_is_ejected_after_its_first_timeouts() {
    let (a, _b, gateway) = pair(
        scripts::hang(),
        "answer_timeout = \"300ms\"\nfailontimeout = true\nretry = \"60s\"",
    );
    for _ in 0..6 {
        assert_eq!(
            gateway.get("/").text(),
            "b",
            "and each GET is answered by the other"
        );
    }
    assert_eq!(a.hits(), 1);
}

#[test]
fn failonstatus_delivers_the_answer_and_ejects_the_member() {
    let (a, _b, gateway) = pair(
        scripts::answer("503 Service Unavailable", &[("X-Member", "a")], "down"),
        "failonstatus = [500, 503]",
    );
    let statuses: Vec<u16> = (0..6).map(|_| gateway.get("/").status).collect();
    assert_eq!(statuses, [503, 200, 200, 200, 200, 200]);
    assert_eq!(a.hits(), 1);
    let (a, _b, gateway) = pair(scripts::answer("503 Service Unavailable", &[], "down"), "");
    for _ in 0..6 {
        gateway.get("/");
    }
    assert_eq!(
        a.hits(),
        3,
        "without it a member's answers are its own affair"
    );
}

#[test]
fn maxattempts_bounds_the_tries() {
    let dead = [ReservedPort::new(), ReservedPort::new()];
    let c = Member::start("c", scripts::name());
    let all = [entry(&dead[0], ""), entry(&dead[1], ""), entry(&c, "")];
    for (attempts, first) in [
        ("maxattempts = 0", 5),
        ("maxattempts = 1", 5),
        ("maxattempts = 2", 2),
        ("", 2),
    ] {
        let gateway =
            Gateway::start(site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", attempts, &all));
        assert_eq!(gateway.get("/").status / 100, first, "{attempts:?}");
    }
}

#[test]
fn forced_recovery_tries_members_in_error_when_there_are_no_others() {
    for (keys, comes_back) in [
        ("forcerecovery = true", true),
        ("forcerecovery = false", false),
    ] {
        let mut a = Member::start("a", scripts::name());
        let gateway = Gateway::start(everything_to(&[&a], &format!("{keys}\nretry = \"60s\"")));
        a.crash();
        assert!(matches!(gateway.get("/").status, 502 | 503));
        a.restart();
        assert_eq!(gateway.get("/").status == 200, comes_back, "{keys}");
    }
}

#[test]
fn a_standby_and_a_higher_set_take_over() {
    for keys in ["status = \"standby\"", "lbset = 1"] {
        let dead = ReservedPort::new();
        let b = Member::start("b", scripts::name());
        let gateway = Gateway::start(
            site(&[("/", "balancer = \"cl\"")])
                + &balancer("cl", "", &[entry(&dead, ""), entry(&b, keys)]),
        );
        for _ in 0..3 {
            assert_eq!(gateway.get("/").text(), "b", "{keys}");
        }
    }
}

#[test]
fn a_dead_member_is_not_counted_busy_while_another_serves() {
    let dead = ReservedPort::new();
    let b = Member::start("b", scripts::held());
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")])
            + &balancer(
                "cl",
                "",
                &[entry(&dead, "route = \"x\""), entry(&b, "route = \"b\"")],
            ),
    );
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    b.wait_for_note("holding");
    assert_eq!(
        gateway.member_status("cl", "x")["busy"],
        0,
        "httpd counts it busy until the request ends"
    );
    assert_eq!(gateway.member_status("cl", "b")["busy"], 1);
    b.open_gate();
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_connect_that_gets_no_answer_times_out_and_moves_on() {
    // A full backlog answers no SYN: the listener never accepts, and its queue is filled first.
    let port = ReservedPort::new();
    let listener = socket2::Socket::from(port.listen());
    listener.listen(0).unwrap();
    let address = port.addr();
    let _fillers: Vec<_> = (0..8)
        .filter_map(|_| {
            std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(50))
                .ok()
        })
        .collect();
    let b = Member::start("b", scripts::name());
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")])
            + &balancer(
                "cl",
                "connect_timeout = \"200ms\"",
                &[entry(&port, ""), entry(&b, "")],
            ),
    );
    for _ in 0..3 {
        assert_eq!(gateway.get("/").text(), "b");
    }
    assert_eq!(gateway.ask(&Request::post("/", "x")).status, 200);
}
