//! What was undone, and where it must not come back from.

use super::{
    fixture::{CONFIG, Scene, digest, facts, published},
    linking::tenant,
    patience::own,
};
use crate::control::{Outcome, Writer};

fn rolled_back(writer: &mut Writer, policy: &str) {
    let outcome = writer.rollback(policy, "asked for");
    assert!(matches!(outcome, Outcome::Published { .. }), "{outcome:?}");
}

#[test]
fn going_back_twice_does_not_lead_to_what_was_undone() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    scene.write("policies/own.wasm", "balancer v2");
    published(&mut writer);
    rolled_back(&mut writer, "own");
    assert_eq!(own(&writer, "default"), digest("balancer v1"));
    let again = writer.rollback("own", "asked for");
    let Outcome::Refused { why } = &again else {
        panic!("{again:?}");
    };
    assert!(why.contains("no version before"), "{why}");
    assert_eq!(own(&writer, "default"), digest("balancer v1"));
}

#[test]
fn what_a_tenant_has_undone_stays_so_while_the_tenant_is_away() {
    let scene = Scene::new();
    let config = CONFIG.replace("version = 1", "version = 1\nstate_dir = \"state\"");
    scene.write("switchyard.toml", &config);
    for name in ["acme", "beta"] {
        scene.write(&format!("tenants/{name}/site.toml"), &tenant(name));
        scene.write(&format!("tenants/{name}/own.wasm"), "balancer v1");
        scene.write(&format!("tenants/{name}/brand.wasm"), "rewriter");
    }
    let mut writer = scene.start().unwrap();
    scene.write("tenants/acme/own.wasm", "balancer v2");
    published(&mut writer);
    rolled_back(&mut writer, "acme:own");
    drop(writer);
    // A run without it, in which others go on; what it served last is lost too.
    std::fs::remove_dir_all(scene.path("state/tenants/acme")).unwrap();
    scene.write("tenants/acme/site.toml", "nonsense = 1");
    let mut writer = scene.start().unwrap();
    assert_eq!(own(&writer, "acme"), "");
    scene.write("tenants/beta/own.wasm", "balancer v2");
    published(&mut writer);
    drop(writer);
    scene.write("tenants/acme/site.toml", &tenant("acme"));
    let mut writer = scene.start().unwrap();
    assert_eq!(
        own(&writer, "acme"),
        digest("balancer v1"),
        "after a restart"
    );
    // A run that it leaves and comes back to.
    scene.write("tenants/acme/own.wasm", "balancer v3");
    published(&mut writer);
    rolled_back(&mut writer, "acme:own");
    std::fs::rename(scene.path("tenants/acme"), scene.path("tenants/.acme")).unwrap();
    published(&mut writer);
    assert_eq!(facts(&writer).tenants.len(), 1);
    std::fs::rename(scene.path("tenants/.acme"), scene.path("tenants/acme")).unwrap();
    published(&mut writer);
    assert_eq!(
        own(&writer, "acme"),
        digest("balancer v1"),
        "after it was away"
    );
}
