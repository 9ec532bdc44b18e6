//! What the keys of balancers and members mean.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{LEAST, TWO, made, said, taken};
use crate::snapshot::{Balancer, PolicyRef, Status, StatusRange};

fn balancer(keys: &str) -> Arc<Balancer> {
    let text = format!("{LEAST}[balancer.app]\n{keys}\n");
    Arc::clone(&taken(&text).snapshot.balancers["app"])
}

#[test]
fn one_member_more_or_less_changes_the_number_of_tries() {
    assert_eq!(balancer(TWO).max_attempts, 1);
    assert_eq!(
        balancer("members = [{ url = \"http://a\" }]").max_attempts,
        0
    );
    assert_eq!(balancer(&format!("{TWO}\nmaxattempts = 5")).max_attempts, 5);
}

#[test]
fn members_are_normalised_and_inherit() {
    let app = balancer(
        "retry = \"5s\"\nmax_connections = 9\nstatus = \"standby\"\nmembers = [{ url = \"http://A/\", retry = \"0s\", \
         loadfactor = 2.345, max_connections = 0, status = \"ok\", labels = { zone = \"x\", a = \"y\" } }]\n\
         [[balancer.app.member]]\nurl = \"http://[::1]:81/x/\"\n",
    );
    let [first, second] = &app.members[..] else {
        panic!("{app:?}")
    };
    assert_eq!(
        (&*first.id.0, first.port, &*first.base_path),
        ("http://a:80", 80, "")
    );
    assert_eq!(
        (first.retry, first.weight, first.max_connections),
        (Duration::ZERO, 234, None)
    );
    assert_eq!(
        first.labels,
        [
            ("zone".to_owned(), "x".to_owned()),
            ("a".to_owned(), "y".to_owned())
        ]
    );
    assert_eq!(
        (&*second.id.0, &*second.host, &*second.base_path),
        ("http://[::1]:81/x", "::1", "/x")
    );
    assert_eq!(
        (second.retry, second.weight, second.max_connections),
        (Duration::from_secs(5), 100, Some(9))
    );
    assert_eq!((first.status, second.status), (Status::Ok, Status::Standby));
}

#[test]
fn decimals_are_cut_off_not_rounded_and_not_lost() {
    for (written, weight) in [
        ("1", 100),
        ("2.3", 230),
        ("1.15", 115),
        ("99.999", 9999),
        ("100", 10_000),
    ] {
        let app = balancer(&format!(
            "loadfactor = {written}\nmembers = [{{ url = \"http://a\" }}]"
        ));
        assert_eq!(app.members[0].weight, weight, "{written}");
    }
}

#[test]
fn stickiness_becomes_the_configuration_of_jsessionid() {
    let config = |keys: &str| {
        let sticky = balancer(&format!("{keys}\n{TWO}"));
        made(sticky.affinity.first().expect("sticky"))
    };
    let standard = json!({
        "cookie": "JSESSIONID", "parameter": "jsessionid", "other_parameter": "", "separator": ".", "failover": true,
        "route_cookie": null, "semicolon_delimits": true,
    });
    assert_eq!(
        config("stickysession = \"JSESSIONID|jsessionid\""),
        ("jsessionid", standard.clone())
    );
    assert_eq!(
        config("affinity = \"jsessionid\""),
        ("jsessionid", standard)
    );
    let (_, one_name) =
        config("stickysession = \"SID\"\nstickysessionsep = \"Off\"\nfailover = false");
    assert_eq!(
        (&one_name["cookie"], &one_name["parameter"]),
        (&json!("SID"), &json!("SID"))
    );
    assert_eq!(
        (&one_name["separator"], &one_name["failover"]),
        (&json!(""), &json!(false))
    );
    let (_, servlet) = config("stickysession = \"JSESSIONID\"");
    assert_eq!(
        (&servlet["parameter"], &servlet["other_parameter"]),
        (&json!("JSESSIONID"), &json!("jsessionid"))
    );
    let (_, own) = config("route_cookie = \"ROUTEID\"");
    assert_eq!(
        (&own["cookie"], &own["route_cookie"]),
        (
            &json!("ROUTEID"),
            &json!({ "name": "ROUTEID", "path": "/" })
        )
    );
    let (_, both) = config("stickysession = \"S\"\nroute_cookie = { path = \"/app\" }");
    assert_eq!(
        both["route_cookie"],
        json!({ "name": "ROUTEID", "path": "/app" })
    );
    assert_eq!(balancer(TWO).affinity, []);
}

