//! Sessions of a Tomcat cluster: they stay, they move when they must, they drain.

use switchyard_tests::{Cluster, Gateway, Member, Request, Response, scripts};

use crate::conf::{balancer, entry, everything_to, site};

const STICKY: &str = "stickysession = \"JSESSIONID|jsessionid\"\nretry = \"60s\"";

fn tomcat(n: usize, keys: &str) -> (Cluster, Gateway) {
    let cluster = Cluster::start(n);
    let gateway = Gateway::start(
        site(&[("/Test", "balancer = \"cl\"")])
            + &format!("[balancer.cl]\n{keys}\n{}", cluster.toml("/Test", "")),
    );
    (cluster, gateway)
}

fn cookie(response: &Response) -> String {
    let set = response
        .field("set-cookie")
        .expect("a new session has a cookie");
    set.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_stays_with_its_member() {
    let (_cluster, gateway) = tomcat(3, STICKY);
    for _ in 0..6 {
        let first = gateway.get("/Test/session");
        let (worker, cookie) = (first.field("x-worker").unwrap().to_owned(), cookie(&first));
        assert!(cookie.ends_with(&format!(".{worker}")), "{cookie}");
        for count in 2..=6 {
            let response = gateway.ask(&Request::get("/Test/session").cookie(&cookie));
            assert_eq!(response.field("x-worker"), Some(worker.as_str()));
            assert!(
                response.text().ends_with(&format!("count={count}")),
                "{}",
                response.text()
            );
        }
    }
}

#[test]
fn a_session_in_the_path_stays_too() {
    let (_cluster, gateway) = tomcat(3, STICKY);
    for worker in ["worker1", "worker2", "worker3"] {
        for target in [
            format!("/Test/x;jsessionid=0A1B.{worker}"),
            format!("/Test/x;jsessionid=0A1B.{worker}?q=1"),
            format!("/Test/x;v=1;jsessionid=0A1B.{worker}"),
            format!("/Test;jsessionid=0A1B.{worker}"),
        ] {
            for _ in 0..3 {
                assert_eq!(
                    gateway.get(&target).field("x-worker"),
                    Some(worker),
                    "{target}"
                );
            }
        }
    }
}

#[test]
fn the_next_request_of_a_killed_members_session_is_answered_by_another() {
    let (mut cluster, gateway) = tomcat(2, STICKY);
    let first = gateway.get("/Test/session");
    let home = first.field("x-worker").unwrap().to_owned();
    let cookie_1 = cookie(&first);
    cluster.member_mut(&home).crash();
    let moved = gateway.ask(&Request::get("/Test/session").cookie(&cookie_1));
    assert_eq!(moved.status, 200);
    let other = moved.field("x-worker").unwrap().to_owned();
    assert_ne!(other, home);
    assert!(
        moved.text().ends_with("count=2"),
        "the replicated session goes on: {}",
        moved.text()
    );
    // The member that took over names itself in the cookie, and there the session stays.
    let cookie_2 = cookie(&moved);
    assert!(cookie_2.ends_with(&format!(".{other}")));
    cluster.member_mut(&home).restart();
    for _ in 0..4 {
        let response = gateway.ask(&Request::get("/Test/session").cookie(&cookie_2));
        assert_eq!(response.field("x-worker"), Some(other.as_str()));
    }
}

#[test]
fn without_failover_the_session_of_a_dead_member_is_refused() {
    let (mut cluster, gateway) = tomcat(2, &format!("{STICKY}\nfailover = false"));
    let ask = |worker: &str| {
        gateway.ask(&Request::get("/Test/x").cookie(&format!("JSESSIONID=1.{worker}")))
    };
    cluster.member_mut("worker1").crash();
    for _ in 0..3 {
        assert_eq!(ask("worker1").status, 503);
        assert_eq!(ask("worker2").status, 200);
        assert_eq!(
            gateway.get("/Test/x").status,
            200,
            "new sessions start elsewhere"
        );
        assert_eq!(
            ask("unknown").status,
            200,
            "a route that nobody has holds nothing"
        );
    }
}

#[test]
fn a_draining_member_keeps_its_sessions_and_gets_no_new_ones() {
    let cluster = Cluster::start(2);
    let text = |status: &str| {
        site(&[("/Test", "balancer = \"cl\"")])
            + &balancer(
                "cl",
                STICKY,
                &[
                    entry(
                        &cluster.members[0],
                        &format!("route = \"worker1\", status = \"{status}\""),
                    ),
                    entry(&cluster.members[1], "route = \"worker2\""),
                ],
            )
    };
    let mut gateway = Gateway::start(text("ok"));
    let ask = |gateway: &Gateway| {
        gateway
            .ask(&Request::get("/Test/x").cookie("JSESSIONID=1.worker1"))
            .field("x-worker")
            .unwrap()
            .to_owned()
    };
    assert_eq!(ask(&gateway), "worker1");
    gateway.rewrite(text("draining"));
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_status("it is draining", |s| s.to_string().contains("draining"));
    for _ in 0..5 {
        assert_eq!(ask(&gateway), "worker1", "sessions stay");
        assert_eq!(
            gateway.get("/Test/x").field("x-worker"),
            Some("worker2"),
            "new ones go elsewhere"
        );
    }
}

#[test]
fn a_redirect_route_takes_over_an_unusable_members_sessions() {
    let m: Vec<Member> = ["a", "b", "c"]
        .into_iter()
        .map(|n| Member::start(n, scripts::name()))
        .collect();
    let members = [
        entry(
            &m[0],
            "route = \"a\", redirect = \"c\", status = \"disabled\"",
        ),
        entry(&m[1], "route = \"b\""),
        entry(&m[2], "route = \"c\""),
    ];
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", "stickysession = \"S\"", &members),
    );
    for _ in 0..4 {
        assert_eq!(gateway.ask(&Request::get("/").cookie("S=1.a")).text(), "c");
    }
}

