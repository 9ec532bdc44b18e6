//! Policies for tests, built from `tests/guests` on first use.
//!
//! A lock file keeps the tests' processes from building at the same time, and a build
//! that is newer than its sources is used again. A mark in the built module gives as
//! many different versions as a test wants without compiling again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use switchyard_guest_build::{Order, Permission, Toolchain, componentize};

use crate::target;

/// Guests there are.
const GUESTS: [&str; 3] = ["balancer", "rewriter", "affinity"];

/// Stands in front of the mark in the built module.
const MARK: &[u8] = b"switchyard-test-mark:";

/// The mark's room behind that.
const ROOM: usize = 19;

/// The component of `tests/guests/<name>`.
///
/// # Panics
/// Where it cannot be built; the message says what is missing.
#[track_caller]
pub fn component(name: &str) -> Vec<u8> {
    let dir = target::shared("test-guests");
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let path = dir.join(format!("{name}.wasm"));
    if !is_current(&path) {
        build(&dir);
    }
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The component with `mark` in it: a file with a digest of its own.
#[track_caller]
pub fn marked(name: &str, mark: &str) -> Vec<u8> {
    assert!(mark.len() <= ROOM, "{mark:?} is longer than {ROOM} letters");
    let mut bytes = component(name);
    let at = bytes
        .windows(MARK.len())
        .position(|w| w == MARK)
        .expect("the guest has a mark")
        + MARK.len();
    bytes[at..at + mark.len()].copy_from_slice(mark.as_bytes());
    bytes
}

fn build(dir: &Path) {
    let toolchain = Toolchain::find(Permission::LookOnly).unwrap_or_else(|e| panic!("{e}"));
    let order = Order {
        workspace: target::tests_dir()
            .parent()
            .expect("tests lies in the workspace")
            .to_owned(),
        target_dir: switchyard_guest_build::target_dir(dir),
        packages: GUESTS
            .iter()
            .map(|name| format!("test-guest-{name}"))
            .collect(),
        examples_of: Vec::new(),
    };
    for guest in toolchain.build(&order).unwrap_or_else(|e| panic!("{e}")) {
        let core =
            fs::read(&guest.module).unwrap_or_else(|e| panic!("{}: {e}", guest.module.display()));
        let component = componentize(&core).unwrap_or_else(|e| panic!("{}: {e}", guest.name));
        let name = guest.name.trim_start_matches("test-guest-");
        fs::write(dir.join(format!("{name}.wasm")), component).unwrap();
    }
}

/// Whether `built` is newer than everything it is made of.
fn is_current(built: &Path) -> bool {
    let Ok(time) = fs::metadata(built).and_then(|m| m.modified()) else {
        return false;
    };
    let root = target::tests_dir();
    let sources = [
        root.join("guests"),
        root.join("../guest-sdk"),
        root.join("../wit"),
    ];
    sources
        .iter()
        .filter_map(newest)
        .all(|source| source < time)
}

fn newest(path: &PathBuf) -> Option<SystemTime> {
    if path.is_file() {
        return fs::metadata(path).and_then(|m| m.modified()).ok();
    }
    fs::read_dir(path)
        .ok()?
        .filter_map(|entry| newest(&entry.ok()?.path()))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_guest_differs_from_others_in_its_mark_alone() {
        let (one, two) = (marked("rewriter", "v1"), marked("rewriter", "v2"));
        assert_eq!(one.len(), two.len());
        assert_eq!(one.iter().zip(&two).filter(|(a, b)| a != b).count(), 1);
        assert_eq!(one[..8], *b"\0asm\x0d\0\x01\0", "a component");
    }
}
