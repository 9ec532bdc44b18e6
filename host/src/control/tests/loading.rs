//! The writer waits for no compiler.

use std::{sync::mpsc, time::Duration};

use super::fixture::{CONFIG, Scene, digest, facts, own, published};
use crate::control::{Cause, Outcome, Writer};

/// Far beyond what a busy machine takes.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// A tenant with a policy of its own.
pub(super) const ACME: &str = r#"
[[vhost]]
name = "acme.example"
[[vhost.route]]
path = "/"
balancer = "app"
[balancer.app]
lbmethod = "policy:own"
members = [{ url = "http://10.0.0.1:8080" }]
[policy.own]
source = "own.wasm"
"#;

/// Started, and who is woken when something was loaded.
pub(super) fn started(scene: &Scene) -> (Writer, mpsc::Receiver<()>) {
    let writer = scene.start().unwrap();
    let (wake, woken) = mpsc::channel();
    writer.setup.stock.wake_with(Box::new(move || {
        // A test that has seen enough may have hung up.
        let _ = wake.send(());
    }));
    (writer, woken)
}

/// Nobody waits for what is held up, nor for long.
pub(super) fn impatient() -> Scene {
    let mut scene = Scene::new();
    scene.patience = Duration::from_millis(20);
    scene
}

pub(super) fn serves(writer: &Writer, balancer: &str) -> bool {
    writer.current().load().selector(balancer).is_some()
}

#[test]
fn a_policy_that_takes_long_to_load_holds_up_neither_the_operator_nor_tenants() {
    let scene = impatient();
    let (mut writer, woken) = started(&scene);
    scene.write("tenants/acme/site.toml", ACME);
    scene.write("tenants/acme/own.wasm", "balancer slow");
    scene.write("tenants/beta/site.toml", &ACME.replace("acme", "beta"));
    scene.write("tenants/beta/own.wasm", "balancer quick");
    scene.write("switchyard.toml", &CONFIG.replace("/shop", "/store"));
    published(&mut writer);
    assert_eq!(writer.operator.vhosts[0].routes[1].name, "/store");
    while !serves(&writer, "beta:app") {
        woken.recv_timeout(DEADLINE).unwrap();
        writer.reload(Cause::Files);
    }
    assert!(!serves(&writer, "acme:app"));
    assert_eq!(
        facts(&writer).tenants[0].last_error,
        None,
        "nothing is wrong"
    );
    // Nor does it hold up itself: nobody waits for it a second time.
    assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    woken.try_iter().for_each(drop);
    scene.gate.open();
    woken.recv_timeout(DEADLINE).unwrap();
    published(&mut writer);
    assert!(serves(&writer, "acme:app"));
}

#[test]
fn the_version_in_service_goes_on_while_the_next_is_loaded() {
    let scene = impatient();
    let (mut writer, woken) = started(&scene);
    scene.write("policies/own.wasm", "balancer slow v2");
    assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    assert_eq!(own(&writer).digest, digest("balancer v1"));
    scene.gate.open();
    woken.recv_timeout(DEADLINE).unwrap();
    published(&mut writer);
    assert_eq!(own(&writer).digest, digest("balancer slow v2"));
}

#[test]
fn what_is_refused_after_a_while_is_refused_all_the_same() {
    let scene = impatient();
    let (mut writer, woken) = started(&scene);
    scene.write("policies/own.wasm", "slow unloadable");
    assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    scene.gate.open();
    woken.recv_timeout(DEADLINE).unwrap();
    assert!(matches!(
        writer.reload(Cause::Files),
        Outcome::Refused { .. }
    ));
    assert_eq!(own(&writer).digest, digest("balancer v1"));
}

#[test]
fn a_file_that_is_replaced_faster_than_it_loads_has_one_order_waiting() {
    let scene = impatient();
    let (mut writer, woken) = started(&scene);
    for version in 2..20 {
        scene.write("policies/own.wasm", &format!("balancer slow v{version}"));
        assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    }
    assert!(writer.setup.stock.waiting() <= 1);
    scene.gate.open();
    while own(&writer).digest != digest("balancer slow v19") {
        woken.recv_timeout(DEADLINE).unwrap();
        writer.reload(Cause::Files);
    }
}
