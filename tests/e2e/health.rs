//! Active health checks.

use switchyard_tests::{After, Gateway, Member, Request, eventually, scripts, wait::DEADLINE};

use crate::conf::{balancer, entry, everything_to, site};

const CHECKED: &str = "health = { path = \"/up\", interval = \"100ms\", rise = 2, fall = 2, timeout = \"200ms\" }\nretry = \"60s\"";

/// `/up` answers with this status, everything else with the name.
fn health(
    status: &'static str,
) -> impl Fn(&mut switchyard_tests::Exchange<'_>) -> After + Send + Sync + 'static {
    move |exchange| {
        if exchange.path() == "/up" {
            exchange.send(scripts::reply(status, &[], ""));
            return After::Keep;
        }
        scripts::name()(exchange)
    }
}

fn wait_until(gateway: &Gateway, what: &str, holds: impl Fn(&str) -> bool) {
    eventually(what, DEADLINE, || {
        let sequence: String = (0..4).map(|_| gateway.get("/").text()).collect();
        holds(&sequence).then_some(())
    });
}

#[test]
fn a_member_that_fails_its_checks_is_left_out_until_it_passes_them() {
    let (a, b) = (
        Member::start("a", health("200 OK")),
        Member::start("b", health("200 OK")),
    );
    let gateway = Gateway::start(everything_to(&[&a, &b], CHECKED));
    assert_eq!(gateway.get("/").status, 200);
    a.becomes(health("500 Internal Server Error"));
    wait_until(&gateway, "a is left out", |sequence| sequence == "bbbb");
    assert_ne!(gateway.member_status("cl", "a")["state"], "ok");
    a.becomes(health("200 OK"));
    wait_until(&gateway, "a is back", |sequence| sequence.contains('a'));
}

#[test]
fn a_dead_member_is_noticed_without_a_request_and_is_back_at_once() {
    let mut a = Member::start("a", health("200 OK"));
    let b = Member::start("b", health("200 OK"));
    let gateway = Gateway::start(everything_to(&[&a, &b], CHECKED));
    a.crash();
    gateway.wait_for_status("a is out", |_| {
        gateway.member_status("cl", "a")["state"] != "ok"
    });
    a.restart();
    // `retry` is a minute: only the checks can bring it back.
    wait_until(&gateway, "a is back", |sequence| sequence.contains('a'));
}

#[test]
fn a_check_clears_an_error_that_a_request_noticed() {
    let mut a = Member::start("a", health("200 OK"));
    let b = Member::start("b", health("200 OK"));
    let keys = CHECKED.replace("fall = 2", "fall = 1000");
    let gateway = Gateway::start(everything_to(&[&a, &b], &keys));
    a.crash();
    for _ in 0..4 {
        assert_eq!(gateway.get("/").text(), "b");
    }
    a.restart();
    wait_until(&gateway, "a is back", |sequence| sequence.contains('a'));
}

#[test]
fn failures_must_be_consecutive() {
    // Every second check fails: httpd adds the failures up and takes the member out.
    let a = Member::start("a", |exchange| {
        if exchange.path() == "/up" {
            let fails = exchange.nth % 2 == 1;
            exchange.send(scripts::reply(
                if fails { "500 Fails" } else { "200 OK" },
                &[],
                "",
            ));
            return After::Keep;
        }
        scripts::name()(exchange)
    });
    let gateway = Gateway::start(everything_to(&[&a], CHECKED));
    a.wait_for_hits(12);
    assert_eq!(gateway.member_status("cl", "a")["state"], "ok");
    assert_eq!(gateway.get("/").text(), "a");
}

#[test]
fn a_check_that_hangs_fails_in_its_own_time() {
    let (a, b) = (
        Member::start("a", health("200 OK")),
        Member::start("b", health("200 OK")),
    );
    let gateway = Gateway::start(everything_to(&[&a, &b], CHECKED));
    a.becomes(|exchange| {
        if exchange.path() == "/up" {
            exchange.until_closed();
            return After::Close;
        }
        scripts::name()(exchange)
    });
    wait_until(&gateway, "a is left out", |sequence| sequence == "bbbb");
}

#[test]
fn the_expected_statuses_are_configured() {
    let (a, b) = (
        Member::start("a", health("204 No Content")),
        Member::start("b", health("200 OK")),
    );
    let keys = CHECKED.replace("timeout =", "expect = [204], timeout =");
    let gateway = Gateway::start(everything_to(&[&a, &b], &keys));
    wait_until(&gateway, "only 204 passes", |sequence| sequence == "aaaa");
}

#[test]
fn stopped_members_are_not_checked_and_checks_look_like_requests() {
    let (a, b) = (
        Member::start("a", health("200 OK")),
        Member::start("b", health("200 OK")),
    );
    let text = everything_to(&[&a, &b], CHECKED)
        .replace("route = \"b\"", "route = \"b\", status = \"stopped\"");
    let gateway = Gateway::start(text);
    a.wait_for_hits(3);
    let check = a.last();
    assert_eq!((check.method(), check.target()), ("GET", "/up"));
    assert_eq!(check.field("host"), Some(a.addr().to_string().as_str()));
    assert_eq!(b.hits(), 0);
    assert_eq!(gateway.ask(&Request::get("/")).text(), "a");
}

#[test]
fn checks_do_not_count_as_requests() {
    let a = Member::start("a", health("200 OK"));
    let gateway = Gateway::start(everything_to(&[&a], CHECKED));
    a.wait_for_hits(5);
    assert_eq!(gateway.member_status("cl", "a")["elected"], 0);
}

#[test]
fn the_interval_is_kept() {
    let (often, seldom) = (
        Member::start("often", health("200 OK")),
        Member::start("seldom", health("200 OK")),
    );
    let check =
        |interval: &str| format!("health = {{ path = \"/up\", interval = \"{interval}\" }}");
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"often\"")])
            + &balancer("often", &check("100ms"), &[entry(&often, "")])
            + &balancer("seldom", &check("1h"), &[entry(&seldom, "")]),
    );
    // At the default of a second it would take longer than this waits.
    often.wait_for_hits(25);
    assert!(
        seldom.hits() <= 1,
        "{} checks within an hour",
        seldom.hits()
    );
    drop(gateway);
}
