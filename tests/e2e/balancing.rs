//! Choosing members: shares, statuses, busyness, limits on connections.

use std::{collections::BTreeMap, thread};

use switchyard_tests::{
    After, Client, Gateway, Member, Request, eventually, scripts, wait::DEADLINE,
};

use crate::conf::{balancer, entry, everything_to, site};

fn named(names: &[&str]) -> Vec<Member> {
    names
        .iter()
        .map(|n| Member::start(n, scripts::name()))
        .collect()
}

/// Who answers `n` requests, one connection each.
fn answers(gateway: &Gateway, path: &str, n: usize) -> String {
    (0..n).map(|_| gateway.get(path).text()).collect()
}

fn shares(sequence: &str) -> BTreeMap<char, usize> {
    sequence.chars().fold(BTreeMap::new(), |mut counts, c| {
        *counts.entry(c).or_default() += 1;
        counts
    })
}

#[test]
fn byrequests_is_the_default_and_counts_over_all_workers() {
    let m = named(&["a", "b", "c"]);
    let gateway = Gateway::start(everything_to(&[&m[0], &m[1], &m[2]], ""));
    let addr = gateway.addr();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                for _ in 0..30 {
                    assert_eq!(Client::connect(addr).get("/").status, 200);
                }
            });
        }
    });
    let hits: Vec<usize> = m.iter().map(Member::hits).collect();
    assert_eq!(
        hits,
        [80, 80, 80],
        "exact although two workers pick at the same time"
    );
}

#[test]
fn loadfactors_with_decimals_give_exact_shares() {
    let m = named(&["a", "b"]);
    let members = [
        entry(&m[0], "loadfactor = 1.5"),
        entry(&m[1], "loadfactor = 1"),
    ];
    let gateway =
        Gateway::start(site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", "", &members));
    assert_eq!(
        shares(&answers(&gateway, "/", 50)),
        BTreeMap::from([('a', 30), ('b', 20)])
    );
}

#[test]
fn each_status_does_what_its_name_says() {
    let m = named(&["a", "b", "c"]);
    for (status, with_others, alone) in [
        ("draining", "bcbcbc", "503"),
        ("disabled", "bcbcbc", "503"),
        ("stopped", "bcbcbc", "503"),
        ("standby", "bcbcbc", "a"),
        ("spare", "bcbcbc", "503"),
        ("ok", "abcabc", "a"),
    ] {
        let first = entry(&m[0], &format!("route = \"a\", status = \"{status}\""));
        let gateway = Gateway::start(
            site(&[
                ("/all", "balancer = \"all\""),
                ("/alone", "balancer = \"alone\""),
            ]) + &balancer(
                "all",
                "",
                &[
                    first.clone(),
                    entry(&m[1], "route = \"b\""),
                    entry(&m[2], "route = \"c\""),
                ],
            ) + &balancer("alone", "", &[first]),
        );
        assert_eq!(answers(&gateway, "/all", 6), with_others, "{status}");
        let response = gateway.get("/alone");
        let got = if response.status == 200 {
            response.text()
        } else {
            response.status.to_string()
        };
        // A spare stands in for an unusable member of its set; alone it has nobody to stand in for.
        if status != "spare" {
            assert_eq!(got, alone, "{status} alone");
        }
    }
}

#[test]
fn a_spare_stands_in_for_an_unusable_member() {
    let m = named(&["a", "b", "c"]);
    let members = [
        entry(&m[0], ""),
        entry(&m[1], "status = \"disabled\""),
        entry(&m[2], "status = \"spare\""),
    ];
    let gateway =
        Gateway::start(site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", "", &members));
    assert_eq!(answers(&gateway, "/", 6), "acacac");
}

#[test]
fn a_lower_set_is_used_up_before_a_higher_one() {
    let m = named(&["a", "b", "c"]);
    let members = [
        entry(&m[0], "lbset = 1"),
        entry(&m[1], ""),
        entry(&m[2], "lbset = 2"),
    ];
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\""), ("/out", "balancer = \"out\"")])
            + &balancer("cl", "", &members)
            + &balancer(
                "out",
                "",
                &[
                    entry(&m[0], "lbset = 1"),
                    entry(&m[1], "status = \"disabled\""),
                    entry(&m[2], "lbset = 2"),
                ],
            ),
    );
    assert_eq!(answers(&gateway, "/", 4), "bbbb");
    assert_eq!(answers(&gateway, "/out", 4), "aaaa");
}

