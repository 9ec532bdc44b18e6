//! What is taken into service, and what is refused without harm.

use std::{fs, sync::atomic::Ordering};

use super::fixture::{CONFIG, Scene, digest, facts, own, published, refused};
use crate::{
    control::{Cause, Outcome},
    policy::Event,
};

#[test]
fn nothing_changed_makes_no_generation() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    scene.write("switchyard.toml", &format!("# a comment\n{CONFIG}"));
    assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    assert_eq!(writer.reload(Cause::Signal), Outcome::Unchanged);
    assert_eq!(writer.current().load().number, 1);
}

#[test]
fn wrong_configuration_leaves_everything_as_it_was_and_says_why() {
    let mistakes = [
        ("version = 1", "version = ", "TOML"),
        (
            "lbmethod = \"byrequests\"",
            "lbmethod = \"byrequest\"",
            "byrequest",
        ),
        ("policies/own.wasm", "policies/missing.wasm", "missing.wasm"),
        // `rewriter` exports no balancer: both the policy and the place are named.
        (
            "policies/own.wasm",
            "policies/rewriter.wasm",
            "lbmethod of balancer `app`",
        ),
    ];
    for (right, wrong, says) in mistakes {
        let scene = Scene::new();
        let mut writer = scene.start().unwrap();
        scene.write("policies/rewriter.wasm", "rewriter");
        scene.write("switchyard.toml", &CONFIG.replace(right, wrong));
        let why = refused(&mut writer);
        assert!(why.contains(says), "{wrong}: {why}");
        assert_eq!(writer.current().load().number, 1, "{wrong}");
        let trouble = facts(&writer).last_error.clone().unwrap();
        assert!(trouble.what.contains(says), "{}", trouble.what);
        assert_eq!(own(&writer).digest, digest("balancer v1"), "{wrong}");
        scene.write("switchyard.toml", CONFIG);
        assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
        assert_eq!(facts(&writer).last_error, None, "{wrong}: mended");
    }
}

#[test]
fn address_that_is_taken_refuses_the_configuration_and_forgets_its_pools() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    let more = CONFIG.replace("balancer = \"shop\"", "proxy = \"http://10.0.0.3/\"");
    let more = more.replace("[balancer.shop]", "[balancer.other]");
    scene.write("switchyard.toml", &more);
    scene.taken.store(true, Ordering::Relaxed);
    assert_eq!(refused(&mut writer), "cannot listen");
    assert_eq!(scene.live.pools().len(), 2);
    scene.taken.store(false, Ordering::Relaxed);
    // Nothing changed on disk, but what was refused is still wanted.
    assert_eq!(published(&mut writer), 2);
}

#[test]
fn bad_policy_is_refused_once_and_the_next_good_one_enters() {
    let bad = [
        "unloadable",
        "balancer trap-init",
        "balancer needs:percent",
        "balancer trap-members",
        "balancer trap-pick",
        "rewriter",
    ];
    for bad in bad {
        let scene = Scene::new();
        let mut writer = scene.start().unwrap();
        scene.write("policies/own.wasm", bad);
        refused(&mut writer);
        let own_facts = own(&writer);
        assert_eq!(own_facts.digest, digest("balancer v1"), "{bad}");
        assert!(own_facts.last_error.is_some(), "{bad}");
        let newest = &own_facts.history[0];
        assert_eq!(newest.digest, Some(digest(bad)), "{bad}");
        assert!(matches!(newest.outcome, Event::Refused { .. }), "{bad}");
        let again = writer.reload(Cause::Files);
        assert!(
            !matches!(again, Outcome::Published { .. }),
            "{bad}: {again:?}"
        );
        assert_eq!(own(&writer).history.len(), 2, "{bad}: told once");
        scene.write("policies/own.wasm", "balancer v2");
        assert_eq!(published(&mut writer), 2, "{bad}");
        assert_eq!(own(&writer).digest, digest("balancer v2"), "{bad}");
        assert_eq!(own(&writer).last_error, None, "{bad}");
    }
}

