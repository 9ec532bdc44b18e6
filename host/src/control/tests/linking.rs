//! What a reload keeps and what it makes anew.

use std::sync::Arc;

use super::fixture::{CONFIG, Scene, published};
use crate::{control::Writer, policy::Selector};

fn selector(writer: &Writer, balancer: &str) -> Arc<Selector> {
    let live = writer.current().load();
    Arc::clone(live.selector(balancer).unwrap())
}

#[test]
fn reload_keeps_every_binding_that_it_does_not_concern() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    let before = (selector(&writer, "app"), selector(&writer, "shop"));
    let config = CONFIG.replace("/shop", "/store");
    scene.write("switchyard.toml", &config);
    assert_eq!(published(&mut writer), 2);
    let after = (selector(&writer, "app"), selector(&writer, "shop"));
    assert!(Arc::ptr_eq(&before.0.chain[0], &after.0.chain[0]));
    assert!(Arc::ptr_eq(&before.1.chain[0], &after.1.chain[0]));
    assert!(Arc::ptr_eq(&before.0.pool, &after.0.pool));
}

#[test]
fn balancers_with_the_same_policy_have_bindings_of_their_own() {
    let scene = Scene::new();
    let config = CONFIG.replace("lbmethod = \"byrequests\"", "lbmethod = \"policy:own\"");
    scene.write("switchyard.toml", &config);
    let writer = scene.start().unwrap();
    let (app, shop) = (selector(&writer, "app"), selector(&writer, "shop"));
    assert!(!Arc::ptr_eq(&app.chain[0], &shop.chain[0]));
    assert_eq!(
        writer.current().load().bindings().count(),
        4,
        "own and last resort, twice"
    );
}

#[test]
fn last_resort_is_the_chains_own_binding_where_that_is_byrequests() {
    let scene = Scene::new();
    let writer = scene.start().unwrap();
    let shop = selector(&writer, "shop");
    assert!(Arc::ptr_eq(
        &shop.chain[0],
        shop.last_resort.as_ref().unwrap()
    ));
}

#[test]
fn rewriters_that_know_no_members_are_shared_by_all_routes() {
    let scene = Scene::new();
    let rewrite = "rewrite = [\"policy:brand\"]";
    let config = CONFIG
        .replace(
            "balancer = \"app\"",
            &format!("balancer = \"app\"\n  {rewrite}"),
        )
        .replace(
            "balancer = \"shop\"",
            &format!("balancer = \"shop\"\n  {rewrite}"),
        );
    let config = format!("{config}[policy.brand]\nsource = \"policies/brand.wasm\"\n");
    scene.write("policies/brand.wasm", "rewriter");
    scene.write("switchyard.toml", &config);
    let writer = scene.start().unwrap();
    let live = writer.current().load();
    let rewriter = |route| Arc::clone(&live.forward(0, route).unwrap().rewriters[0]);
    assert!(Arc::ptr_eq(&rewriter(0), &rewriter(1)));
}

#[test]
fn changed_settings_of_a_policy_make_a_new_binding_that_follows_the_old() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    let before = selector(&writer, "app");
    scene.write(
        "switchyard.toml",
        &format!("{CONFIG}config = {{ percent = 5 }}\n"),
    );
    published(&mut writer);
    let after = selector(&writer, "app");
    assert!(!Arc::ptr_eq(&before.chain[0], &after.chain[0]));
    let previous = after.chain[0].previous().unwrap();
    assert!(Arc::ptr_eq(&before.chain[0], &previous));
}

#[test]
fn balancer_that_left_and_came_back_starts_anew() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    let before = selector(&writer, "shop");
    let without = CONFIG.replace("balancer = \"shop\"", "balancer = \"app\"");
    let without = without.replace("[balancer.shop]", "[balancer.other]");
    scene.write("switchyard.toml", &without);
    published(&mut writer);
    scene.write("switchyard.toml", CONFIG);
    published(&mut writer);
    let after = selector(&writer, "shop");
    assert!(!Arc::ptr_eq(&before.pool, &after.pool));
    assert!(!Arc::ptr_eq(&before.chain[0], &after.chain[0]));
}

