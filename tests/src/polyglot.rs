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
const MISSING: i32 = 3;

/// The example's policy; `None`, with the reason printed, where its toolchain is missing.
/// `cargo xtask test --all` installs the toolchains and makes that a failure.
///
/// # Panics
/// Where it cannot be built; the script's own words stand above.
#[track_caller]
pub fn built(language: &str) -> Option<Vec<u8>> {
    let root = target::tests_dir().join("..");
    let example = root.join("examples/polyglot").join(language);
    let dir = target::shared("polyglot");
    let lock = File::create(dir.join(format!("{language}.lock"))).unwrap();
    lock.lock().unwrap();
    let out = dir.join(language).with_extension("wasm");
    if !is_current(&out, &[&example, &root.join("wit")]) && !build(&example, &root, &dir, &out) {
        return None;
    }
    Some(fs::read(&out).unwrap_or_else(|e| panic!("{}: {e}", out.display())))
}

/// Where `cargo xtask toolchains` installs what the scripts run.
pub fn toolchains() -> PathBuf {
    let tmp = target::shared("polyglot");
    let target = tmp.ancestors().nth(2).expect("it lies in target/tmp");
    target.join("toolchains")
}

/// Whether there is a toolchain.
fn build(example: &Path, root: &Path, dir: &Path, out: &Path) -> bool {
    let bindings = dir.join("bindings");
    c_bindings(&root.join("wit"), "balancer-policy", &bindings).unwrap_or_else(|e| panic!("{e}"));
    // Half a file of a build that was interrupted is not to be taken for a policy.
    let unfinished = out.with_extension("unfinished");
    let script = example.join("build.sh");
    let ended = Command::new(&script)
        .arg(&unfinished)
        .env("BINDINGS", &bindings)
        .env("SWITCHYARD_TOOLCHAINS", toolchains())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", script.display()));
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.status.code() == Some(MISSING) {
        assert!(
            env::var_os("SWITCHYARD_TEST_ALL").is_none(),
            "every toolchain was to be there: {said}"
        );
        println!("SKIPPED: {}", said.trim());
        return false;
    }
    assert!(ended.status.success(), "{}: {said}", script.display());
    fs::rename(&unfinished, out).unwrap();
    true
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
