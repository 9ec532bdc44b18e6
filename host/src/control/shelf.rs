//! Files of versions that were in service, so that a start can go back to one of them.
//!
//! Without a `state_dir` going back ends with the process, as everything else does.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tracing::warn;

use super::stock;
use crate::policy::Digest;

/// Within `state_dir`.
const FOLDER: &str = "versions";

fn file(state_dir: &Path, digest: &Digest) -> PathBuf {
    state_dir.join(FOLDER).join(format!("{digest}.wasm"))
}

/// Keeps a version; once is enough.
pub(super) fn keep(state_dir: &Path, digest: &Digest, wasm: &[u8]) {
    let path = file(state_dir, digest);
    if path.exists() {
        return;
    }
    if let Err(error) = write(state_dir, &path, wasm) {
        warn!(file = %path.display(), %error, "A policy's version cannot be kept; a start cannot go back to it");
    }
}

fn write(state_dir: &Path, path: &Path, wasm: &[u8]) -> io::Result<()> {
    for folder in [state_dir, &state_dir.join(FOLDER)] {
        if !folder.exists() {
            // Only the last folder: a mistyped path must not grow a tree.
            DirBuilder::new().mode(0o700).create(folder)?;
        }
    }
    // Whoever reads meanwhile sees a whole file or none.
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(wasm)?;
    fs::rename(&beside, path)
}

/// A version that was kept, if it is what it was.
pub(super) fn find(state_dir: &Path, digest: &Digest) -> Option<Vec<u8>> {
    let wasm = fs::read(file(state_dir, digest)).ok()?;
    (stock::digest(&wasm) == *digest).then_some(wasm)
}

/// Lets go of all but these.
pub(super) fn retain(state_dir: &Path, digests: &BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(state_dir.join(FOLDER)) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if stem.is_some_and(|stem| !digests.contains(stem)) {
            // What cannot be removed now will be the next time.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_while_it_is_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let digest = stock::digest(b"one");
        assert_eq!(find(&state, &digest), None);
        keep(&state, &digest, b"one");
        assert_eq!(find(&state, &digest).unwrap(), b"one");
        fs::write(file(&state, &digest), "damaged").unwrap();
        assert_eq!(find(&state, &digest), None);
        retain(&state, &BTreeSet::new());
        assert!(!file(&state, &digest).exists());
    }
}
