//! Addresses: members by name, several listeners, versions kept over a restart.

use switchyard_tests::{Client, Gateway, Member, Request, Setup, guests, scripts};

use crate::{
    conf::{balancer, entry, everything_to, site},
    policies::policy_status,
};

#[test]
fn a_member_may_be_given_by_name() {
    let a = Member::start("a", scripts::name());
    let text = everything_to(&[&a], "").replace("http://127.0.0.1:", "http://localhost:");
    let gateway = Gateway::start(text);
    assert_eq!(gateway.get("/").text(), "a");
    assert_eq!(
        a.last().field("host"),
        Some(format!("localhost:{}", a.addr().port()).as_str())
    );
    let status = gateway.member_status("cl", "a");
    assert!(
        status["addresses"].to_string().contains("127.0.0.1"),
        "{status}"
    );
}

#[test]
fn a_name_that_does_not_resolve_is_a_member_in_trouble_and_nothing_more() {
    let a = Member::start("a", scripts::name());
    let nobody = "{ url = \"http://no-such-host.invalid:80\", route = \"nobody\" }".to_owned();
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")])
            + &balancer("cl", "", &[nobody, entry(&a, "route = \"a\"")]),
    );
    for _ in 0..4 {
        assert_eq!(gateway.get("/").text(), "a");
        assert_eq!(gateway.ask(&Request::post("/", "x")).status, 200);
    }
}

#[test]
fn every_listener_serves_every_vhost() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(everything_to(&[&a], ""))
        .listeners("[[listener]]\nbind = \"127.0.0.1:0\"\n[[listener]]\nbind = \"127.0.0.1:0\"\n")
        .start();
    assert_eq!(gateway.listeners().len(), 2);
    for addr in gateway.listeners() {
        assert_eq!(Client::connect(*addr).get("/").text(), "a");
    }
}

#[test]
fn the_history_of_a_policy_outlives_the_process_where_a_folder_is_given() {
    let a = Member::start("a", scripts::name());
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state").display().to_string();
    let text = site(&[("/", "balancer = \"cl\"\nrewrite = \"policy:r\"")])
        + &balancer("cl", "", &[entry(&a, "")])
        + "[policy.r]\nsource = \"r.wasm\"\n";
    let start = |mark: &str| {
        let setup = Setup::new(text.clone()).top(&format!("state_dir = {state:?}"));
        setup
            .file("r.wasm", guests::marked("rewriter", mark))
            .start()
    };
    let first = start("v1");
    let digest = policy_status(&first, "r")["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    first.terminate();
    let second = start("v2");
    let status = policy_status(&second, "r");
    assert_ne!(status["digest"].as_str(), Some(digest.as_str()));
    assert!(
        status["history"].to_string().contains(&digest),
        "{status:#}"
    );
}

#[test]
fn a_policy_whose_file_is_missing_is_said_so_at_the_start() {
    let a = Member::start("a", scripts::name());
    let text =
        everything_to(&[&a], "lbmethod = \"policy:p\"") + "[policy.p]\nsource = \"none.wasm\"\n";
    let (status, log) = Setup::new(text).try_start().expect_err("it must not start");
    assert!(!status.success());
    assert!(log.join("\n").contains("none.wasm"), "{log:?}");
}

#[test]
fn a_module_that_is_larger_than_allowed_is_refused() {
    let a = Member::start("a", scripts::name());
    let text = everything_to(&[&a], "lbmethod = \"policy:p\"")
        + "[policy.p]\nsource = \"p.wasm\"\nlimits = { module_size = \"4KiB\" }\n";
    let setup = Setup::new(text).file("p.wasm", guests::component("balancer"));
    let (status, log) = setup.try_start().expect_err("it must not start");
    assert!(!status.success());
    assert!(
        log.join("\n").contains("p.wasm") || log.join("\n").contains("policy"),
        "{log:?}"
    );
}
