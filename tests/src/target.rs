//! Where the built program and shared scratch space are.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// `target/<profile>`: two up from the running test's own file in `deps`.
pub fn profile_dir() -> PathBuf {
    let test = env::current_exe().expect("the test knows its own file");
    let deps = test.parent().expect("a file has a folder");
    let dir = if deps.ends_with("deps") {
        deps.parent().expect("deps has a parent")
    } else {
        deps
    };
    dir.to_owned()
}

/// The gateway's program.
///
/// # Panics
/// With what to do, where it has not been built.
pub fn switchyard() -> PathBuf {
    let program = profile_dir().join("switchyard");
    assert!(
        program.is_file(),
        "{} is missing: the end-to-end tests run the real program; build it with `cargo build -p switchyard`",
        program.display()
    );
    program
}

/// A folder that outlives the tests and is shared by them.
pub fn shared(name: &str) -> PathBuf {
    let target = profile_dir()
        .parent()
        .map(Path::to_owned)
        .expect("target/<profile> has a parent");
    let dir = target.join("tmp").join(name);
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    dir
}

/// The repository's `tests` folder.
pub fn tests_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
