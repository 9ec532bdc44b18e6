//! Files that are no policy, or too much of one, put in place of a policy in service.

use std::time::{Duration, Instant};

use switchyard_tests::{
    Gateway, Member, Setup, command::switchyard, eventually, guests, scripts, wait::DEADLINE,
};

use crate::{
    conf::{balancer, entry, site},
    policies::policy_status,
    tenants::{LOCAL, OPERATOR, at, tenant_site, tenant_status},
};

/// A balancer of the operator's own, at its first version; `limits` as keys of an inline table.
fn start(limits: &str) -> (Member, Gateway) {
    let member = Member::start("a", scripts::name());
    let text = site(&[("/", "balancer = \"cl\"")])
        + &balancer("cl", "lbmethod = \"policy:p\"", &[entry(&member, "")])
        + &format!("[policy.p]\nsource = \"p.wasm\"\nlimits = {{ {limits} }}\n");
    let gateway = Setup::new(text)
        .file("p.wasm", guests::marked("balancer", "v1"))
        .start();
    assert_eq!(gateway.get("/").text(), "a");
    (member, gateway)
}

/// The component, with every `from` in its bytes replaced by `to` of the same length.
fn patched(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = guests::component("balancer");
    let mut at = 0;
    let mut found = 0;
    while let Some(next) = bytes[at..]
        .windows(from.len())
        .position(|w| w == from.as_bytes())
    {
        at += next;
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        found += 1;
    }
    assert!(found > 0, "{from} is not in the component");
    bytes
}

#[test]
fn what_a_file_lacks_or_asks_for_is_named() {
    let (_member, gateway) = start("module_size = \"32MiB\", compile_time = \"5s\"");
    let mut large = guests::component("balancer");
    large.extend(guests::padding(50 << 20));
    let cases: [(&str, Vec<u8>, &str); 5] = [
        (
            "a newer contract",
            patched("@0.1.0", "@0.2.0"),
            "written for version 0.2.0 of the contract",
        ),
        (
            "an interface of ours that is not there",
            patched("switchyard:policy/log@0.1.0", "switchyard:policy/fog@0.1.0"),
            "imports `switchyard:policy/fog@0.1.0`",
        ),
        (
            "an interface of somebody else's",
            patched("switchyard:policy/log@0.1.0", "wasi:keyvalue/atomic@0.2.10"),
            "imports `wasi:keyvalue/atomic@0.2.10`; of WASI",
        ),
        ("another world", guests::component("affinity"), "balancer"),
        ("fifty megabytes", large, "module_size"),
    ];
    let digest = policy_status(&gateway, "p")["digest"].clone();
    for (what, bytes, why) in cases {
        gateway.replace_file("p.wasm", bytes);
        gateway.wait_for_log(&["refused", "policy=p ", why]);
        assert_eq!(gateway.get("/").text(), "a", "{what}");
        assert_eq!(policy_status(&gateway, "p")["digest"], digest, "{what}");
    }
}

#[test]
fn a_compile_bomb_is_ended_and_nobody_waits_for_it() {
    let (_member, gateway) = start("compile_time = \"1s\", module_size = \"64MiB\"");
    let mut bomb = guests::component("balancer");
    for _ in 0..20 {
        bomb.extend(guests::ballast());
    }
    gateway.replace_file("p.wasm", bomb);
    let began = Instant::now();
    while !gateway.logged(&["refused", "policy=p ", "compile_time"]) {
        let asked = Instant::now();
        assert_eq!(gateway.get("/").text(), "a");
        assert!(asked.elapsed() < Duration::from_secs(5), "a request waited");
        assert!(began.elapsed() < Duration::from_secs(60), "it is not ended");
    }
    // What comes after it is compiled as ever.
    let digest = policy_status(&gateway, "p")["digest"].clone();
    gateway.replace_file("p.wasm", guests::marked("balancer", "v2"));
    eventually("the next version", DEADLINE, || {
        (policy_status(&gateway, "p")["digest"] != digest).then_some(())
    });
}

