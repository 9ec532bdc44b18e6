//! The policies of `examples/polyglot`, built by their own scripts on first use.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use switchyard_guest_build::c_bindings;

use crate::target;

/// What a build script ends with where its toolchain is missing.
pub const MISSING: i32 = 3;

/// The example that decides so, as in `policy new --kind`; `None`, with the reason printed, where its toolchain is missing.
/// `cargo xtask test --all` installs the toolchains and makes that a failure.
///
/// # Panics
/// Where it cannot be built; the script's own words stand above.
#[track_caller]
pub fn built(language: &str, kind: &str) -> Option<Vec<u8>> {
    let root = target::tests_dir().join("..");
    let example = example(language);
    let dir = target::shared("polyglot");
    let policy = dir.join(format!("{language}-{kind}"));
    let lock = File::create(policy.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let out = policy.with_extension("wasm");
    if !is_current(&out, &[&example, &root.join("wit")]) && !build(&example, &root, kind, &out) {
        return None;
    }
    Some(fs::read(&out).unwrap_or_else(|e| panic!("{}: {e}", out.display())))
}

fn example(language: &str) -> PathBuf {
    let examples = target::tests_dir().join("../examples/polyglot");
    examples.join(language)
}

/// What builds the examples of a language.
pub fn script(language: &str) -> PathBuf {
    example(language).join("build.sh")
}

/// Where `cargo xtask toolchains` installs what the scripts run.
pub fn toolchains() -> PathBuf {
    let tmp = target::shared("polyglot");
    let target = tmp.ancestors().nth(2).expect("it lies in target/tmp");
    target.join("toolchains")
}

/// The source of the example that decides so, in every language.
fn source(kind: &str) -> &'static str {
    match kind {
        "balancer" => "weighted",
        "affinity" => "sticky",
        "rewriter" => "brand",
        other => panic!("no example is a {other}"),
    }
}

/// Whether there is a toolchain.
fn build(example: &Path, root: &Path, kind: &str, out: &Path) -> bool {
    let world = format!("{kind}-policy");
    // Only C takes them.
    let bindings = out.with_extension("bindings");
    c_bindings(&root.join("wit"), &world, &bindings).unwrap_or_else(|e| panic!("{e}"));
    // Half a file of a build that was interrupted is not to be taken for a policy.
    let unfinished = out.with_extension("unfinished");
    let script = example.join("build.sh");
    let ended = Command::new(&script)
        .arg(&unfinished)
        .args([source(kind), &world])
        .env("BINDINGS", &bindings)
        .env("SWITCHYARD_TOOLCHAINS", toolchains())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", script.display()));
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.status.code() == Some(MISSING) {
        skip(&said);
        return false;
    }
    assert!(ended.status.success(), "{}: {said}", script.display());
    fs::rename(&unfinished, out).unwrap();
    true
}

/// Runs `switchyard policy build` in the folder of a project; `false`, with the reason printed,
/// where its toolchain is missing.
///
/// # Panics
/// As [`built`].
#[track_caller]
pub fn build_project(folder: &Path) -> bool {
    let ended = Command::new(target::switchyard())
        .args(["policy", "build"])
        .current_dir(folder)
        .env("SWITCHYARD_TOOLCHAINS", toolchains())
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    if said.contains("a tool is missing") {
        skip(&said);
        return false;
    }
    assert!(ended.status.success(), "{}: {said}", folder.display());
    true
}

fn skip(reason: &str) {
    assert!(
        env::var_os("SWITCHYARD_TEST_ALL").is_none(),
        "every toolchain was to be there: {reason}"
    );
    println!("SKIPPED: {}", reason.trim());
}

/// Whether `built` is newer than everything in the folders.
fn is_current(built: &Path, folders: &[&Path]) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    let Some(built) = time(built) else {
        return false;
    };
    let files = folders.iter().flat_map(|folder| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
    });
    let newest: Option<SystemTime> = files.filter_map(|path: PathBuf| time(&path)).max();
    newest.is_some_and(|newest| newest < built)
}
