//! The authors' guide, followed from an empty directory: every command, and what it prints.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{DirEntryExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use switchyard_tests::{
    Member, Setup,
    command::{Said, shell, switchyard_in, switchyard_with_caches},
    guests,
    page::{Page, Shown, is_shown},
    polyglot, scripts, target,
};

use crate::conf::site;

const GUIDE: Page<'_> = Page::new(include_str!("../../docs/authors.md"));

/// A folder whose projects share what cargo has built before, by the workspace's versions.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-author-")
            .tempdir()
            .unwrap();
        Self { folder }
    }

    fn caches(&self) -> PathBuf {
        self.folder.path().join("caches")
    }

    /// Gives a new project the crates that are there already.
    fn provide(&self, project: &str) {
        let project = self.folder.path().join(project);
        symlink(target::shared("author-target"), project.join("target")).unwrap();
        let lock = target::tests_dir().join("../Cargo.lock");
        fs::copy(lock, project.join("Cargo.lock")).unwrap();
    }
}

#[test]
fn the_guide_is_followed_from_an_empty_directory() {
    // Whoever else builds there at the same time waits.
    let lock = fs::File::create(target::shared("author-target").join("lock")).unwrap();
    lock.lock().unwrap();
    let desk = Desk::new();
    let mut place = desk.folder.path().to_owned();
    for Shown { command, lines } in GUIDE.commands() {
        if let Some(folder) = command.strip_prefix("cd ") {
            place.push(folder);
            continue;
        }
        if command.starts_with("cargo ") {
            desk.provide("canary");
        }
        // What earlier runs have compiled is not there.
        let fresh = format!("export XDG_CACHE_HOME={:?}; {command}", desk.caches());
        let printed = shell(&place, &fresh);
        let found: Vec<_> = printed.lines().collect();
        assert!(
            is_shown(&lines, &found),
            "$ {command}\n{printed}\n--- is not what the guide shows:\n{}",
            lines.join("\n")
        );
    }
    serve(&fs::read(place.join("canary.wasm")).unwrap());
}

/// The last step: the policy that was built, in a gateway, by the configuration that the guide shows.
fn serve(wasm: &[u8]) {
    let members = ["one", "two", "canary"].map(|name| Member::start(name, scripts::name()));
    let shown = GUIDE
        .blocks("toml")
        .into_iter()
        .find(|block| block.contains("source ="));
    let mut text = shown
        .expect("the guide shows it")
        .replace("percent = 5", "percent = 100");
    for (member, host) in members.iter().zip(["10.0.0.11", "10.0.0.12", "10.0.0.13"]) {
        let there = format!("{host}:8080");
        assert!(text.contains(&there), "{text}");
        text = text.replace(&there, &member.addr().to_string());
    }
    let text = site(&[("/", "balancer = \"mycluster\"")]) + &text;
    let gateway = Setup::new(text).file("policies/canary.wasm", wasm).start();
    let sequence: String = (0..4).map(|_| gateway.get("/").text()).collect();
    assert_eq!(sequence, "canary".repeat(4));
    // And none of them, where nobody is to go there.
    let text = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(
        "switchyard.toml",
        text.replace("percent = 100", "percent = 0"),
    );
    gateway.wait_for_status("the new configuration", |s| s["config"]["generation"] == 2);
    let sequence: String = (0..4).map(|_| gateway.get("/").text()).collect();
    assert_eq!(sequence, "onetwo".repeat(2));
}

/// The other kinds build, say what they are and hold their scenarios as they are written, too.
#[test]
fn every_kind_of_project_builds_and_holds_its_scenario() {
    let lock = fs::File::create(target::shared("author-target").join("lock")).unwrap();
    lock.lock().unwrap();
    let desk = Desk::new();
    for kind in ["affinity", "rewriter"] {
        let name = format!("my-{kind}");
        let made = switchyard_in(
            desk.folder.path(),
            &["policy", "new", &name, "--kind", kind],
        );
        assert!(made.status.success(), "{}", made.all());
        desk.provide(&name);
        let place = desk.folder.path().join(&name);
        let line = format!(
            "switchyard policy build 2>&1 && switchyard policy inspect {name}.wasm && \
             switchyard policy test {name}.wasm scenarios/*.toml && echo held"
        );
        let printed = shell(&place, &line);
        assert!(printed.ends_with("held\n"), "{printed}");
        let due = format!("  decides       {kind}\n");
        assert!(printed.contains(&due), "{printed}");
        assert!(printed.contains("expectations held"), "{printed}");
        // Neither the SDK nor the policy leaves the author anything to mend.
        assert!(!printed.contains("warning"), "{printed}");
        // A project is not written over.
        let again = switchyard_in(desk.folder.path(), &["policy", "new", &name]);
        assert_eq!(again.status.code(), Some(64), "{}", again.all());
        assert!(again.err.contains("is there already"), "{}", again.err);
    }
}

