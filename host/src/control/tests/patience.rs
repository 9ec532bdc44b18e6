//! Tenants whose policies take long to be tried, while everybody's changes wait.

use std::time::{Duration, Instant};

use super::{
    fixture::{CONFIG, Scene, digest, facts, published},
    linking::tenant,
};
use crate::control::{Controller, Outcome, Writer};

/// Far beyond what a busy machine takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn scene() -> Scene {
    let scene = Scene::new();
    for name in ["acme", "beta"] {
        scene.write(&format!("tenants/{name}/site.toml"), &tenant(name));
        scene.write(&format!("tenants/{name}/own.wasm"), "balancer v1");
        scene.write(&format!("tenants/{name}/brand.wasm"), "rewriter");
    }
    scene
}

/// The digest of the tenant's policy `own` that is in service.
pub(super) fn own(writer: &Writer, tenant: &str) -> String {
    let facts = facts(writer);
    let mut all = facts.policies.iter();
    let own = all.find(|p| p.tenant.as_str() == tenant && p.name == "own");
    own.map_or_else(String::new, |policy| policy.digest.clone())
}

#[test]
fn tenant_whose_policies_take_too_long_together_is_left_out_and_the_others_serve() {
    let scene = scene();
    // Each trial takes 120 ms of the 100 that all of the tenant's may take: the second is not begun.
    let limits = "\n[limits.policy]\ninit_deadline = \"20ms\"\n";
    scene.write("switchyard.toml", &format!("{CONFIG}{limits}"));
    scene.write("tenants/acme/own.wasm", "balancer burn");
    scene.write("tenants/acme/brand.wasm", "rewriter burn");
    let writer = scene.start().unwrap();
    let live = writer.current().load();
    assert!(live.selector("acme:app").is_none());
    assert!(live.selector("beta:app").is_some());
    let facts = facts(&writer);
    let told = facts.tenants[0].last_error.as_ref().unwrap();
    assert!(told.what.contains("100ms of CPU time"), "{}", told.what);
}

#[test]
fn tenant_that_has_held_up_the_others_waits_before_its_next_change_and_they_do_not() {
    let scene = scene();
    let mut writer = scene.start().unwrap();
    scene.write("tenants/acme/own.wasm", "balancer burn v2");
    published(&mut writer);
    assert_eq!(own(&writer, "acme"), digest("balancer burn v2"));
    scene.write("tenants/acme/own.wasm", "balancer v3");
    scene.write("tenants/beta/own.wasm", "balancer v3");
    published(&mut writer);
    assert_eq!(own(&writer, "beta"), digest("balancer v3"));
    assert_eq!(own(&writer, "acme"), digest("balancer burn v2"), "waits");
    // Likewise of its configuration.
    let changed = tenant("acme").replace("10.0.0.1", "10.0.0.2");
    scene.write("tenants/acme/site.toml", &changed);
    assert_eq!(
        writer.reload(crate::control::Cause::Files),
        Outcome::Unchanged
    );
    // No file changes any more: the writer remembers.
    let controller = Controller::start(writer).unwrap();
    let end = Instant::now() + DEADLINE;
    let wanted = digest("balancer v3");
    loop {
        let facts = controller.facts();
        let mut all = facts.policies.iter();
        if all.any(|p| p.tenant.as_str() == "acme" && p.digest == wanted) {
            break;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{facts:?}");
        let _ = scene
            .published
            .recv_timeout(left.min(Duration::from_millis(20)));
    }
    controller.stop();
}
