//! What a tenant gets that wants more than its quota, one test a quota; the other tenant gets all it wants.

use std::fs;

use serde_json::Value;
use switchyard_tests::{
    Client, Gateway, Member, Request, Setup, eventually, guests, scripts, wait::DEADLINE,
};

use crate::{
    conf::{balancer, entry},
    tenants::{OPERATOR, at, claims, tenant_site, tenant_status, wait_for},
};

/// `acme` with these quotas and this file, and `beta` without any.
fn quoted(quota: &str, acme: &str, beta: &Member) -> Setup {
    let text = format!(
        "{OPERATOR}[each_tenant]\negress = [\"127.0.0.1\"]\nrequests = 0\n[tenant.acme]\n{quota}\n"
    );
    Setup::new(text).file("tenants/acme/site.toml", acme).file(
        "tenants/beta/site.toml",
        tenant_site("beta.example", beta, ""),
    )
}

fn usage(gateway: &Gateway, tenant: &str) -> Value {
    tenant_status(gateway, tenant)["usage"].clone()
}

fn get(client: &mut Client, host: &str) -> switchyard_tests::Response {
    client.ask(&Request::get("/").host(host))
}

#[test]
fn requests_a_second() {
    let a = Member::start("a", scripts::name());
    let gateway = quoted("requests = 5", &tenant_site("acme.example", &a, ""), &a).start();
    let mut client = gateway.connect();
    let answers: Vec<_> = (0..40).map(|_| get(&mut client, "acme.example")).collect();
    let good = answers.iter().filter(|r| r.status == 200).count();
    assert!((5..40).contains(&good), "{good}");
    for refused in answers.iter().filter(|r| r.status != 200) {
        assert_eq!(
            (refused.status, refused.field("retry-after")),
            (429, Some("1"))
        );
    }
    // Another tenant on the same connection is not meant.
    for _ in 0..40 {
        assert_eq!(get(&mut client, "beta.example").status, 200);
    }
    let over = usage(&gateway, "acme")["over_requests"].as_u64().unwrap();
    assert_eq!(over, 40 - good as u64);
    gateway.wait_for_log(&["tenant=acme", "over its quota", "requests a second"]);
    // It comes back by itself.
    eventually("the rate lets one through", DEADLINE, || {
        (at(&gateway, "acme.example") == "a").then_some(())
    });
}

