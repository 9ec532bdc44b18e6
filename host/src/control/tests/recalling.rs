//! A start that finds a tenant's files broken.

use std::{fs, path::PathBuf, time::Duration};

use super::{
    fixture::{CONFIG, Scene, digest, facts, published},
    loading::{ACME, DEADLINE, impatient, serves, started},
};
use crate::control::{Cause, TenantFacts, TenantState, Writer};

const BROKEN: &str = "[[vhost]\n";

/// With a folder for what outlives the process, and a tenant that was served once.
fn scene() -> Scene {
    let scene = Scene::new();
    keeping(&scene);
    scene.write("tenants/acme/site.toml", ACME);
    scene.write("tenants/acme/own.wasm", "balancer good");
    let writer = scene.start().unwrap();
    assert_eq!(acme(&writer).state, TenantState::Serving);
    scene
}

fn keeping(scene: &Scene) {
    let config = CONFIG.replace("version = 1", "version = 1\nstate_dir = \"state\"");
    scene.write("switchyard.toml", &config);
}

fn acme(writer: &Writer) -> TenantFacts {
    facts(writer).tenants[0].clone()
}

fn in_service(writer: &Writer) -> String {
    let facts = facts(writer);
    let own = facts.policies.iter().find(|p| p.tenant.as_str() == "acme");
    own.map_or_else(String::new, |own| own.digest.clone())
}

fn page(scene: &Scene) -> PathBuf {
    scene.path("state/tenants/acme/last-good.json")
}

#[test]
fn tenant_whose_files_are_broken_serves_what_it_served_last() {
    let broken: [fn(&Scene); 4] = [
        |scene| scene.write("tenants/acme/site.toml", BROKEN),
        |scene| fs::remove_file(scene.path("tenants/acme/site.toml")).unwrap(),
        |scene| scene.write("tenants/acme/own.wasm", "unloadable"),
        // Right in itself, and it does not go together with its place.
        |scene| scene.write("tenants/acme/own.wasm", "rewriter"),
    ];
    for (index, break_it) in broken.into_iter().enumerate() {
        let scene = scene();
        break_it(&scene);
        let writer = scene.start().unwrap();
        assert!(serves(&writer, "acme:app"), "{index}");
        assert_eq!(in_service(&writer), digest("balancer good"), "{index}");
        let acme = acme(&writer);
        assert_eq!(acme.state, TenantState::LastGood, "{index}");
        assert!(acme.last_error.is_some(), "{index}");
        assert_eq!(acme.unrecalled, None, "{index}");
    }
}

#[test]
fn tenant_goes_on_from_there_when_its_files_are_mended() {
    let scene = scene();
    scene.write("tenants/acme/site.toml", BROKEN);
    let mut writer = scene.start().unwrap();
    // What is broken in another way is another thing to tell, and nothing else.
    scene.write("tenants/acme/site.toml", "[[listener]]\n");
    writer.reload(Cause::Files);
    assert_eq!(acme(&writer).state, TenantState::LastGood);
    assert!(serves(&writer, "acme:app"));
    scene.write("tenants/acme/site.toml", ACME);
    writer.reload(Cause::Files);
    assert_eq!(acme(&writer).state, TenantState::Serving);
    scene.write("tenants/acme/own.wasm", "balancer better");
    published(&mut writer);
    drop(writer);
    // A version that came alone is what it served last, too.
    scene.write("tenants/acme/site.toml", BROKEN);
    let writer = scene.start().unwrap();
    assert_eq!(in_service(&writer), digest("balancer better"));
}

#[test]
fn what_is_not_what_was_kept_is_refused_and_named() {
    type Damage = fn(&Scene);
    let damages: [(Damage, &str); 3] = [
        (
            |scene| {
                let text = fs::read_to_string(page(scene)).unwrap();
                fs::write(page(scene), text.replace("acme.example", "evil.example")).unwrap();
            },
            "checksum",
        ),
        (
            |scene| {
                let file = format!("state/versions/{}.wasm", digest("balancer good"));
                scene.write(&file, "balancer evil");
            },
            "is damaged",
        ),
        (
            |scene| {
                fs::remove_file(page(scene)).unwrap();
                let secret = scene.path("switchyard.toml");
                std::os::unix::fs::symlink(secret, page(scene)).unwrap();
            },
            "leads out",
        ),
    ];
    for (damage, due) in damages {
        let scene = scene();
        scene.write("tenants/acme/site.toml", BROKEN);
        damage(&scene);
        let writer = scene.start().unwrap();
        let acme = acme(&writer);
        assert_eq!(acme.state, TenantState::LeftOut, "{due}");
        let why = acme.unrecalled.unwrap();
        assert!(why.contains(due), "{due} in {why}");
        assert!(!serves(&writer, "acme:app"));
    }
}

#[test]
fn what_was_kept_is_held_to_the_operators_rules_of_today() {
    let scene = scene();
    scene.write("tenants/acme/site.toml", BROKEN);
    let config = fs::read_to_string(scene.path("switchyard.toml")).unwrap();
    let config = config + "[tenant.acme]\nhosts = [\"other.example\"]\n";
    scene.write("switchyard.toml", &config);
    let writer = scene.start().unwrap();
    assert_eq!(acme(&writer).state, TenantState::LeftOut);
    let why = acme(&writer).unrecalled.unwrap();
    assert!(why.contains("not among the hosts"), "{why}");
}

