//! Compiled code kept on disk.
//!
//! What lies here is run as machine code, so the directory must be the host's
//! alone (its owner, mode 0700) and every file carries the SHA-256 of its code.
//! That hash is against truncation and bad disks; against people there is the
//! mode. A file is named after the policy's digest and the engine, written once
//! under another name and then renamed: what is there is whole or is found out.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

use super::{compile_child::LARGEST, memfd};
use crate::policy::Digest;

/// Of every file, with the format's version.
const MAGIC: &[u8; 8] = b"SWYCODE1";

/// Files kept at the most; those that were not used for longest go first. Two hundred tenants with three policies of
/// their own fit three times, at a tenth of a megabyte each.
const FILES: usize = 2048;

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or looked at.
    #[error("cache directory {path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others could put code there.
    #[error(
        "cache directory {path} {why}: compiled code is run as it is, so use a directory of its user's own (mode 0700)"
    )]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A directory that was found safe.
#[derive(Debug, Clone)]
pub struct CacheDir {
    path: PathBuf,
    bytes: u64,
}

impl CacheDir {
    /// Makes the directory if it is missing, and checks whose it is.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let path = path.into();
        let io = |source| CacheError::Io {
            path: path.clone(),
            source,
        };
        let refuse = |why: String| {
            Err(CacheError::Unsafe {
                path: path.clone(),
                why,
            })
        };
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
            _ => {}
        }
        let found = fs::symlink_metadata(&path).map_err(io)?;
        // SAFETY: no pointers.
        let us = unsafe { libc::geteuid() };
        if !found.is_dir() {
            return refuse("is not a directory".into());
        }
        if found.uid() != us {
            return refuse(format!("belongs to user {}, not to {us}", found.uid()));
        }
        if found.mode() & 0o077 != 0 {
            return refuse(format!(
                "is open to others (mode {:04o})",
                found.mode() & 0o7777
            ));
        }
        Ok(Self {
            path,
            bytes: u64::MAX,
        })
    }

    /// With so many bytes at the most, once something was added.
    #[must_use]
    pub fn within(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }
}

/// What lies there for one engine.
#[derive(Debug)]
pub(super) struct Cache {
    dir: CacheDir,
    engine: u64,
    written: AtomicU64,
}

impl Cache {
    /// For the engine with this mark.
    pub(super) fn new(dir: CacheDir, engine: u64) -> Self {
        Self {
            dir,
            engine,
            written: AtomicU64::new(0),
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir
            .path
            .join(format!("{digest}-{:016x}.code", self.engine))
    }

    /// The code in a sealed file, if it is there and whole.
    pub(super) fn get(&self, digest: Digest) -> Option<File> {
        let path = self.path(digest);
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)
            .ok()?;
        let code = whole(&mut file);
        // Used: where that cannot be noted it only goes sooner.
        let _ = file.set_modified(SystemTime::now());
        if code.is_none() {
            tracing::warn!(path = %path.display(), "Compiled code in the cache is damaged; compiling again");
            // What cannot be removed is replaced once it is compiled.
            let _ = fs::remove_file(&path);
        }
        code
    }

    /// Keeps the code; a cache that cannot be written is no error.
    pub(super) fn put(&self, digest: Digest, code: &File) {
        if let Err(error) = self.write(digest, code) {
            tracing::warn!(directory = %self.dir.path.display(), %error, "Compiled code cannot be kept; it is compiled again at the next start");
        }
        // What cannot be listed or removed now may be next time.
        let _ = self.prune();
    }

    fn write(&self, digest: Digest, code: &File) -> io::Result<()> {
        let hash = hash(code)?;
        let mut code = memfd::Reader::new(code);
        let number = self.written.fetch_add(1, Relaxed);
        let temporary = self
            .dir
            .path
            .join(format!("{}-{number}.tmp", std::process::id()));
        let mut open = OpenOptions::new();
        open.write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW);
        let mut file = open.open(&temporary)?;
        let header = [MAGIC.as_slice(), &hash].concat();
        let written = file
            .write_all(&header)
            .and_then(|()| io::copy(&mut code, &mut file));
        let renamed = written.and_then(|_| fs::rename(&temporary, self.path(digest)));
        if renamed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        renamed
    }

    /// Removes the oldest files over the limit, and what a crash left half written.
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir.path)? {
            let entry = entry?;
            let about = entry.metadata()?;
            let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((modified, entry.path(), about.len()));
        }
        files.sort();
        let mut count = files.len();
        let mut bytes: u64 = files.iter().map(|(.., size)| size).sum();
        for (_, path, size) in files {
            if count <= FILES && bytes <= self.dir.bytes {
                break;
            }
            fs::remove_file(path)?;
            count -= 1;
            bytes -= size;
        }
        Ok(())
    }
}

