//! Tenants: what is theirs, what they are held to, and that one is nothing to the others.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::Value;
use switchyard_tests::{
    Client, Gateway, Member, Request, SetOnDrop, Setup, command, eventually, guests, page::Page,
    scripts, wait::DEADLINE,
};

use crate::conf::{balancer, entry};

/// Whoever claims no host of a tenant's is told 404 by this one.
pub const OPERATOR: &str = "[[vhost]]\nname = \"operator.example\"\n";

/// Members of these tests are on this machine, which no tenant may reach unless the operator says so.
pub const LOCAL: &str = "[each_tenant]\nrequests = 0\negress = [\"127.0.0.1\"]\n";

/// A tenant's file: one vhost, all of it to one member.
pub fn tenant_site(host: &str, member: &Member, keys: &str) -> String {
    format!(
        "[[vhost]]\nname = \"{host}\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n{}",
        balancer("app", keys, &[entry(member, "route = \"a\"")])
    )
}

/// The tenant's file becomes one that says so.
pub fn claims(gateway: &Gateway, tenant: &str, host: &str, member: &Member) {
    let file = format!("tenants/{tenant}/site.toml");
    gateway.replace_file(&file, tenant_site(host, member, ""));
}

/// Who answers for this host.
pub fn at(gateway: &Gateway, host: &str) -> String {
    let response = gateway.ask(&Request::get("/").host(host));
    match response.status {
        200 => response.text(),
        status => status.to_string(),
    }
}

#[track_caller]
pub fn wait_for(gateway: &Gateway, host: &str, answer: &str) {
    let mut last = String::new();
    eventually(&format!("{host} answers {answer}"), DEADLINE, || {
        last = at(gateway, host);
        (last == answer).then_some(())
    });
}

/// A tenant's part of the status.
pub fn tenant_status(gateway: &Gateway, name: &str) -> Value {
    let status = gateway.status();
    let tenants = status["tenants"].as_array().cloned().unwrap_or_default();
    tenants
        .into_iter()
        .find(|tenant| tenant["name"] == name)
        .unwrap_or_else(|| panic!("no tenant {name} in {status:#}"))
}

/// Two tenants with a member each, which answers with its name.
fn acme_and_beta() -> (Member, Member, Setup) {
    let (a, b) = Member::pair();
    let setup = Setup::new(format!("{OPERATOR}{LOCAL}"))
        .file(
            "tenants/acme/site.toml",
            tenant_site("acme.example", &a, ""),
        )
        .file(
            "tenants/beta/site.toml",
            tenant_site("beta.example", &b, ""),
        );
    (a, b, setup)
}

#[test]
fn a_tenant_is_served_from_its_own_folder() {
    let (_a, _b, setup) = acme_and_beta();
    let gateway = setup.start();
    assert_eq!(at(&gateway, "acme.example"), "a");
    assert_eq!(at(&gateway, "beta.example"), "b");
    assert_eq!(at(&gateway, "other.example"), "404");
    let status = gateway.status();
    assert_eq!(
        status["balancers"]["acme:app"]["tenant"], "acme",
        "{status:#}"
    );
    assert_eq!(
        status["balancers"]["beta:app"]["tenant"], "beta",
        "{status:#}"
    );
    assert_eq!(tenant_status(&gateway, "acme")["state"], "serving");
}

#[test]
fn a_broken_file_keeps_what_its_tenant_has_and_is_nothing_to_the_others() {
    let (_a, _b, setup) = acme_and_beta();
    let b2 = Member::start("b2", scripts::name());
    let gateway = setup.start();
    gateway.replace_file("tenants/acme/site.toml", "[[vhost]]\nname = \"acme.example");
    claims(&gateway, "beta", "beta.example", &b2);
    wait_for(&gateway, "beta.example", "b2");
    assert_eq!(at(&gateway, "acme.example"), "a");
    let trouble = tenant_status(&gateway, "acme")["last_error"]["what"].to_string();
    assert!(trouble.contains("site.toml"), "{trouble}");
    gateway.wait_for_log(&["tenant=acme", "the one in service stays"]);
    assert!(tenant_status(&gateway, "beta")["last_error"].is_null());
    // Mended.
    claims(&gateway, "acme", "acme.example", &b2);
    wait_for(&gateway, "acme.example", "b2");
    assert!(tenant_status(&gateway, "acme")["last_error"].is_null());
}