#[test]
fn requests_in_flight() {
    let (a, b) = (
        Member::start("a", scripts::held()),
        Member::start("b", scripts::name()),
    );
    let gateway = quoted("in_flight = 1", &tenant_site("acme.example", &a, ""), &b).start();
    let mut held = gateway.connect();
    held.send(Request::get("/").host("acme.example").bytes());
    a.wait_for_note("holding");
    let refused = gateway.ask(&Request::get("/").host("acme.example"));
    assert_eq!(
        (refused.status, refused.field("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(at(&gateway, "beta.example"), "b");
    let used = usage(&gateway, "acme");
    assert_eq!(
        (&used["in_flight"], &used["over_in_flight"]),
        (&1.into(), &1.into())
    );
    a.open_gate();
    assert_eq!(held.response().text(), "a");
    wait_for(&gateway, "acme.example", "a");
}

#[test]
fn connections_to_members() {
    let m = ["a", "b"].map(|name| Member::start(name, scripts::held()));
    let free = Member::start("free", scripts::name());
    let members = [entry(&m[0], ""), entry(&m[1], "")];
    let acme = format!(
        "[[vhost]]\nname = \"acme.example\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n{}",
        balancer("app", "", &members)
    );
    let gateway = quoted("connections = 1", &acme, &free).start();
    // While it is busy there is none for the other member either.
    let mut held = gateway.connect();
    held.send(Request::get("/").host("acme.example").bytes());
    let holding = eventually("somebody holds it", DEADLINE, || {
        m.iter().position(|m| m.hits() > 0)
    });
    assert_eq!(at(&gateway, "acme.example"), "503");
    assert_eq!(at(&gateway, "beta.example"), "free");
    gateway.wait_for_log(&["tenant=acme", "connections that tenant `acme` may have"]);
    m.iter().for_each(Member::open_gate);
    assert_eq!(held.response().status, 200);
    // Once it is idle it makes room.
    let other = m[1 - holding].name().to_owned();
    eventually("the other member is reached", DEADLINE, || {
        (at(&gateway, "acme.example") == other).then_some(())
    });
    assert_eq!(usage(&gateway, "acme")["connections"], 1);
    assert!(
        usage(&gateway, "acme")["over_connections"]
            .as_u64()
            .unwrap()
            > 0
    );
}

/// Folders that the gateway has the kernel watch.
fn watches(gateway: &Gateway) -> usize {
    let all = fs::read_dir(format!("/proc/{}/fdinfo", gateway.pid())).unwrap();
    // One that was closed meanwhile is none of them.
    let all = all.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let own = |text: String| {
        text.lines()
            .filter(|line| line.starts_with("inotify "))
            .count()
    };
    all.map(own).sum()
}

#[test]
fn folders_that_are_watched() {
    let (a, b) = Member::pair();
    let site = |folders: &str| {
        tenant_site("acme.example", &a, "lbmethod = \"policy:p\"")
            + &format!("[policy.p]\nsource = \"{folders}p.wasm\"\n")
    };
    let deep = "d/".repeat(500);
    let gateway = quoted("folders = 3", &site("x/y/z/"), &b)
        .file("tenants/acme/x/y/z/p.wasm", guests::component("balancer"))
        .file(
            &format!("tenants/acme/{deep}p.wasm"),
            guests::component("balancer"),
        )
        .start();
    assert_eq!(at(&gateway, "acme.example"), "a");
    gateway.replace_file("tenants/acme/site.toml", site(&deep));
    let error = || tenant_status(&gateway, "acme")["last_error"]["what"].to_string();
    gateway.wait_for_status("it is refused", |_| error().contains("quota `folders`"));
    // The other tenant's changes are seen, and there is room for them.
    let other = tenant_site("new.example", &b, "");
    gateway.replace_file("tenants/beta/site.toml", other);
    wait_for(&gateway, "new.example", "b");
    assert_eq!(at(&gateway, "acme.example"), "a", "what it had serves");
    // All are set anew at each pass: for a moment there are fewer.
    let most = (0..100).map(|_| watches(&gateway)).max();
    assert!(most < Some(30), "{most:?}");
    // Mended, it serves again; so it does with a larger quota, when it is read again.
    gateway.replace_file("tenants/acme/site.toml", site("x/y/z/"));
    gateway.wait_for_status("it is mended", |_| error() == "null");
    gateway.replace_file("tenants/acme/site.toml", site(&deep));
    gateway.wait_for_status("it is refused again", |_| error() != "null");
    let text = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(
        "switchyard.toml",
        text.replace("folders = 3", "folders = 999"),
    );
    gateway.wait_for_status("it may have them", |_| error() == "null");
    eventually("all are watched", DEADLINE, || {
        (watches(&gateway) >= 500).then_some(())
    });
}

/// `acme` with one policy that chooses the first of two members.
fn with_policy(quota: &str, keys: &str) -> (Vec<Member>, Setup) {
    let m: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| Member::start(name, scripts::name()))
        .collect();
    let acme = format!(
        "[[vhost]]\nname = \"acme.example\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n{}\
         [policy.p]\nsource = \"p.wasm\"\nconfig = {{ does = \"first\" }}\n{keys}\n",
        balancer(
            "app",
            "lbmethod = \"policy:p\"",
            &[entry(&m[0], ""), entry(&m[1], "")]
        )
    );
    let setup = quoted(quota, &acme, &m[0]);
    (
        m,
        setup.file("tenants/acme/p.wasm", guests::component("balancer")),
    )
}

#[test]
fn cpu_time_of_policies() {
    let (_m, setup) = with_policy("policy_cpu = \"1us\"", "");
    let gateway = setup.start();
    // Once it is spent the policy is not asked, and its fallback takes turns.
    wait_for(&gateway, "acme.example", "b");
    assert!(usage(&gateway, "acme")["policy_cpu_us"].as_u64().unwrap() > 0);
    // With enough of it there is only the first.
    let (_m, setup) = with_policy("policy_cpu = \"0s\"", "");
    let gateway = setup.start();
    for _ in 0..100 {
        assert_eq!(at(&gateway, "acme.example"), "a");
    }
}

/// A tenant that is left out at start, and what is said of it.
fn left_out(setup: Setup, words: &[&str]) {
    let gateway = setup.start();
    let mut words = words.to_vec();
    words.push("tenant=acme");
    gateway.wait_for_log(&words);
    assert_eq!(at(&gateway, "acme.example"), "404");
    assert_eq!(at(&gateway, "beta.example"), "a");
    assert_eq!(tenant_status(&gateway, "acme")["state"], "left_out");
}

#[test]
fn memory_of_policies() {
    // One instance may have 32 MiB unless it says less.
    let (_m, setup) = with_policy("policy_memory = \"8MiB\"", "limits = { memory = \"6MiB\" }");
    let gateway = setup.start();
    assert_eq!(at(&gateway, "acme.example"), "a");
    let (_m, setup) = with_policy("policy_memory = \"4MiB\"", "limits = { memory = \"6MiB\" }");
    left_out(
        setup,
        &["policy.p.limits.memory", "beyond what the operator lets"],
    );
}

#[test]
fn memory_of_all_its_policies_together() {
    let (_m, setup) = with_policy(
        "policy_memory = \"8MiB\"",
        "limits = { memory = \"6MiB\" }\n[policy.q]\nsource = \"p.wasm\"\nlimits = { memory = \"6MiB\" }",
    );
    let acme = std::fs::read_to_string(setup.dir().join("tenants/acme/site.toml")).unwrap();
    let both = acme.replace("\"policy:p\"", "[\"policy:p\", \"policy:q\"]");
    left_out(
        setup.file("tenants/acme/site.toml", both),
        &["quota of 8388608", "policy_memory"],
    );
}

#[test]
fn number_of_policies() {
    let (_m, setup) = with_policy("policies = 1", "[policy.q]\nsource = \"p.wasm\"");
    left_out(setup, &["site.toml:", "2 policies are more than the 1"]);
}

#[test]
fn size_of_a_policy() {
    let (_m, setup) = with_policy("policy_size = \"1KiB\"", "");
    left_out(setup, &["policy `p`", "may have 1024"]);
}

#[test]
fn a_new_quota_counts_at_once_and_for_who_is_in_service() {
    let a = Member::start("a", scripts::name());
    let mut gateway = quoted("", &tenant_site("acme.example", &a, ""), &a).start();
    let text = |quota: &str| {
        format!(
            "{OPERATOR}[each_tenant]\negress = [\"127.0.0.1\"]\nrequests = 0\n[tenant.acme]\n{quota}\n"
        )
    };
    assert_eq!(at(&gateway, "acme.example"), "a");
    // Even where its files do not work any more.
    gateway.replace_file("tenants/acme/site.toml", "broken");
    gateway.wait_for_log(&["tenant=acme", "the one in service stays"]);
    gateway.rewrite(text("requests = 1"));
    wait_for(&gateway, "acme.example", "429");
    gateway.rewrite(text("egress = [\"10.0.0.0/8\"]"));
    wait_for(&gateway, "acme.example", "502");
    assert_eq!(at(&gateway, "beta.example"), "a");
    // A host that the operator takes away is gone, whatever else is in service.
    gateway.rewrite(text("hosts = [\"*.acme.example\"]"));
    wait_for(&gateway, "acme.example", "404");
    gateway.wait_for_log(&["tenant=acme", "not among the hosts"]);
    gateway.rewrite(text(""));
    claims(&gateway, "acme", "acme.example", &a);
    wait_for(&gateway, "acme.example", "a");
}
