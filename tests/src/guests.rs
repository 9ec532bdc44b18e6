//! Policies for tests, built from `tests/guests` on first use.
//!
//! A lock file keeps the tests' processes from building at the same time, and a build
//! that is newer than its sources is used again. A mark in the built module gives as
//! many different versions as a test wants without compiling again.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use switchyard_guest_build::{Guest, Order, Permission, Toolchain, componentize};

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

/// The core module of the SDK's example `name`, as cargo makes it: not made a component.
#[track_caller]
pub fn sdk_example(name: &str) -> Vec<u8> {
    let dir = target::shared("test-guests");
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    // Cargo itself knows whether it is current.
    let built = ordered(&dir, &[], &["switchyard-policy"]);
    let found = built.iter().find(|(other, _)| other == name);
    let (_, module) = found.unwrap_or_else(|| panic!("no example {name}"));
    module.clone()
}

/// A section that makes any component take a compiler seconds: a core module that nobody
/// instantiates, with one function whose loops keep many variables alive.
pub fn ballast() -> Vec<u8> {
    const LOCALS: u32 = 150;
    const LOOPS: u32 = 3_000;
    // One function; its body has a group of locals of type i32.
    let mut body = vec![1];
    leb(&mut body, LOCALS);
    body.push(0x7f);
    for at in 0..LOOPS {
        // loop: local += local 0; again while it is not 0.
        let local = at % (LOCALS - 1) + 1;
        body.extend([0x03, 0x40, 0x20]);
        leb(&mut body, local);
        body.extend([0x20, 0x00, 0x6a, 0x21]);
        leb(&mut body, local);
        body.push(0x20);
        leb(&mut body, local);
        body.extend([0x0d, 0x00, 0x0b]);
    }
    body.push(0x0b);
    let mut code = vec![1];
    leb(&mut code, u32::try_from(body.len()).expect("it is small"));
    code.extend(body);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // Types: () -> (). Functions: one of them.
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 10, &code);
    let mut ballast = Vec::new();
    section(&mut ballast, 1, &module);
    ballast
}

/// A custom section of so many bytes, which mean nothing to anybody.
pub fn padding(bytes: usize) -> Vec<u8> {
    let mut named = vec![0; bytes];
    // Its name: empty.
    named[0] = 0;
    let mut padding = Vec::new();
    section(&mut padding, 0, &named);
    padding
}

/// The SHA-256 of a file's bytes, as an operator finds it out.
///
/// # Panics
/// Where there is no `sha256sum`.
pub fn sha256(bytes: &[u8]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let output = Command::new("sha256sum").arg(file.path()).output();
    let output = output.expect("coreutils has sha256sum");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().expect("a digest").to_owned()
}

/// A section of a module or component: its number, its length, and what is in it.
fn section(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number);
    leb(out, u32::try_from(bytes.len()).expect("it is small"));
    out.extend_from_slice(bytes);
}

/// LEB128, as numbers are in Wasm.
fn leb(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Core modules of packages and of packages' examples, by name.
#[track_caller]
fn ordered(dir: &Path, packages: &[String], examples_of: &[&str]) -> Vec<(String, Vec<u8>)> {
    let toolchain = Toolchain::find(Permission::LookOnly).unwrap_or_else(|e| panic!("{e}"));
    let order = Order {
        workspace: target::tests_dir()
            .parent()
            .expect("tests lies in the workspace")
            .to_owned(),
        target_dir: switchyard_guest_build::target_dir(dir),
        packages: packages.to_vec(),
        examples_of: examples_of.iter().map(|name| (*name).to_owned()).collect(),
    };
    let built = toolchain.build(&order).unwrap_or_else(|e| panic!("{e}"));
    let read = |guest: &Guest| {
        fs::read(&guest.module).unwrap_or_else(|e| panic!("{}: {e}", guest.module.display()))
    };
    built
        .iter()
        .map(|guest| (guest.name.clone(), read(guest)))
        .collect()
}

fn build(dir: &Path) {
    let packages = GUESTS.map(|name| format!("test-guest-{name}"));
    for (name, core) in ordered(dir, &packages, &[]) {
        let component = componentize(&core).unwrap_or_else(|e| panic!("{name}: {e}"));
        let name = name.trim_start_matches("test-guest-");
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