#[test]
fn affinity_of_ones_own_takes_no_settings_of_jsessionid() {
    let text = format!(
        "{LEAST}[policy.own]\nsource = \"own.wasm\"\n[balancer.app]\naffinity = \"policy:own\"\nfailover = true\n{TWO}\n"
    );
    assert!(
        said(&text).contains("balancer.app.failover: failover is a setting of jsessionid"),
        "{}",
        said(&text)
    );
    let chain = text.replace("\"policy:own\"", "[\"policy:own\", \"jsessionid\"]");
    assert_eq!(taken(&chain).snapshot.balancers["app"].affinity.len(), 2);
    let app = taken(&text.replace("failover = true\n", "")).snapshot;
    assert_eq!(
        app.balancers["app"].affinity,
        [PolicyRef::Named("own".to_owned())]
    );
}

#[test]
fn statuses_may_be_one_or_many() {
    let fail = |list: &str| {
        balancer(&format!("{TWO}\nfailonstatus = {list}"))
            .fail_on_status
            .clone()
    };
    let range = |first, last| StatusRange { first, last };
    assert_eq!(fail("500"), [range(500, 500)]);
    assert_eq!(
        fail("[500, \"502-504\"]"),
        [range(500, 500), range(502, 504)]
    );
    assert_eq!(fail("\"5xx\""), [range(500, 599)]);
}

#[test]
fn chains_keep_their_order() {
    let text = format!(
        "{LEAST}[policy.own]\nsource = \"own.wasm\"\n[balancer.app]\nlbmethod = [\"policy:own\", \"bybusyness\"]\n{TWO}\n"
    );
    let chain = &taken(&text).snapshot.balancers["app"].lbmethod;
    assert_eq!(chain[0], PolicyRef::Named("own".to_owned()));
    assert_eq!(made(&chain[1]), ("bybusyness", json!({})));
}

#[test]
fn balancers_that_cannot_serve_are_refused() {
    for (keys, part) in [
        ("", "`members` is missing"),
        ("members = []", "can serve nothing"),
        (
            "members = [{ url = \"http://a\" }, { url = \"http://A:80/\" }]",
            "already a member",
        ),
        (
            "members = [{ url = \"http://a\", route = \"x\", redirect = \"x\" }]",
            "its own sessions",
        ),
    ] {
        let said = said(&format!("{LEAST}[balancer.app]\n{keys}\n"));
        assert!(said.contains(part), "{keys}: {said}");
    }
    let twice = format!("{LEAST}[balancer.app]\n{TWO}\n[balancer.APP]\n{TWO}\n");
    assert!(
        said(&twice).contains("balancer.APP: another balancer has this name"),
        "{}",
        said(&twice)
    );
    let slash = format!("{LEAST}[balancer.\"a/b\"]\n{TWO}\n");
    assert!(
        said(&slash).contains("not a balancer's name"),
        "{}",
        said(&slash)
    );
}

#[test]
fn two_texts_that_mean_the_same_are_equal() {
    let one = taken(&format!("{LEAST}[balancer.app]\n{TWO}\n")).snapshot;
    let other = taken(&format!(
        "# a comment\n{LEAST}[balancer.app]\nretry = \"1m\"\n{TWO}\n"
    ))
    .snapshot;
    assert_eq!(one, other);
}

#[test]
fn a_policy_is_not_tried_against_itself() {
    let of = |keys: &str| {
        let policies = "[policy.own]\nsource = \"a\"\n[policy.new]\nsource = \"b\"\n";
        said(&format!("{LEAST}[balancer.app]\n{keys}\n{TWO}\n{policies}"))
    };
    let own = "policy:own is in service here";
    for (service, candidate, at) in [
        (
            "lbmethod = \"policy:own\"",
            "shadow = \"policy:own\"",
            "shadow",
        ),
        (
            "lbmethod = [\"policy:own\", \"byrequests\"]",
            "shadow = \"own\"",
            "shadow",
        ),
        (
            "lbmethod = \"policy:own\"",
            "canary = { policy = \"own\" }",
            "canary.policy",
        ),
        (
            "affinity = \"policy:own\"",
            "shadow = { policy = \"policy:own\" }",
            "shadow.policy",
        ),
    ] {
        let found = of(&format!("{service}\n{candidate}"));
        assert!(found.contains("switchyard.toml:8:"), "{found}");
        let due = format!("balancer.app.{at}: {own}");
        assert!(found.contains(&due), "{service}, {candidate}: {found}");
    }
    for well_meant in [
        "lbmethod = \"policy:own\"\ncanary = { policy = \"new\" }",
        // It is the second there, and tried as the first.
        "lbmethod = [\"byrequests\", \"policy:own\"]\nshadow = \"policy:own\"",
    ] {
        let found = of(well_meant);
        assert!(
            !found.contains("is in service here"),
            "{well_meant}: {found}"
        );
    }
}
