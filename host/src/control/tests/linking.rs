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