#[test]
fn tenant_that_is_removed_leaves_nothing_behind() {
    let scene = scene();
    assert!(page(&scene).exists());
    let mut writer = scene.start().unwrap();
    let gone = || fs::remove_dir_all(scene.path("tenants/acme")).unwrap();
    gone();
    published(&mut writer);
    assert!(!page(&scene).exists());
    drop(writer);
    // Likewise while nobody looks.
    scene.write("tenants/acme/site.toml", ACME);
    scene.write("tenants/acme/own.wasm", "balancer good");
    drop(scene.start().unwrap());
    assert!(page(&scene).exists());
    gone();
    drop(scene.start().unwrap());
    assert!(!page(&scene).exists());
    scene.write("tenants/acme/site.toml", BROKEN);
    assert_eq!(acme(&scene.start().unwrap()).state, TenantState::LeftOut);
}

#[test]
fn nothing_is_kept_without_a_folder_for_it() {
    let scene = scene();
    scene.write("switchyard.toml", CONFIG);
    scene.write("tenants/acme/site.toml", BROKEN);
    let writer = scene.start().unwrap();
    assert_eq!(acme(&writer).state, TenantState::LeftOut);
    assert_eq!(acme(&writer).unrecalled, None);
}

#[test]
fn tenant_whose_policy_is_still_compiled_is_not_left_out() {
    let mut scene = impatient();
    // A start waits a hundred times longer.
    scene.patience = Duration::from_micros(200);
    keeping(&scene);
    scene.write("tenants/acme/site.toml", ACME);
    scene.write("tenants/acme/own.wasm", "balancer slow");
    let (mut writer, woken) = started(&scene);
    assert_eq!(acme(&writer).state, TenantState::Compiling);
    assert_eq!(acme(&writer).last_error, None);
    scene.gate.open();
    while acme(&writer).state == TenantState::Compiling {
        // It may have been loaded before anybody was to be woken.
        let _ = woken.recv_timeout(DEADLINE / 100);
        writer.reload(Cause::Files);
    }
    assert_eq!(acme(&writer).state, TenantState::Serving);
    drop(writer);
    // So is one that is to get back what it served last.
    let mut again = impatient();
    again.patience = scene.patience;
    again.folder = scene.folder;
    again.write("tenants/acme/site.toml", BROKEN);
    let (mut writer, woken) = started(&again);
    assert_eq!(acme(&writer).state, TenantState::Compiling);
    assert!(acme(&writer).last_error.is_some());
    again.gate.open();
    while acme(&writer).state == TenantState::Compiling {
        let _ = woken.recv_timeout(DEADLINE / 100);
        writer.reload(Cause::Files);
    }
    assert_eq!(acme(&writer).state, TenantState::LastGood);
}

/// Whose this host is.
fn holder(writer: &Writer, host: &str) -> Option<String> {
    let live = writer.current().load();
    let mut vhosts = live.snapshot.vhosts.iter();
    let vhost = vhosts.find(|vhost| vhost.name == host)?;
    Some(vhost.tenant.as_str().to_owned())
}

#[test]
fn tenant_keeps_its_host_while_its_policy_is_compiled_at_the_start() {
    let mut scene = Scene::new();
    keeping(&scene);
    // By name it comes first.
    let abel = |host: &str| {
        let site = ACME.replace("acme.example", host);
        let site = site.replace("policy:own", "byrequests");
        let policies = site.find("[policy.own]").unwrap();
        scene.write("tenants/abel/site.toml", &site[..policies]);
    };
    abel("abel.example");
    scene.write("tenants/acme/site.toml", ACME);
    scene.write("tenants/acme/own.wasm", "balancer slow");
    scene.gate.open();
    let writer = scene.start().unwrap();
    assert_eq!(holder(&writer, "acme.example").as_deref(), Some("acme"));
    drop(writer);

    abel("acme.example");
    scene.gate = Default::default();
    scene.patience = Duration::from_micros(200);
    let (mut writer, woken) = started(&scene);
    let state = |writer: &Writer| {
        let facts = facts(writer);
        let [abel, acme] = &facts.tenants[..] else {
            panic!("{facts:?}");
        };
        (abel.state, acme.state, abel.last_error.clone())
    };
    let (abel, acme, why) = state(&writer);
    assert_eq!(
        (abel, acme),
        (TenantState::LastGood, TenantState::Compiling)
    );
    let why = why.unwrap().what;
    assert!(
        why.contains("`acme`") && why.contains("acme.example"),
        "{why}"
    );
    assert_eq!(holder(&writer, "acme.example"), None);
    assert_eq!(holder(&writer, "abel.example").as_deref(), Some("abel"));
    // Nor is it given away at the next change.
    scene.write(
        "switchyard.toml",
        &fs::read_to_string(scene.path("switchyard.toml"))
            .unwrap()
            .replace("/shop", "/store"),
    );
    published(&mut writer);
    assert_eq!(holder(&writer, "acme.example"), None);
    scene.gate.open();
    while state(&writer).1 == TenantState::Compiling {
        // It may have been loaded before anybody was to be woken.
        let _ = woken.recv_timeout(DEADLINE / 100);
        writer.reload(Cause::Files);
    }
    assert_eq!(holder(&writer, "acme.example").as_deref(), Some("acme"));
    assert_eq!(holder(&writer, "abel.example").as_deref(), Some("abel"));
}