#[test]
fn busy_counts_a_request_until_its_body_ends() {
    let a = Member::start("a", scripts::streamed());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let busy = || gateway.member_status("cl", "a")["busy"].clone();
    let mut clients: Vec<Client> = (0..3).map(|_| gateway.connect()).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.send(Request::get("/").bytes());
        client.head();
        assert_eq!(busy(), i + 1, "the head has come, the body has not");
    }
    a.open_gate();
    for client in &mut clients {
        client.exactly(26);
    }
    eventually("nobody is busy", DEADLINE, || (busy() == 0).then_some(()));
}

#[test]
fn busy_is_released_when_the_client_leaves_in_mid_body() {
    let a = Member::start("a", scripts::streamed());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    client.head();
    assert_eq!(gateway.member_status("cl", "a")["busy"], 1);
    client.reset();
    eventually("nobody is busy", DEADLINE, || {
        (gateway.member_status("cl", "a")["busy"] == 0).then_some(())
    });
}

#[test]
fn bybusyness_avoids_the_member_that_is_slow() {
    let (a, b) = (
        Member::start("a", scripts::held()),
        Member::start("b", scripts::name()),
    );
    let gateway = Gateway::start(everything_to(&[&a, &b], "lbmethod = \"bybusyness\""));
    let mut held = gateway.connect();
    held.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    for _ in 0..10 {
        assert_eq!(gateway.get("/").text(), "b");
        // It is counted busy until its body has ended, a moment after the client has read it.
        gateway.wait_for_status("b is idle", |_| {
            gateway.member_status("cl", "b")["busy"] == 0
        });
    }
    a.open_gate();
    assert_eq!(held.response().text(), "a");
}

#[test]
fn bytes_of_both_directions_are_counted() {
    let a = Member::start("a", scripts::sized(100_000));
    let gateway = Gateway::start(everything_to(&[&a], ""));
    gateway.ask(&Request::post("/", vec![b'x'; 50_000]));
    let status = eventually("the counters are settled", DEADLINE, || {
        Some(gateway.member_status("cl", "a")).filter(|s| s["busy"] == 0)
    });
    let (bytes_in, bytes_out) = (
        status["bytes_in"].as_u64().unwrap(),
        status["bytes_out"].as_u64().unwrap(),
    );
    assert!(
        (100_000..101_000).contains(&bytes_in),
        "from the member: {bytes_in}"
    );
    assert!(
        (50_000..51_000).contains(&bytes_out),
        "to the member: {bytes_out}"
    );
}

#[test]
fn max_connections_holds_over_all_workers() {
    let a = Member::start("a", scripts::held());
    let gateway = Gateway::start(everything_to(
        &[&a],
        "max_connections = 3\nacquire_timeout = \"10s\"",
    ));
    let addr = gateway.addr();
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(move || {
                assert_eq!(Client::patient(addr, 4 * DEADLINE).get("/").status, 200)
            });
        }
        a.wait_for_hits(3);
        // Every one of the twelve is let go alone, so that a fourth connection would have its chance.
        for served in 3..=12 {
            a.wait_for_hits(served);
            assert!(
                a.open_connections() <= 3,
                "{} connections",
                a.open_connections()
            );
            a.release(1);
        }
        a.open_gate();
    });
    assert_eq!(a.hits(), 12);
}

#[test]
fn a_full_member_is_passed_over_and_not_put_into_error() {
    let (a, b) = (
        Member::start("a", scripts::held()),
        Member::start("b", scripts::name()),
    );
    let gateway = Gateway::start(everything_to(
        &[&a, &b],
        "max_connections = 1\nacquire_timeout = \"100ms\"",
    ));
    let mut held = gateway.connect();
    held.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    assert_eq!(answers(&gateway, "/", 4), "bbbb");
    a.open_gate();
    assert_eq!(held.response().text(), "a");
    a.becomes(scripts::name());
    gateway.wait_for_status("a is idle", |_| {
        gateway.member_status("cl", "a")["busy"] == 0
    });
    let sequence = answers(&gateway, "/", 8);
    assert!(
        sequence.contains('a'),
        "a was healthy all the time: {sequence}"
    );
}

