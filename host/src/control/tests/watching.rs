//! Every way in which a file can become another one.

use std::{
    fs,
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use super::fixture::{CONFIG, Scene, digest};
use crate::control::{Controller, Watch};

/// Far beyond what a busy machine takes.
const DEADLINE: Duration = Duration::from_secs(20);

struct Running<'a> {
    scene: &'a Scene,
    controller: Controller,
    watch: Watch,
}

impl<'a> Running<'a> {
    fn start(scene: &'a Scene) -> Self {
        let controller = Controller::start(scene.start().unwrap()).unwrap();
        let watch = Watch::start(&controller).unwrap();
        Self {
            scene,
            controller,
            watch,
        }
    }

    /// Waits until this content of the policy is in service.
    fn await_policy(&self, text: &str) {
        let wanted = digest(text);
        self.until(text, |facts| facts.policies[0].digest == wanted);
    }

    fn until(&self, what: &str, holds: impl Fn(&crate::control::ControlFacts) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            // Facts are told after the publication is; the next command waits for both.
            let left = end.saturating_duration_since(Instant::now());
            let next = self
                .scene
                .published
                .recv_timeout(left.min(Duration::from_millis(20)));
            if holds(&self.controller.facts()) {
                return;
            }
            assert!(
                next.is_ok() || !left.is_zero(),
                "{what}: {:?}",
                self.controller.facts()
            );
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.watch.stop();
        self.controller.stop();
    }
}

#[test]
fn every_way_to_replace_a_policy_is_seen_and_the_next_one_too() {
    type Replace = fn(&Scene, &str);
    let ways: [(&str, Replace); 6] = [
        ("rename over", |scene, text| {
            scene.write("policies/.own.tmp", text);
            fs::rename(
                scene.path("policies/.own.tmp"),
                scene.path("policies/own.wasm"),
            )
            .unwrap();
        }),
        ("truncate and write", |scene, text| {
            scene.write("policies/own.wasm", text)
        }),
        ("delete and create again", |scene, text| {
            fs::remove_file(scene.path("policies/own.wasm")).unwrap();
            scene.write("policies/own.wasm", text);
        }),
        ("swap of the folder", |scene, text| {
            scene.write("policies.new/own.wasm", text);
            fs::rename(scene.path("policies"), scene.path("policies.old")).unwrap();
            fs::rename(scene.path("policies.new"), scene.path("policies")).unwrap();
            fs::remove_dir_all(scene.path("policies.old")).unwrap();
        }),
        ("folder that vanishes and comes back", |scene, text| {
            fs::remove_dir_all(scene.path("policies")).unwrap();
            scene.write("policies/own.wasm", text);
        }),
        ("link to another folder", |scene, text| {
            let release = format!("releases/{}", digest(text));
            scene.write(&format!("{release}/own.wasm"), text);
            symlink(&release, scene.path("policies.link")).unwrap();
            // A link cannot be renamed over a folder that is not empty.
            if !scene.path("policies").is_symlink() {
                fs::remove_dir_all(scene.path("policies")).unwrap();
            }
            fs::rename(scene.path("policies.link"), scene.path("policies")).unwrap();
        }),
    ];
    for (way, replace) in ways {
        let scene = Scene::new();
        let running = Running::start(&scene);
        for version in 2..5 {
            let text = format!("balancer v{version} by {way}");
            replace(&scene, &text);
            running.await_policy(&text);
        }
    }
}

#[test]
fn configuration_in_a_kubernetes_volume_is_seen_when_its_data_link_moves() {
    let scene = Scene::new();
    fs::remove_file(scene.path("switchyard.toml")).unwrap();
    fs::remove_dir_all(scene.path("policies")).unwrap();
    let mount = |version: u32| {
        scene.write(
            &format!("..{version}/switchyard.toml"),
            &CONFIG.replace("/app", &format!("/app{version}")),
        );
        scene.write(
            &format!("..{version}/policies/own.wasm"),
            &format!("balancer v{version}"),
        );
        symlink(format!("..{version}"), scene.path("..data_tmp")).unwrap();
        fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
    };
    mount(1);
    symlink("..data/switchyard.toml", scene.path("switchyard.toml")).unwrap();
    symlink("..data/policies", scene.path("policies")).unwrap();
    let running = Running::start(&scene);
    for version in 2..5 {
        mount(version);
        fs::remove_dir_all(scene.path(&format!("..{}", version - 1))).unwrap();
        running.await_policy(&format!("balancer v{version}"));
    }
}

#[test]
fn file_that_a_reload_brought_in_is_watched_from_then_on() {
    let scene = Scene::new();
    let running = Running::start(&scene);
    scene.write("elsewhere/own.wasm", "balancer elsewhere");
    scene.write(
        "switchyard.toml",
        &CONFIG.replace("policies/own", "elsewhere/own"),
    );
    running.await_policy("balancer elsewhere");
    scene.write("elsewhere/own.wasm", "balancer elsewhere v2");
    running.await_policy("balancer elsewhere v2");
}

#[test]
fn policy_that_a_refused_configuration_waits_for_mends_it() {
    let scene = Scene::new();
    let running = Running::start(&scene);
    scene.write(
        "switchyard.toml",
        &CONFIG.replace("policies/own", "late/own"),
    );
    running.until("refusal", |facts| facts.last_error.is_some());
    scene.write("late/own.wasm", "balancer late");
    running.await_policy("balancer late");
    running.until("no trouble", |facts| facts.last_error.is_none());
}

#[test]
fn half_written_policy_is_refused_until_it_is_whole() {
    let scene = Scene::new();
    let running = Running::start(&scene);
    scene.write("policies/own.wasm", "unloadable half");
    running.until("refusal", |facts| facts.policies[0].last_error.is_some());
    scene.write("policies/own.wasm", "balancer whole");
    running.await_policy("balancer whole");
}
