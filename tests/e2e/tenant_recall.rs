//! Tenants whose files are broken when the gateway starts.

use std::fs;

use switchyard_tests::{Gateway, Member, Setup, command::switchyard, guests};

use crate::{
    conf::{balancer, entry},
    tenants::{LOCAL, OPERATOR, at, tenant_site, tenant_status, wait_for},
};

/// A tenant `acme` with these files, and what outlives the process in `state`.
fn start(state: &str, site: &str, policy: &[u8]) -> Gateway {
    Setup::new(format!("{OPERATOR}{LOCAL}"))
        .top(&format!("state_dir = {state:?}"))
        .file("tenants/acme/site.toml", site)
        .file("tenants/acme/p.wasm", policy)
        .start()
}

#[test]
fn a_tenant_that_is_broken_at_start_serves_what_it_served_last() {
    let outer = tempfile::tempdir().unwrap();
    let state = outer.path().join("state").display().to_string();
    let (a, b) = Member::pair();
    // A policy that always picks the first.
    let site =
        "[[vhost]]\nname = \"acme.example\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n"
            .to_owned()
            + &balancer(
                "app",
                "lbmethod = \"policy:p\"",
                &[entry(&a, ""), entry(&b, "")],
            )
            + "[policy.p]\nsource = \"p.wasm\"\nconfig = { does = \"first\" }\n";
    let good = guests::component("balancer");
    let gateway = start(&state, &site, &good);
    assert_eq!(at(&gateway, "acme.example"), "a");
    gateway.terminate();

    let broken = site.replace("[[vhost]]", "[[vhost]");
    let gateway = start(&state, &broken, b"no wasm");
    for _ in 0..3 {
        assert_eq!(at(&gateway, "acme.example"), "a");
    }
    gateway.wait_for_log(&[
        "tenant=acme",
        "serves its last good configuration",
        "site.toml",
    ]);
    let status = tenant_status(&gateway, "acme");
    assert_eq!(status["state"], "last_good", "{status:#}");
    let admin = gateway.admin_addr().to_string();
    let told = switchyard(&["status", "--admin", &admin]).all();
    for words in ["last good", "acme: not in service: ", "site.toml"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    // Mended, it serves what is there.
    gateway.replace_file("tenants/acme/p.wasm", &good);
    let mended = site.replace("acme.example", "new.example");
    gateway.replace_file("tenants/acme/site.toml", mended);
    wait_for(&gateway, "new.example", "a");
    // It serves a moment before the status says so.
    gateway.wait_for_status("it is mended", |_| {
        tenant_status(&gateway, "acme")["state"] == "serving"
    });
    gateway.terminate();

    // What somebody else wrote there is not served.
    let page = outer.path().join("state/tenants/acme/last-good.json");
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, text.replace("new.example", "evil.example")).unwrap();
    let gateway = start(&state, &broken, &good);
    assert_eq!(at(&gateway, "evil.example"), "404");
    gateway.wait_for_log(&["tenant=acme", "last-good.json", "checksum"]);
    gateway.wait_for_log(&["tenant=acme", "left out"]);
    let status = tenant_status(&gateway, "acme");
    assert_eq!(status["state"], "left_out", "{status:#}");
    fs::remove_dir_all(gateway.dir().join("tenants/acme")).unwrap();
    gateway.wait_for_status("it is gone", |status| status["tenants"].is_null());
    assert!(!page.exists());
}

#[test]
fn the_schema_of_tenants_files_is_printed() {
    let said = switchyard(&["schema", "--tenant"]);
    assert!(said.status.success(), "{}", said.all());
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        schema["properties"]["listener"]["not"],
        serde_json::json!({})
    );
    assert!(schema["properties"]["vhost"].is_object());
}

#[test]
fn whoever_had_a_host_keeps_it_over_a_restart() {
    let outer = tempfile::tempdir().unwrap();
    let state = format!("state_dir = {:?}", outer.path().join("state"));
    let (a, b) = Member::pair();
    let start = |abel: &str, beta: &str| {
        Setup::new(format!("{OPERATOR}{LOCAL}"))
            .top(&state)
            .file("tenants/abel/site.toml", tenant_site(abel, &a, ""))
            .file("tenants/beta/site.toml", tenant_site(beta, &b, ""))
            .start()
    };
    let gateway = start("abel.example", "beta.example");
    assert_eq!(at(&gateway, "beta.example"), "b");
    gateway.terminate();

    // By name `abel` comes first.
    let gateway = start("beta.example", "beta.example");
    assert_eq!(at(&gateway, "beta.example"), "b");
    assert_eq!(at(&gateway, "abel.example"), "a", "its last good one");
    gateway.wait_for_log(&["tenant=abel", "`beta`", "beta.example"]);
    gateway.terminate();

    let gateway = start("beta.example", "other.example");
    assert_eq!(at(&gateway, "beta.example"), "a", "it was given up");
    assert_eq!(at(&gateway, "other.example"), "b");
}