#[test]
fn a_route_cookie_of_the_gateways_own_holds_sessions_of_members_without_one() {
    let (a, b) = Member::pair();
    let gateway = Gateway::start(everything_to(
        &[&a, &b],
        "stickysession = \"ROUTEID\"\nroute_cookie = \"ROUTEID\"",
    ));
    let first = gateway.get("/");
    let home = first.text();
    let cookie = cookie(&first);
    assert!(
        cookie.starts_with("ROUTEID=") && cookie.ends_with(&home),
        "{cookie}"
    );
    for _ in 0..4 {
        let response = gateway.ask(&Request::get("/").cookie(&cookie));
        assert_eq!(response.text(), home);
        assert_eq!(
            response.field("set-cookie"),
            None,
            "it is set on first contact and after a move only"
        );
    }
    let (dead, other) = if home == "a" { (a, "b") } else { (b, "a") };
    drop(dead);
    let moved = gateway.ask(&Request::get("/").cookie(&cookie));
    assert_eq!(moved.text(), other);
    assert!(self::cookie(&moved).ends_with(other));
}

#[test]
fn the_first_of_two_session_cookies_of_one_name_that_names_a_member_counts() {
    let (_cluster, gateway) = tomcat(2, STICKY);
    for _ in 0..3 {
        let response = gateway
            .ask(&Request::get("/Test/x").cookie("JSESSIONID=1.worker2; JSESSIONID=2.worker1"));
        assert_eq!(response.field("x-worker"), Some("worker2"));
    }
}

#[test]
fn a_name_that_only_ends_like_the_sessions_is_no_session() {
    let (_cluster, gateway) = tomcat(2, STICKY);
    for request in [
        Request::get("/Test/x?xjsessionid=1.worker2"),
        Request::get("/Test/x;xjsessionid=1.worker2"),
        Request::get("/Test/x").cookie("XJSESSIONID=1.worker2"),
    ] {
        let workers: Vec<String> = (0..4)
            .map(|_| gateway.ask(&request).field("x-worker").unwrap().to_owned())
            .collect();
        assert!(
            workers.contains(&"worker1".to_owned()),
            "{request:?}: {workers:?}"
        );
    }
}

#[test]
fn sessions_do_not_bend_the_schedule_of_other_requests() {
    let (_cluster, gateway) = tomcat(3, STICKY);
    for _ in 0..9 {
        gateway.ask(&Request::get("/Test/x").cookie("JSESSIONID=1.worker1"));
    }
    let fresh: Vec<String> = (0..6)
        .map(|_| gateway.get("/Test/x").field("x-worker").unwrap().to_owned())
        .collect();
    // httpd charges them, and then avoids worker1 for as many requests.
    assert_eq!(
        fresh.iter().filter(|w| *w == "worker1").count(),
        2,
        "{fresh:?}"
    );
}