/// So do projects in other languages, where their tools are.
fn a_project_holds_its_scenario(kind: &str, language: &str) {
    let desk = Desk::new();
    let name = format!("my-{kind}");
    let arguments = ["policy", "new", &name, "--kind", kind, "--lang", language];
    let made = switchyard_in(desk.folder.path(), &arguments);
    assert!(made.status.success(), "{}", made.all());
    let place = desk.folder.path().join(&name);
    if !polyglot::build_project(&place) {
        return;
    }
    // Half a minute each, where there is an interpreter to compile.
    let inspected = shell(&place, &format!("switchyard policy inspect {name}.wasm"));
    let due = format!("  decides       {kind}\n");
    assert!(inspected.contains(&due), "{language}: {inspected}");
    let test = format!("switchyard policy test {name}.wasm scenarios/*.toml && echo held");
    let printed = shell(&place, &test);
    assert!(
        printed.ends_with("expectations held\nheld\n"),
        "{language}: {printed}"
    );
}

#[test]
fn projects_in_c_build_and_hold_their_scenarios() {
    for kind in ["balancer", "affinity", "rewriter"] {
        a_project_holds_its_scenario(kind, "c");
    }
}

#[test]
fn projects_in_javascript_build_and_hold_their_scenarios() {
    for kind in ["balancer", "affinity", "rewriter"] {
        a_project_holds_its_scenario(kind, "js");
    }
}

#[test]
fn a_balancer_in_python_builds_and_holds_its_scenario() {
    a_project_holds_its_scenario("balancer", "python");
}

#[test]
fn an_affinity_in_python_builds_and_holds_its_scenario() {
    a_project_holds_its_scenario("affinity", "python");
}

#[test]
fn a_rewriter_in_python_builds_and_holds_its_scenario() {
    a_project_holds_its_scenario("rewriter", "python");
}

/// The scenarios are the same in all languages but Rust.
#[test]
fn a_policy_that_does_nothing_holds_no_projects_scenario() {
    let desk = Desk::new();
    for (kind, source, nothing) in [
        (
            "balancer",
            "weighted.js",
            "balancer.pick = () => ({ tag: 'abstain' });",
        ),
        (
            "affinity",
            "sticky.js",
            "affinity.locate = () => undefined; affinity.bind = () => [];",
        ),
        (
            "rewriter",
            "brand.js",
            "rewriter.onRequest = () => ({ headers: [] });\n\
             rewriter.onResponse = () => ({ headers: [], body: { tag: 'pass' } });",
        ),
    ] {
        let arguments = ["policy", "new", kind, "--kind", kind, "--lang", "js"];
        let made = switchyard_in(desk.folder.path(), &arguments);
        assert!(made.status.success(), "{}", made.all());
        let place = desk.folder.path().join(kind);
        let text = fs::read_to_string(place.join(source)).unwrap();
        fs::write(place.join(source), text + nothing).unwrap();
        if !polyglot::build_project(&place) {
            return;
        }
        let file = format!("{kind}.wasm");
        let tested = switchyard_in(&place, &["policy", "test", &file, "scenarios/first.toml"]);
        assert_eq!(tested.status.code(), Some(1), "{}", tested.all());
        assert!(!tested.out.contains("the policy failed"), "{}", tested.out);
    }
}

const SCENARIO: &str = "[balancer]\nmembers = [{ url = \"http://a\" }, { url = \"http://b\" }]\n[[step]]\nrequests = 4\n";

/// Runs `policy test` on the test guests' balancer with this configuration.
fn tested(guest: &str, scenario: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it.wasm"), guests::component(guest)).unwrap();
    fs::write(folder.path().join("it.toml"), scenario).unwrap();
    switchyard_in(folder.path(), &["policy", "test", "it.wasm", "it.toml"])
}

#[test]
fn a_policy_that_misbehaves_breaks_its_scenario_with_the_reason() {
    for (does, deadline, due) in [
        ("trap", "5ms", "the policy failed once"),
        ("loop", "5ms", "ran longer than its deadline"),
        // Filling memory takes instructions, too.
        ("allocate", "1s", "more memory than its limit"),
        ("out-of-range", "5ms", "could not follow"),
    ] {
        let config = format!(
            "[policy]\nconfig = {{ does = \"{does}\" }}\nlimits = {{ deadline = \"{deadline}\" }}\n"
        );
        let said = tested(
            "balancer",
            &format!("{config}{SCENARIO}headers = {{ x-misbehave = \"1\" }}\n"),
        );
        assert_eq!(said.status.code(), Some(1), "{does}: {}", said.all());
        assert!(said.out.contains(due), "{does}: {due:?} in {}", said.all());
    }
}