#[test]
fn waiting_too_long_for_a_connection_is_503_in_time() {
    let a = Member::start("a", scripts::held());
    let gateway = Gateway::start(everything_to(
        &[&a],
        "max_connections = 1\nacquire_timeout = \"200ms\"",
    ));
    let mut held = gateway.connect();
    held.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    assert_eq!(gateway.get("/").status, 503);
    a.open_gate();
    assert_eq!(held.response().status, 200);
}

#[test]
fn a_waiter_takes_over_an_idle_connection_of_another_worker() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(
        &[&a],
        "max_connections = 1\nacquire_timeout = \"5s\"",
    ));
    // Sixteen connections are spread over both workers; the permit lies idle at one of them in between.
    for _ in 0..16 {
        let response = gateway.get("/");
        assert_eq!(response.status, 200, "{response:?}");
    }
    assert!(a.open_connections() <= 1);
}

#[test]
fn keepalive_off_opens_a_connection_a_request() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], "keepalive = false"));
    let mut client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(a.connections(), 3);
}

#[test]
fn kept_connections_are_closed_after_their_idle_limit() {
    let a = Member::start("a", |exchange| {
        exchange.send(scripts::reply("200 OK", &[], "a"));
        exchange.until_closed();
        exchange.note("closed");
        After::Close
    });
    let gateway = Gateway::start(everything_to(&[&a], "idle_timeout = \"200ms\""));
    assert_eq!(gateway.get("/").status, 200);
    a.wait_for_note("closed");
}

#[test]
fn a_member_that_joins_is_not_flooded_while_it_starts_slowly() {
    let m = named(&["a", "b"]);
    let keys = "slow_start = \"30s\"";
    let mut gateway = Gateway::start(everything_to(&[&m[0]], keys));
    assert_eq!(answers(&gateway, "/", 10), "aaaaaaaaaa");
    gateway.rewrite(everything_to(&[&m[0], &m[1]], keys));
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_status("b has joined", |s| {
        s["balancers"]["cl"]["members"]
            .as_array()
            .is_some_and(|m| m.len() == 2)
    });
    let shares = shares(&answers(&gateway, "/", 40));
    let joined = shares.get(&'b').copied().unwrap_or(0);
    assert!(
        (1..15).contains(&joined),
        "it gets less than half, and more than nothing: {shares:?}"
    );
}

#[test]
fn a_member_that_joins_under_bytraffic_does_not_get_everything() {
    let m = [
        Member::start("a", scripts::sized(5000)),
        Member::start("b", scripts::sized(5000)),
    ];
    let keys = "lbmethod = \"bytraffic\"\nslow_start = \"30s\"";
    let mut gateway = Gateway::start(everything_to(&[&m[0]], keys));
    for _ in 0..40 {
        gateway.get("/");
    }
    gateway.rewrite(everything_to(&[&m[0], &m[1]], keys));
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_status("b has joined", |s| {
        s["balancers"]["cl"]["members"]
            .as_array()
            .is_some_and(|m| m.len() == 2)
    });
    let first: String = (0..20)
        .map(|_| gateway.get("/").field("x-member").unwrap().to_owned())
        .collect();
    assert!(
        first.contains('a'),
        "httpd gives a joiner every request until its bytes catch up: {first}"
    );
}

#[test]
fn a_request_waits_for_a_usable_member_where_configured() {
    let mut a = Member::start("a", scripts::name());
    a.crash();
    let keys = "wait = \"10s\"\nretry = \"2s\"\nforcerecovery = false";
    let gateway = Gateway::start(everything_to(&[&a], keys));
    // The member is in error once it has refused a request, which had nobody else to go to.
    assert_eq!(gateway.get("/").status / 100, 5);
    assert_ne!(gateway.member_status("cl", "a")["state"], "ok");
    a.restart();
    // Nobody is usable until `retry` is over: this request is held until then, and is the trial.
    assert_eq!(gateway.get("/").text(), "a");
    assert_eq!(gateway.member_status("cl", "a")["state"], "ok");
}