#[test]
fn a_tenant_that_is_broken_at_start_is_left_out_and_the_gateway_starts() {
    let (_a, _b, setup) = acme_and_beta();
    let gateway = setup
        .file(
            "tenants/acme/site.toml",
            "[[listener]]\nbind = \"0.0.0.0:1\"\n",
        )
        .file("tenants/No Name/site.toml", "")
        .start();
    assert_eq!(at(&gateway, "acme.example"), "404");
    assert_eq!(at(&gateway, "beta.example"), "b");
    gateway.wait_for_log(&["tenant=acme", "site.toml:1:3", "listener", "operator"]);
    gateway.wait_for_log(&["No Name", "not a tenant's name"]);
    assert_eq!(tenant_status(&gateway, "acme")["state"], "left_out");
}

#[test]
fn tenants_come_change_and_go_while_requests_of_others_go_on() {
    let (_a, b, setup) = acme_and_beta();
    let gateway = setup.start();
    let elected = |gateway: &Gateway| {
        gateway.member_status("beta:app", "a")["elected"]
            .as_u64()
            .unwrap()
    };
    let (over, failed, asked) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        let _over = SetOnDrop(&over);
        scope.spawn(|| {
            // One connection for all of it: a reload closes none.
            let mut client = Client::connect(gateway.addr());
            let request = Request::get("/").host("beta.example");
            while !over.load(Ordering::Relaxed) {
                let response = client.ask(&request);
                asked.fetch_add(1, Ordering::Relaxed);
                if response.status != 200 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for round in 0..4 {
            let name = format!("tenant{round}");
            let host = format!("{name}.example");
            let file = format!("tenants/{name}/site.toml");
            gateway.write_file(&file, tenant_site(&host, &b, ""));
            wait_for(&gateway, &host, "b");
            gateway.replace_file(&file, tenant_site(&format!("new.{host}"), &b, ""));
            wait_for(&gateway, &format!("new.{host}"), "b");
            assert_eq!(at(&gateway, &host), "404");
            fs::remove_dir_all(gateway.dir().join("tenants").join(&name)).unwrap();
            wait_for(&gateway, &format!("new.{host}"), "404");
        }
        over.store(true, Ordering::Relaxed);
    });
    let asked = asked.into_inner() as u64;
    assert!(asked > 20, "{asked}");
    assert_eq!(failed.into_inner(), 0, "of {asked}");
    // The counters are the same ones, and so are the connections: one request at a time needs one.
    assert!(elected(&gateway) >= asked);
    let member = gateway.member_status("beta:app", "a");
    assert_eq!(member["connections"]["open"], 1, "{member:#}");
    assert!(gateway.status()["tenants"].as_array().unwrap().len() == 2);
}

#[test]
fn whoever_has_a_host_keeps_it_and_the_first_by_name_gets_a_new_one() {
    let (a, b, setup) = acme_and_beta();
    let gateway = setup
        .file(
            "tenants/abel/site.toml",
            tenant_site("abel.example", &a, ""),
        )
        .start();
    // `abel` comes before `beta`, which has it.
    claims(&gateway, "abel", "beta.example", &a);
    gateway.wait_for_log(&["tenant=abel", "`beta`", "beta.example"]);
    assert_eq!(at(&gateway, "beta.example"), "b");
    assert_eq!(at(&gateway, "abel.example"), "a", "its last good one");
    // A wildcard that would take it away is the same.
    let wide = tenant_site("abel.example", &a, "").replace(
        "name = \"abel.example\"",
        "name = \"abel.example\"\naliases = [\"*.sub.beta.example\"]",
    );
    let narrow = tenant_site("x.sub.beta.example", &b, "");
    gateway.write_file("tenants/carl/site.toml", narrow);
    wait_for(&gateway, "x.sub.beta.example", "b");
    gateway.replace_file("tenants/abel/site.toml", wide);
    gateway.wait_for_log(&["tenant=abel", "`carl`", "x.sub.beta.example"]);
    // It is free again, and whoever waits for it gets it.
    fs::remove_dir_all(gateway.dir().join("tenants/carl")).unwrap();
    wait_for(&gateway, "y.sub.beta.example", "a");
    // What the operator names is the operator's.
    claims(&gateway, "dora", "operator.example", &a);
    gateway.wait_for_log(&["tenant=dora", "the operator", "operator.example"]);
    assert_eq!(at(&gateway, "operator.example"), "404");
}

#[test]
fn two_that_claim_a_host_at_start_are_told_apart_by_name() {
    let (a, _b, setup) = acme_and_beta();
    let gateway = setup
        .file(
            "tenants/abel/site.toml",
            tenant_site("beta.example", &a, ""),
        )
        .start();
    assert_eq!(at(&gateway, "beta.example"), "a");
    assert_eq!(tenant_status(&gateway, "beta")["state"], "left_out");
    gateway.wait_for_log(&["tenant=beta", "`abel`", "beta.example"]);
}

#[test]
fn of_two_that_claim_a_host_at_start_the_one_that_the_operator_lists_gets_it() {
    let (a, b) = Member::pair();
    let listed = "[tenant.beta]\nhosts = [\"beta.example\"]\n";
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}{listed}"))
        .file(
            "tenants/abel/site.toml",
            tenant_site("beta.example", &a, ""),
        )
        .file(
            "tenants/beta/site.toml",
            tenant_site("beta.example", &b, ""),
        )
        .start();
    assert_eq!(at(&gateway, "beta.example"), "b");
    gateway.wait_for_log(&["tenant=abel", "`beta`", "beta.example"]);
}

