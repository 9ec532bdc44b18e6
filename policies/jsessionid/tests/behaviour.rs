//! What the vectors do not cover: several cookies, the route cookie, triggers, and a
//! configuration that is wrong.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_jsessionid::{JSessionId, Settings};
use switchyard_policy::{
    Affinity, Concurrency, Edit, Hold, Hook, Membership, Trigger, config,
    testing::{self, Host},
};

fn start(config: &str, routes: &[&str]) -> JSessionId {
    let mut policy: JSessionId = testing::start(config).unwrap();
    let members = routes
        .iter()
        .map(|route| testing::member(&format!("http://{route}:80"), route));
    policy.members_changed(1, members.collect());
    policy
}

fn route(route: &str) -> Option<Hold> {
    Some(Hold::route(route))
}

#[test]
fn of_several_cookies_the_first_whose_route_a_member_carries_counts() {
    let mut policy = start("{}", &["w1", "w2"]);
    let cases = [
        ("JSESSIONID=a; JSESSIONID=b.w2", route("w2")),
        (
            "JSESSIONID=a.old; JSESSIONID=b.w2; JSESSIONID=c.w1",
            route("w2"),
        ),
        ("JSESSIONID=a.old; JSESSIONID=b.older", route("old")),
        ("JSESSIONID=a; JSESSIONID=", None),
        ("JSESSIONID=a.", None),
    ];
    for (line, wanted) in cases {
        let host = Host::new();
        host.header("cookie", line);
        assert_eq!(host.run(|| policy.locate()), wanted, "{line}");
    }
}

#[test]
fn the_parameters_other_name_is_looked_for_second() {
    let mut policy = start(
        r#"{"parameter": "JSESSIONID", "other_parameter": "jsessionid"}"#,
        &["w1", "w2"],
    );
    let cases = [
        ("/a;jsessionid=1.w1", route("w1")),
        ("/a?jsessionid=1.w1", route("w1")),
        ("/a;jsessionid=1.w1;JSESSIONID=1.w2", route("w2")),
        ("/a;Jsessionid=1.w1", None),
    ];
    for (path, wanted) in cases {
        let host = Host::new();
        host.path(path);
        assert_eq!(host.run(|| policy.locate()), wanted, "{path}");
    }
}

#[test]
fn before_the_members_are_known_the_first_route_counts() {
    let mut policy: JSessionId = testing::start("{}").unwrap();
    let host = Host::new();
    host.path("/a;jsessionid=1.w1").cookie("JSESSIONID", "1.w2");
    assert_eq!(host.run(|| policy.locate()), route("w1"));
}

#[test]
fn octets_that_are_no_text_name_no_route() {
    let mut policy = start("{}", &["w1"]);
    let host = Host::new();
    host.header("cookie", b"JSESSIONID=1.\xff\xfe");
    assert_eq!(host.run(|| policy.locate()), None);
}