#[test]
fn what_cannot_be_tested_is_refused_before_anything_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let rewriter = guests::component("rewriter");
    write("rewriter.wasm", &rewriter);
    write("half.wasm", &rewriter[..rewriter.len() / 2]);
    write("text.wasm", b"(module)");
    write("good.toml", SCENARIO.as_bytes());
    write(
        "wrong.toml",
        b"[[step]]\nrequets = 1\n[[step]]\ndies = \"x\"\n",
    );
    let chain = SCENARIO.replace("[balancer]\n", "[balancer]\nlbmethod = \"policy:tested\"\n");
    write("kind.toml", chain.as_bytes());
    for (file, scenario, due) in [
        (
            "rewriter.wasm",
            "wrong.toml",
            "step[0].requets: unknown key",
        ),
        (
            "rewriter.wasm",
            "wrong.toml",
            "step[1].dies: there is no member `x`",
        ),
        ("rewriter.wasm", "none.toml", "none.toml: cannot be read"),
        ("rewriter.wasm", "kind.toml", "balancer"),
        ("half.wasm", "good.toml", "half.wasm"),
        ("text.wasm", "good.toml", "WebAssembly text"),
        ("none.wasm", "good.toml", "none.wasm cannot be read"),
    ] {
        let said = switchyard_in(folder.path(), &["policy", "test", file, scenario]);
        assert_eq!(said.status.code(), Some(64), "{}", said.all());
        assert!(said.err.contains(due), "{due:?} in {}", said.all());
        assert_eq!(said.out, "", "nothing is played");
    }
}

#[test]
fn a_missing_toolchain_is_named_with_the_three_ways_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = switchyard_in(folder.path(), &["policy", "new", "it"]);
    assert!(made.status.success(), "{}", made.all());
    // Nothing is on PATH here but what the program itself needs.
    let output = Command::new(target::switchyard())
        .args(["policy", "build", "it"])
        .current_dir(folder.path())
        .env("PATH", folder.path())
        .env_remove("RUSTC")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for due in ["1. ", "2. `rustup target add", "3. Debian", "--install"] {
        assert!(said.contains(due), "{due} in {said}");
    }
}

/// What is kept: each file's name, and which it is. What is compiled again is another file.
fn kept(caches: &Path) -> BTreeMap<PathBuf, u64> {
    let files = fs::read_dir(caches.join("switchyard")).unwrap();
    let files = files.map(|file| file.unwrap());
    files.map(|file| (file.path(), file.ino())).collect()
}

#[test]
fn a_file_is_not_compiled_again_for_another_command() {
    let folder = tempfile::tempdir().unwrap();
    let (place, caches) = (folder.path(), folder.path().join("caches"));
    fs::write(place.join("it.wasm"), guests::component("balancer")).unwrap();
    fs::write(place.join("it.toml"), SCENARIO).unwrap();
    let run = |arguments: &[&str]| {
        let said = switchyard_with_caches(&caches, place, arguments);
        assert!(said.status.success(), "{}", said.all());
        said
    };
    let bench = ["policy", "bench", "it.wasm", "--members", "1"];
    assert!(run(&bench).out.contains("bytes, compiled in "));
    assert!(
        run(&bench)
            .out
            .contains("bytes, compiled before; 1 members")
    );
    // An engine that counts instructions has code of its own.
    let benched = kept(&caches);
    run(&["policy", "inspect", "it.wasm"]);
    let inspected = kept(&caches);
    assert_eq!((benched.len(), inspected.len()), (1, 2));
    run(&["policy", "inspect", "it.wasm"]);
    assert_eq!(kept(&caches), inspected);
    let test = || run(&["policy", "test", "it.wasm", "it.toml"]);
    let tested = test();
    let all = kept(&caches);
    assert!(inspected.iter().all(|(file, inode)| all[file] == *inode));

    // Damaged, open to others or no folder at all: the command does what it does, and mends what is its own.
    for file in all.keys() {
        let code = fs::read(file).unwrap();
        fs::write(file, &code[..code.len() / 2]).unwrap();
    }
    let sizes = || all.keys().map(|file| fs::metadata(file).unwrap().len());
    let damaged: Vec<u64> = sizes().collect();
    assert_eq!(test().all(), tested.all());
    let mended = sizes().zip(damaged).filter(|(now, half)| now > half);
    assert_eq!(mended.count(), all.len() - 1, "all but what bench used");
    let mended = kept(&caches);
    test();
    assert_eq!(kept(&caches), mended);
    let own = caches.join("switchyard");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
    for file in mended.keys() {
        fs::remove_file(file).unwrap();
    }
    let refused = test();
    assert_eq!(refused.out, tested.out);
    assert!(
        refused.err.contains("is open to others (mode 0777)"),
        "{}",
        refused.err
    );
    assert!(kept(&caches).is_empty(), "nothing is added");
    fs::remove_dir_all(&caches).unwrap();
    fs::write(&caches, "").unwrap();
    assert_eq!(test().all(), tested.all());
}