/// The code of a file that is what was written. Copied first and checked then:
/// what is checked can no longer change.
fn whole(file: &mut File) -> Option<File> {
    let mut magic = [0; MAGIC.len()];
    let mut expected = [0; 32];
    file.read_exact(&mut magic).ok()?;
    file.read_exact(&mut expected).ok()?;
    let mut code = memfd::create(c"code").ok()?;
    io::copy(&mut file.take(LARGEST), &mut code).ok()?;
    memfd::seal(&code).ok()?;
    (magic == *MAGIC && hash(&code).ok()? == expected).then_some(code)
}

fn hash(code: &File) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut chunk = [0; 16 << 10];
    let mut code = memfd::Reader::new(code);
    loop {
        match code.read(&mut chunk)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    use super::*;
    use crate::wasm::tests::Directory;

    const DIGEST: Digest = Digest([3; 32]);

    fn open(dir: &Path, engine: u64) -> Result<Cache, CacheError> {
        CacheDir::open(dir).map(|dir| Cache::new(dir, engine))
    }

    fn put(cache: &Cache, digest: Digest, code: &[u8]) {
        cache.put(digest, &memfd::sealed(c"code", code).unwrap());
    }

    fn get(cache: &Cache, digest: Digest) -> Option<Vec<u8>> {
        let code = cache.get(digest)?;
        assert!(memfd::is_sealed(&code));
        Some(memfd::read(&code, LARGEST).unwrap())
    }

    #[test]
    fn what_is_put_is_found_by_the_same_engine_only() {
        let dir = Directory::new();
        let cache = open(&dir.join("cache"), 1).unwrap();
        assert_eq!(get(&cache, DIGEST), None);
        put(&cache, DIGEST, b"code");
        assert_eq!(get(&cache, DIGEST).unwrap(), b"code");
        assert_eq!(get(&open(&dir.join("cache"), 2).unwrap(), DIGEST), None);
        assert_eq!(
            fs::metadata(dir.join("cache")).unwrap().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn damage_is_found_out() {
        let dir = Directory::new();
        let cache = open(&dir.join("cache"), 1).unwrap();
        put(&cache, DIGEST, b"some code");
        let path = cache.path(DIGEST);
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert_eq!(get(&cache, DIGEST), None, "cut to {length}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(get(&cache, DIGEST), None, "bit of byte {at}");
        }
        put(&cache, DIGEST, b"some code");
        assert_eq!(get(&cache, DIGEST).unwrap(), b"some code");
    }

    #[test]
    fn a_directory_that_others_can_reach_is_refused() {
        let dir = Directory::new();
        let path = dir.join("cache");
        fs::create_dir(&path).unwrap();
        for mode in [0o750, 0o707, 0o701] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(open(&path, 1), Err(CacheError::Unsafe { .. })),
                "{mode:o}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        open(&path, 1).unwrap();
        let link = dir.join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(open(&link, 1), Err(CacheError::Unsafe { .. })));
        assert!(matches!(
            open(&dir.join("no/such"), 1),
            Err(CacheError::Io { .. })
        ));
    }

    #[test]
    fn the_cache_does_not_grow_without_end() {
        let dir = Directory::new();
        let cache = open(&dir.join("cache"), 1).unwrap();
        let digest = |number: usize| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            Digest(bytes)
        };
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(3_600);
        for number in 0..FILES {
            let path = cache.path(digest(number));
            fs::write(&path, "").unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        put(&cache, digest(0), b"used");
        let file = File::options().write(true).open(cache.path(digest(0)));
        file.unwrap()
            .set_modified(long_ago - std::time::Duration::from_secs(1))
            .unwrap();
        assert_eq!(get(&cache, digest(0)).unwrap(), b"used");
        for number in FILES..FILES + 10 {
            put(&cache, digest(number), b"new");
        }
        assert_eq!(fs::read_dir(dir.join("cache")).unwrap().count(), FILES);
        assert_eq!(get(&cache, digest(FILES)).unwrap(), b"new");
        assert_eq!(
            get(&cache, digest(0)).unwrap(),
            b"used",
            "it was the oldest"
        );
    }
    #[test]
    fn nor_beyond_what_it_may_hold() {
        let dir = Directory::new();
        let path = dir.join("cache");
        let room = CacheDir::open(&path).unwrap().within(3_000);
        let cache = Cache::new(room, 1);
        let digests = [1, 2, 3, 4].map(|byte| Digest([byte; 32]));
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(3_600);
        for digest in digests {
            put(&cache, digest, &[0; 1_100]);
            let file = File::options().write(true).open(cache.path(digest));
            let age = std::time::Duration::from_secs(digest.0[0].into());
            file.unwrap().set_modified(long_ago + age).unwrap();
        }
        let kept = digests.map(|digest| get(&cache, digest).is_some());
        assert_eq!(kept, [false, false, true, true]);
        put(&cache, digests[0], &[0; 4_000]);
        assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    }
}