#[test]
fn deleted_policy_stays_in_service() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    fs::remove_file(scene.path("policies/own.wasm")).unwrap();
    let why = refused(&mut writer);
    assert!(why.contains("own.wasm cannot be read"), "{why}");
    assert!(
        why.ends_with("; build it there, or correct the policy's `source`"),
        "{why}"
    );
    assert_eq!(own(&writer).digest, digest("balancer v1"));
    scene.write("policies/own.wasm", "balancer v1");
    assert_eq!(writer.reload(Cause::Files), Outcome::Unchanged);
    assert_eq!(own(&writer).last_error, None);
}

#[test]
fn policy_and_configuration_that_need_each_other_go_together() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    scene.write("policies/own.wasm", "balancer needs:percent");
    scene.write(
        "switchyard.toml",
        &format!("{CONFIG}config = {{ percent = 5 }}\n"),
    );
    assert_eq!(published(&mut writer), 2);
    assert_eq!(own(&writer).digest, digest("balancer needs:percent"));
}

#[test]
fn bad_policy_does_not_hold_up_the_configuration_or_other_policies() {
    let scene = Scene::new();
    let two = CONFIG.replace("lbmethod = \"byrequests\"", "lbmethod = \"policy:two\"");
    let two = format!("{two}[policy.two]\nsource = \"policies/two.wasm\"\n");
    scene.write("policies/two.wasm", "balancer two");
    scene.write("switchyard.toml", &two);
    let mut writer = scene.start().unwrap();
    scene.write("policies/own.wasm", "balancer trap-init");
    scene.write("policies/two.wasm", "balancer two-v2");
    scene.write("switchyard.toml", &two.replace("/shop", "/store"));
    published(&mut writer);
    let live = writer.current().load();
    assert_eq!(live.snapshot.vhosts[0].routes[1].name, "/store");
    assert_eq!(own(&writer).digest, digest("balancer v1"));
    assert_eq!(facts(&writer).policies[1].digest, digest("balancer two-v2"));
}

#[test]
fn wrong_configuration_does_not_hold_up_a_policy() {
    let scene = Scene::new();
    let mut writer = scene.start().unwrap();
    scene.write("switchyard.toml", "version = ");
    scene.write("policies/own.wasm", "balancer v2");
    assert_eq!(published(&mut writer), 2);
    assert_eq!(own(&writer).digest, digest("balancer v2"));
    assert!(facts(&writer).last_error.is_some());
}

#[test]
fn start_needs_every_policy() {
    for bad in [
        None,
        Some("unloadable"),
        Some("balancer trap-init"),
        Some("balancer trap-pick"),
    ] {
        let scene = Scene::new();
        match bad {
            Some(text) => scene.write("policies/own.wasm", text),
            None => fs::remove_file(scene.path("policies/own.wasm")).unwrap(),
        }
        let error = scene.start().unwrap_err().to_string();
        assert!(error.contains("`own`"), "{error}");
    }
}

#[test]
fn facts_are_json_with_stable_names() {
    let scene = Scene::new();
    let writer = scene.start().unwrap();
    let json = serde_json::to_value(&*facts(&writer)).unwrap();
    assert_eq!(json["generation"], 1);
    let entry = &json["policies"][0]["history"][0];
    assert_eq!(entry["outcome"], "in_service");
    assert_eq!(entry["cause"], "start");
    assert_eq!(entry["digest"], digest("balancer v1"));
}

#[test]
fn history_outlives_the_process_where_there_is_a_folder_for_it() {
    let scene = Scene::new();
    let config = CONFIG.replace("version = 1", "version = 1\nstate_dir = \"state\"");
    scene.write("switchyard.toml", &config);
    let mut writer = scene.start().unwrap();
    scene.write("policies/own.wasm", "unloadable");
    refused(&mut writer);
    scene.write("policies/own.wasm", "balancer v2");
    published(&mut writer);
    let before = own(&writer).history;
    drop(writer);
    let writer = scene.start().unwrap();
    assert_eq!(own(&writer).history[1..], before);
    assert_eq!(before.len(), 3);
}