#[test]
fn a_semicolon_ends_a_query_value_unless_told_otherwise() {
    let host = Host::new();
    host.path("/a?jsessionid=1.w1;v=2");
    let mut policy = start("{}", &["w1"]);
    assert_eq!(host.run(|| policy.locate()), route("w1"));
    let mut policy = start(r#"{"semicolon_delimits": false}"#, &["w1"]);
    assert_eq!(host.run(|| policy.locate()), route("w1;v=2"));
}

#[test]
fn the_url_can_be_left_out() {
    let host = Host::new();
    host.path("/a;jsessionid=1.w1?jsessionid=1.w1");
    let mut policy = start(r#"{"parameter": ""}"#, &["w1"]);
    assert_eq!(host.run(|| policy.locate()), None);
    host.next_request().path("/a?jsessionid=1.w1");
    let mut policy = start(r#"{"query": false}"#, &["w1"]);
    assert_eq!(host.run(|| policy.locate()), None);
}

const ROUTE_COOKIE: &str = r#"{"route_cookie": {"name": "ROUTEID", "path": "/app"}}"#;

#[test]
fn the_route_cookie_is_set_on_first_contact_and_after_a_move_only() {
    let mut policy = start(ROUTE_COOKIE, &["w1", "w2"]);
    let set = |route: &str| {
        let line = format!("ROUTEID=.{route}; Path=/app; HttpOnly; SameSite=Lax");
        vec![Edit::append("set-cookie", line)]
    };
    let host = Host::new();
    host.response(200, "http://w1:80", "w1");
    assert_eq!(host.run(|| policy.bind()), set("w1"), "first contact");
    host.cookie("ROUTEID", ".w1");
    assert_eq!(host.run(|| policy.bind()), vec![], "the client has it");
    host.response(200, "http://w2:80", "w2").moved(true);
    assert_eq!(host.run(|| policy.bind()), set("w2"), "moved");
    host.response(200, "http://w3:80", "");
    assert_eq!(
        host.run(|| policy.bind()),
        vec![],
        "a member without a route"
    );
    host.response(200, "http://w3:80", "w;3");
    assert_eq!(
        host.run(|| policy.bind()),
        vec![],
        "no cookie can hold this route"
    );
}

#[test]
fn the_route_cookie_leads_back_and_the_session_comes_first() {
    let mut policy = start(ROUTE_COOKIE, &["w1", "w2"]);
    let host = Host::new();
    host.cookie("ROUTEID", ".w1");
    assert_eq!(host.run(|| policy.locate()), route("w1"));
    host.cookie("JSESSIONID", "1.w2");
    assert_eq!(host.run(|| policy.locate()), route("w2"));
    let mut whole = start(
        r#"{"separator": "", "route_cookie": {"name": "R"}}"#,
        &["w1"],
    );
    host.next_request().response(200, "http://w1:80", "w1");
    let line = "R=w1; Path=/; HttpOnly; SameSite=Lax";
    assert_eq!(
        host.run(|| whole.bind()),
        vec![Edit::append("set-cookie", line)]
    );
    host.cookie("R", "w1");
    assert_eq!(host.run(|| whole.locate()), route("w1"));
}

fn triggers(text: &str, hook: Hook) -> Vec<Trigger> {
    let settings: Settings = config::read(text).unwrap();
    let descriptor = JSessionId::describe(&settings);
    assert_eq!(descriptor.concurrency, Concurrency::Replicated);
    let of_hook = descriptor
        .triggers
        .into_iter()
        .filter(|(of, _)| *of == hook);
    of_hook.map(|(_, trigger)| trigger).collect()
}

#[test]
fn requests_without_a_session_and_responses_cost_nothing_where_possible() {
    let cookie = |name: &str| Trigger::Cookie(name.into());
    let parameter = Trigger::PathParameter("jsessionid".into());
    let query = Trigger::QueryParameter("jsessionid".into());
    assert_eq!(
        triggers("{}", Hook::Locate),
        [cookie("JSESSIONID"), parameter.clone(), query]
    );
    assert_eq!(triggers("{}", Hook::Bind).len(), 1, "never");
    assert_eq!(triggers(ROUTE_COOKIE, Hook::Bind), [], "always");
    let config = r#"{"query": false, "route_cookie": {"name": "R"}}"#;
    let wanted = [cookie("JSESSIONID"), cookie("R"), parameter];
    assert_eq!(triggers(config, Hook::Locate), wanted);
    let config = r#"{"query": false, "other_parameter": "sid"}"#;
    let other = Trigger::PathParameter("sid".into());
    assert!(triggers(config, Hook::Locate).contains(&other));
    let config = r#"{"parameter": ""}"#;
    assert_eq!(triggers(config, Hook::Locate), [cookie("JSESSIONID")]);
}

#[test]
fn every_mistake_in_the_configuration_is_reported() {
    let text = r#"{"cookie": "a b", "separator": "::", "failover": "yes",
        "route_cookie": {"path": "x;"}, "cookies": 1}"#;
    let problems = config::read::<Settings>(text).unwrap_err();
    let mut at: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
    at.sort_unstable();
    let wanted = [
        "/cookie",
        "/cookies",
        "/failover",
        "/route_cookie/name",
        "/route_cookie/path",
        "/separator",
    ];
    assert_eq!(at, wanted);
    assert!(config::read::<Settings>(r#"{"separator": ";"}"#).is_err());
    assert!(config::read::<Settings>(r#"{"route_cookie": null}"#).is_ok());
}