#[test]
fn a_host_that_the_operator_lists_waits_for_its_tenant() {
    let (a, b) = Member::pair();
    let listed = "[tenant.beta]\nhosts = [\"*.beta.example\"]\n";
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}{listed}"))
        .file(
            "tenants/abel/site.toml",
            tenant_site("abel.example", &a, ""),
        )
        .start();
    assert_eq!(at(&gateway, "abel.example"), "a");
    // Beta is not there yet, and Abel may have whatever is nobody's.
    claims(&gateway, "abel", "www.beta.example", &a);
    gateway.wait_for_log(&["tenant=abel", "keeps", "www.beta.example", "`beta`"]);
    assert_eq!(at(&gateway, "abel.example"), "a");
    claims(&gateway, "beta", "www.beta.example", &b);
    wait_for(&gateway, "www.beta.example", "b");
}

#[test]
fn a_policy_that_cannot_be_taken_keeps_what_its_tenant_has() {
    let (_a, b, setup) = acme_and_beta();
    let with_policy = |config: &str| {
        tenant_site("acme.example", &b, "lbmethod = \"policy:p\"")
            + &format!("[policy.p]\nsource = \"p.wasm\"\nconfig = {config}\n")
    };
    let gateway = setup
        .file("tenants/acme/p.wasm", guests::component("rewriter"))
        .start();
    // A rewriter is no balancer; then one that is.
    gateway.replace_file("tenants/acme/site.toml", with_policy("{}"));
    gateway.wait_for_log(&["tenant=acme", "needs a policy that exports `balancer`"]);
    assert_eq!(at(&gateway, "acme.example"), "a");
    gateway.replace_file("tenants/acme/p.wasm", guests::component("balancer"));
    wait_for(&gateway, "acme.example", "b");
    // Its new configuration is refused by the policy itself.
    gateway.replace_file(
        "tenants/acme/site.toml",
        with_policy("{ does = \"refuse\" }"),
    );
    gateway.wait_for_log(&["tenant=acme", "the configuration is refused"]);
    assert_eq!(at(&gateway, "acme.example"), "b");
    assert_eq!(at(&gateway, "beta.example"), "b");
    let status = gateway.status();
    let policies = status["policies"].as_array().unwrap();
    assert!(
        policies
            .iter()
            .any(|p| p["name"] == "p" && p["tenant"] == "acme"),
        "{status:#}"
    );
}

const PAGE: Page<'_> = Page::new(include_str!("../../docs/tenants.md"));