#[test]
fn a_tenant_whose_policy_takes_long_to_compile_is_compiling_until_it_serves_or_is_left_out() {
    let (a, b) = Member::pair();
    let site = |host: &str, member: &Member, policy: &str| {
        tenant_site(host, member, "lbmethod = \"policy:p\"")
            + &format!("[policy.p]\nsource = \"p.wasm\"\n{policy}\n")
    };
    // Nothing is in the cache: the test's own, which is new.
    let operator = "[limits.policy]\nmodule_size = \"64MiB\"\ncompile_time = \"60s\"\ncompile_memory = \"2GiB\"\n";
    let setup = Setup::new(format!(
        "{OPERATOR}{LOCAL}policy_size = \"64MiB\"\n{operator}"
    ));
    let cache = setup.dir().join("cache");
    let text = setup.text();
    let old = text
        .lines()
        .find(|line| line.starts_with("cache_dir"))
        .unwrap();
    let text = text.replace(old, &format!("cache_dir = {cache:?}"));
    let gateway = setup
        .whole(&text)
        .file(
            "tenants/beta/site.toml",
            tenant_site("beta.example", &b, ""),
        )
        .start();
    let mut slow = guests::component("balancer");
    for _ in 0..4 {
        slow.extend(guests::ballast());
    }
    gateway.write_file("tenants/acme/p.wasm", &slow);
    gateway.write_file("tenants/acme/site.toml", site("acme.example", &a, ""));
    gateway.wait_for_status("acme is compiling", |_| {
        state(&gateway, "acme") == "compiling"
    });
    assert_eq!(at(&gateway, "beta.example"), "b", "nobody else waits");
    let admin = gateway.admin_addr().to_string();
    let told = switchyard(&["status", "--admin", &admin]).all();
    assert!(
        told.contains("compiling") || at(&gateway, "acme.example") == "a",
        "{told}"
    );
    assert!(tenant_status(&gateway, "acme")["last_error"].is_null());
    eventually("acme serves", DEADLINE * 4, || {
        (at(&gateway, "acme.example") == "a").then_some(())
    });
    gateway.wait_for_status("acme is serving", |_| state(&gateway, "acme") == "serving");

    // A bomb: the same until its time is up.
    let mut bomb = slow;
    for _ in 0..16 {
        bomb.extend(guests::ballast());
    }
    gateway.write_file("tenants/bomb/p.wasm", &bomb);
    let limits = "limits = { compile_time = \"1s\" }";
    gateway.write_file("tenants/bomb/site.toml", site("bomb.example", &a, limits));
    gateway.wait_for_status("bomb is compiling", |_| {
        state(&gateway, "bomb") == "compiling"
    });
    eventually("bomb is left out", DEADLINE * 4, || {
        (state(&gateway, "bomb") == "left_out").then_some(())
    });
    let why = tenant_status(&gateway, "bomb")["last_error"]["what"].to_string();
    assert!(why.contains("compile_time"), "{why}");
    assert_eq!(at(&gateway, "acme.example"), "a");
}

/// A tenant's state; empty where it is not known yet.
fn state(gateway: &Gateway, name: &str) -> String {
    let status = gateway.status();
    let tenants = status["tenants"].as_array().into_iter().flatten();
    let mut own = tenants.filter(|tenant| tenant["name"] == name);
    let own = own.next().map(|tenant| tenant["state"].clone());
    own.and_then(|state| Some(state.as_str()?.to_owned()))
        .unwrap_or_default()
}

#[test]
fn a_file_that_is_swapped_while_it_is_loaded_ends_with_what_is_there_last() {
    let (_member, gateway) = start("compile_time = \"60s\"");
    let slow = |mark: &str| {
        let mut bytes = guests::marked("balancer", mark);
        bytes.extend(guests::ballast());
        bytes
    };
    // Not in the cache: the mark is different at each run.
    let mark = format!("v{}", std::process::id());
    gateway.replace_file("p.wasm", slow(&mark));
    let last = guests::marked("balancer", "v3");
    gateway.replace_file("p.wasm", &last);
    let wanted = guests::sha256(&last);
    eventually("the last file is in service", DEADLINE * 4, || {
        assert_eq!(gateway.get("/").text(), "a");
        let status = policy_status(&gateway, "p");
        (status["digest"] == wanted.as_str()).then_some(())
    });
    assert_eq!(gateway.get("/").text(), "a");
}

#[test]
fn one_file_may_be_given_more_of_the_compiler() {
    let member = Member::start("a", scripts::name());
    let trusted = guests::marked("balancer", "v1");
    let text = site(&[("/", "balancer = \"cl\"")])
        + &balancer("cl", "lbmethod = \"policy:p\"", &[entry(&member, "")])
        + "[policy.p]\nsource = \"p.wasm\"\nlimits = { module_size = \"1KiB\" }\n"
        + &format!(
            "[compile.{}]\nmodule_size = \"1MiB\"\n",
            guests::sha256(&trusted)
        );
    let gateway = Setup::new(text).file("p.wasm", trusted).start();
    assert_eq!(gateway.get("/").text(), "a");
    let other = guests::marked("balancer", "v2");
    gateway.replace_file("p.wasm", &other);
    let remedy = format!("[compile.{}] module_size", guests::sha256(&other));
    gateway.wait_for_log(&["refused", "policy=p ", &remedy]);
    assert_eq!(gateway.get("/").text(), "a");
}