/// A tenant with a policy of its own and a rewriter that knows no members.
pub(super) fn tenant(name: &str) -> String {
    format!(
        r#"
[[vhost]]
name = "{name}.example"
[[vhost.route]]
path = "/"
balancer = "app"
rewrite = "policy:brand"
[balancer.app]
lbmethod = "policy:own"
members = [{{ url = "http://10.0.0.1:8080" }}]
[policy.own]
source = "own.wasm"
[policy.brand]
source = "brand.wasm"
"#
    )
}

#[test]
fn tenants_share_no_binding_and_one_that_changes_leaves_the_others_theirs() {
    let scene = Scene::new();
    for name in ["acme", "beta"] {
        scene.write(&format!("tenants/{name}/site.toml"), &tenant(name));
        scene.write(&format!("tenants/{name}/own.wasm"), "balancer v1");
        scene.write(&format!("tenants/{name}/brand.wasm"), "rewriter");
    }
    let mut writer = scene.start().unwrap();
    let bindings = |writer: &Writer, tenant: &str| -> Vec<_> {
        let live = writer.current().load();
        let all = live.bindings();
        all.filter(|binding| *binding.status().tenant == *tenant)
            .map(Arc::clone)
            .collect()
    };
    let (acme, beta) = (bindings(&writer, "acme"), bindings(&writer, "beta"));
    assert_eq!((acme.len(), beta.len()), (3, 3), "own, brand, last resort");
    let before = (selector(&writer, "acme:app"), selector(&writer, "beta:app"));
    assert!(!Arc::ptr_eq(&before.0.pool, &before.1.pool));
    // Another member, another policy, another route: of one of them.
    let changed = tenant("acme").replace("10.0.0.1", "10.0.0.2");
    scene.write("tenants/acme/site.toml", &changed);
    scene.write("tenants/acme/brand.wasm", "rewriter v2");
    published(&mut writer);
    let after = selector(&writer, "beta:app");
    assert!(Arc::ptr_eq(&before.1.pool, &after.pool));
    let same = |one: &Arc<_>| {
        bindings(&writer, "beta")
            .iter()
            .any(|b| Arc::ptr_eq(b, one))
    };
    assert!(beta.iter().all(same));
    let kept = bindings(&writer, "acme");
    let kept = acme
        .iter()
        .filter(|one| kept.iter().any(|b| Arc::ptr_eq(b, one)));
    assert_eq!(kept.count(), 2, "its own, but for the new version");
}

#[test]
fn one_tenants_failure_keeps_only_its_own_from_service() {
    let scene = Scene::new();
    for name in ["acme", "beta", "carl"] {
        scene.write(&format!("tenants/{name}/site.toml"), &tenant(name));
        scene.write(&format!("tenants/{name}/own.wasm"), "balancer v1");
        scene.write(&format!("tenants/{name}/brand.wasm"), "rewriter");
    }
    scene.write("tenants/acme/own.wasm", "balancer trap-init");
    scene.write("tenants/carl/own.wasm", "balancer trap-pick");
    let mut writer = scene.start().unwrap();
    let serves = |writer: &Writer| -> String {
        let live = writer.current().load();
        let names = ["acme", "beta", "carl"].into_iter();
        let serving = names.filter(|name| live.selector(&format!("{name}:app")).is_some());
        serving.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(serves(&writer), "beta");
    assert_eq!(writer.current().load().number, 1);
    // All at once, and one of them still wrong.
    scene.write("tenants/acme/own.wasm", "balancer v2");
    scene.write("tenants/beta/own.wasm", "balancer v2");
    scene.write("tenants/carl/own.wasm", "rewriter");
    published(&mut writer);
    assert_eq!(serves(&writer), "acme beta");
    let facts = writer.shared_facts().load_full();
    let troubles: Vec<_> = facts
        .tenants
        .iter()
        .map(|t| t.last_error.is_some())
        .collect();
    assert_eq!(troubles, [false, false, true]);
}