#[test]
fn the_tenants_page_can_be_followed() {
    let shown = PAGE.blocks("toml");
    let m = ["w1", "w2", "b"].map(|name| Member::start(name, scripts::name()));
    // Ports that are free here, and members that are there.
    let operator = shown[0]
        .replace("127.0.0.1:9191", "127.0.0.1:0")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("10.1.0.0/16:8080", "127.0.0.1");
    let there = |text: &str| {
        let hosts = ["10.1.0.11:8080", "10.1.0.12:8080", "10.1.0.21:8080"];
        let pairs = hosts.iter().zip(&m);
        pairs.fold(text.to_owned(), |text, (host, member)| {
            text.replace(host, &member.addr().to_string())
        })
    };
    let setup = Setup::new("")
        .whole(&operator)
        .file("tenants/acme/site.toml", there(shown[1]));
    let file = setup.dir().join("switchyard.toml");
    fs::write(&file, &operator).unwrap();
    let checked = command::switchyard(&["check", file.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", checked.all());
    let gateway = setup.start();
    assert_eq!(at(&gateway, "www.acme.example"), "w1");
    assert_eq!(at(&gateway, "www.acme.example"), "w2");
    gateway.write_file(
        "tenants/beta/pick.wasm",
        guests::sdk_example("least_latency"),
    );
    gateway.write_file("tenants/beta/site.toml", there(shown[2]));
    wait_for(&gateway, "beta.example", "b");
    let admin = gateway.admin_addr().to_string();
    let status = command::switchyard(&["status", "--admin", &admin]).all();
    for words in [
        "acme",
        "beta",
        "serving",
        "balancer shop of tenant acme",
        "POLICY CPU",
    ] {
        assert!(status.contains(words), "{words}: {status}");
    }
    let log = gateway.dir().join("tenants/acme/logs/access.log");
    eventually("the tenant's own log", DEADLINE, || {
        (fs::read_to_string(&log).ok()?.lines().count() == 2).then_some(())
    });
    // With `hosts` these and nothing else.
    let elsewhere = there(shown[1]).replace("www.acme.example", "www.other.example");
    gateway.replace_file("tenants/acme/site.toml", elsewhere);
    gateway.wait_for_log(&["tenant=acme", "not among the hosts"]);
    assert_eq!(at(&gateway, "www.acme.example"), "w1");
    fs::remove_dir_all(gateway.dir().join("tenants/beta")).unwrap();
    wait_for(&gateway, "beta.example", "404");
}

#[test]
fn many_tenants_with_three_policies_each_start_and_one_of_them_reloads() {
    const TENANTS: usize = 40;
    let a = Member::start("a", scripts::name());
    let file = |tenant: usize, path: &str| {
        format!(
            "[[vhost]]\nname = \"t{tenant}.example\"\n[[vhost.route]]\npath = \"{path}\"\nbalancer = \"app\"\n\
             rewrite = \"policy:r\"\n{}\
             [policy.p]\nsource = \"p.wasm\"\n[policy.q]\nsource = \"p.wasm\"\n[policy.r]\nsource = \"r.wasm\"\n",
            balancer(
                "app",
                "lbmethod = [\"policy:p\", \"policy:q\"]",
                &[entry(&a, "")]
            )
        )
    };
    let (p, r) = (guests::component("balancer"), guests::component("rewriter"));
    let mut setup = Setup::new(format!("{OPERATOR}{LOCAL}"));
    for tenant in 0..TENANTS {
        setup = setup
            .file(&format!("tenants/t{tenant}/site.toml"), file(tenant, "/"))
            .file(&format!("tenants/t{tenant}/p.wasm"), &p)
            .file(&format!("tenants/t{tenant}/r.wasm"), &r);
    }
    let gateway = setup.start();
    for tenant in 0..TENANTS {
        assert_eq!(at(&gateway, &format!("t{tenant}.example")), "a");
    }
    let calls = |tenant: &str| {
        let status = gateway.status();
        let policies = status["policies"].as_array().unwrap();
        let p = policies
            .iter()
            .find(|p| p["tenant"] == tenant && p["name"] == "p");
        p.unwrap()["calls"].as_u64().unwrap()
    };
    let before = calls("t8");
    gateway.replace_file("tenants/t7/site.toml", file(7, "/new"));
    wait_for(&gateway, "t7.example", "404");
    assert_eq!(
        gateway.ask(&Request::get("/new").host("t7.example")).text(),
        "a"
    );
    assert_eq!(
        calls("t8"),
        before,
        "another tenant's instances are the same ones"
    );
}
