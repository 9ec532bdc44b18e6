//! Files of versions that were in service, so that a start can go back to one of them.
//!
//! Without a `state_dir` going back ends with the process, as everything else does.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tracing::warn;

use super::stock;
use crate::{beneath, policy::Digest};

/// Within `state_dir`.
const FOLDER: &str = "versions";

/// Why a version that was kept is none to go back to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unkept {
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable { file: PathBuf, error: io::Error },
    #[error("{} is damaged: its SHA-256 is not the one that names it", file.display())]
    Damaged { file: PathBuf },
    #[error("{} is larger than `module_size` allows today", file.display())]
    TooLarge { file: PathBuf },
    #[error("`{0}` is no digest")]
    NoDigest(String),
}

fn file(state_dir: &Path, digest: &Digest) -> PathBuf {
    state_dir.join(FOLDER).join(format!("{digest}.wasm"))
}

/// Keeps a version; once is enough.
pub(super) fn keep(state_dir: &Path, digest: &Digest, wasm: &[u8]) {
    let path = file(state_dir, digest);
    // One that was damaged since is written anew.
    if find(state_dir, digest, wasm.len()).is_some() {
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

/// A version that was kept, if it is what it was and no larger than this.
pub(super) fn find(state_dir: &Path, digest: &Digest, largest: usize) -> Option<Vec<u8>> {
    find_named(state_dir, &digest.to_string(), largest).ok()
}

/// Likewise by its digest in hexadecimal, as a file has it.
pub(super) fn find_named(
    state_dir: &Path,
    digest: &str,
    largest: usize,
) -> Result<Vec<u8>, Unkept> {
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Unkept::NoDigest(digest.to_owned()));
    }
    let file = state_dir.join(FOLDER).join(format!("{digest}.wasm"));
    let mut wasm = Vec::new();
    let limit = u64::try_from(largest).unwrap_or(u64::MAX);
    let read = beneath::regular(Some(state_dir), &file)
        .and_then(|open| open.take(limit.saturating_add(1)).read_to_end(&mut wasm));
    match read {
        Err(error) => Err(Unkept::Unreadable { file, error }),
        Ok(_) if wasm.len() > largest => Err(Unkept::TooLarge { file }),
        Ok(_) if stock::digest(&wasm).to_string() != digest => Err(Unkept::Damaged { file }),
        Ok(_) => Ok(wasm),
    }
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
        assert_eq!(find(&state, &digest, 9), None);
        keep(&state, &digest, b"one");
        assert_eq!(find(&state, &digest, 9).unwrap(), b"one");
        fs::write(file(&state, &digest), "damaged").unwrap();
        assert_eq!(find(&state, &digest, 9), None);
        keep(&state, &digest, b"one");
        assert_eq!(find(&state, &digest, 9).unwrap(), b"one", "mended");
        assert_eq!(find(&state, &digest, 2), None, "too large");
        let strange = find_named(&state, "../policies", 9);
        assert!(matches!(strange, Err(Unkept::NoDigest(_))), "{strange:?}");
        retain(&state, &BTreeSet::new());
        assert!(!file(&state, &digest).exists());
    }
}
