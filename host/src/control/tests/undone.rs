//! What was undone, where it must not come back from, and what there is to go back to.

use std::{sync::Arc, time::Duration};

use super::{
    fixture::{CONFIG, Scene, digest, facts, published},
    linking::tenant,
    patience::own,
};
use crate::control::{Cause, Controller, Outcome, Writer};

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

/// The operator's policy has had two versions when the gateway ends.
fn two_versions() -> Scene {
    let scene = Scene::new();
    let config = CONFIG.replace("version = 1", "version = 1\nstate_dir = \"state\"");
    scene.write("switchyard.toml", &config);
    let mut writer = scene.start().unwrap();
    scene.write("policies/own.wasm", "balancer v2");
    published(&mut writer);
    scene
}

fn why_not(writer: &mut Writer) -> String {
    match writer.rollback("own", "asked for") {
        Outcome::Refused { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn version_of_an_earlier_run_is_gone_back_to() {
    let scene = two_versions();
    // A start in between lets go of nothing that is needed.
    drop(scene.start().unwrap());
    let mut writer = scene.start().unwrap();
    rolled_back(&mut writer, "own");
    assert_eq!(own(&writer, "default"), digest("balancer v1"));
    drop(writer);
    let mut writer = scene.start().unwrap();
    assert_eq!(own(&writer, "default"), digest("balancer v1"));
    let why = why_not(&mut writer);
    assert!(why.contains("no version before"), "{why}");
}

#[test]
fn version_that_has_to_be_loaded_first_holds_nobody_up() {
    let mut scene = Scene::new();
    let config = CONFIG.replace("version = 1", "version = 1\nstate_dir = \"state\"");
    scene.write("switchyard.toml", &config);
    scene.write("policies/own.wasm", "balancer slow");
    scene.gate.open();
    let mut writer = scene.start().unwrap();
    scene.write("policies/own.wasm", "balancer v2");
    published(&mut writer);
    drop(writer);
    scene.gate = Arc::default();
    scene.patience = Duration::from_millis(1);
    let controller = Controller::start(scene.start().unwrap()).unwrap();
    let mut answer = controller.rollback("own");
    // The writer goes on meanwhile, and does what is asked when the version is there.
    let reload = controller.reload(Cause::Signal).blocking_recv();
    assert!(reload.is_ok());
    assert!(answer.try_recv().is_err(), "it is not there yet");
    scene.gate.open();
    let answer = answer.blocking_recv().unwrap();
    assert!(matches!(answer, Outcome::Published { .. }), "{answer:?}");
    let facts = controller.facts();
    assert_eq!(facts.policies[0].digest, digest("balancer slow"));
    controller.stop();
}

#[test]
fn what_cannot_be_gone_back_to_is_named_and_the_version_in_service_stays() {
    let file = format!("state/versions/{}.wasm", digest("balancer v1"));
    type Damage = fn(&Scene, &str);
    let damages: [(Damage, &str); 3] = [
        (|scene, file| scene.write(file, "balancer v0"), "is damaged"),
        (
            |scene, file| std::fs::remove_file(scene.path(file)).unwrap(),
            "cannot be read",
        ),
        (
            |scene, _| scene.write("switchyard.toml", CONFIG),
            "without `state_dir` none is kept",
        ),
    ];
    for (damage, due) in damages {
        let scene = two_versions();
        let mut writer = scene.start().unwrap();
        damage(&scene, &file);
        if due.contains("state_dir") {
            writer = scene.start().unwrap();
        }
        let why = why_not(&mut writer);
        assert!(why.contains(due), "{due} in {why}");
        assert!(why.contains("own.wasm"), "what to do: {why}");
        assert!(due.contains("state_dir") || why.contains(&file), "{why}");
        assert_eq!(own(&writer, "default"), digest("balancer v2"));
    }
}

#[test]
fn tenant_that_renames_its_policy_for_ever_keeps_no_more_than_it_may_have() {
    let scene = Scene::new();
    let config = CONFIG.replace("version = 1", "version = 1\nstate_dir = \"state\"");
    let config = config + "[tenant.acme]\npolicies = 3\n";
    scene.write("switchyard.toml", &config);
    let mut writer = scene.start().unwrap();
    for number in 0..10 {
        let name = format!("own{number}");
        let own = tenant("acme").replace("policy.own", &format!("policy.{name}"));
        let own = own.replace("policy:own", &format!("policy:{name}"));
        scene.write("tenants/acme/brand.wasm", "rewriter");
        scene.write("tenants/acme/own.wasm", &format!("balancer v{number}"));
        scene.write("tenants/acme/site.toml", &own);
        published(&mut writer);
    }
    let kept = std::fs::read_dir(scene.path("state/versions")).unwrap();
    // The operator's, the two that it has, and three that are away.
    assert_eq!(kept.count(), 6);
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
