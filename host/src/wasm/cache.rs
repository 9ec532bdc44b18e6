//! Compiled code kept on disk.
//!
//! What lies here is run as machine code, so the directory must be the host's
//! alone (its owner, mode 0700) and every file carries the SHA-256 of its code.
//! That hash is against truncation and bad disks; against people there is the
//! mode. What was found to be the host's alone is held open, and every name is
//! looked up in it: whatever is put in its place later is never looked at. A file
//! is named after the policy's digest and the engine, written once under another
//! name and then renamed: what is there is whole or is found out.

use std::{
    ffi::CString,
    fs::{DirBuilder, File},
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use rustix::{
    fs::{self, AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};
use sha2::{Digest as _, Sha256};

use super::{compile_child::LARGEST, memfd};
use crate::policy::Digest;

/// Of every file, with the format's version.
const MAGIC: &[u8; 8] = b"SWYCODE1";

/// Files kept at the most; those that were not used for longest go first. Two hundred tenants with three policies of
/// their own fit three times, at a tenth of a megabyte each.
const FILES: usize = 2048;

/// To look names up in it. It need not be readable to be judged.
const FOLDER: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

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

/// A directory that was found safe, and is held.
#[derive(Debug, Clone)]
pub struct CacheDir {
    /// For messages alone.
    path: PathBuf,
    held: Arc<OwnedFd>,
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
        let held = match fs::open(&path, FOLDER, Mode::empty()) {
            Ok(held) => File::from(held),
            // A link, too.
            Err(Errno::NOTDIR | Errno::LOOP) if path.symlink_metadata().is_ok() => {
                return refuse("is not a directory".into());
            }
            Err(error) => return Err(io(error.into())),
        };
        let found = held.metadata().map_err(io)?;
        // SAFETY: no pointers.
        let us = unsafe { libc::geteuid() };
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
            held: Arc::new(held.into()),
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

    fn name(&self, digest: Digest) -> String {
        format!("{digest}-{:016x}.code", self.engine)
    }

    /// The code in a sealed file, if it is there and whole.
    pub(super) fn get(&self, digest: Digest) -> Option<File> {
        let name = self.name(digest);
        // Never waits for a FIFO's writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&*self.dir.held, &name, flags, Mode::empty()).ok()?;
        let mut file = File::from(file);
        let code = whole(&mut file);
        // Used: where that cannot be noted it only goes sooner.
        let _ = file.set_modified(SystemTime::now());
        if code.is_none() {
            let path = self.dir.path.join(&name);
            tracing::warn!(path = %path.display(), "Compiled code in the cache is damaged; compiling again");
            // What cannot be removed is replaced once it is compiled.
            let _ = fs::unlinkat(&*self.dir.held, &name, AtFlags::empty());
        }
        code
    }

    /// Keeps the code; a cache that cannot be written is no error.
    pub(super) fn put(&self, digest: Digest, code: &File) {
        if let Err(error) = self.write(digest, code) {
            tracing::warn!(directory = %self.dir.path.display(), %error, "Compiled code cannot be kept, so whoever needs it next compiles again; see that the directory is there, can be written and has room");
        }
        // What cannot be listed or removed now may be next time.
        let _ = self.files().and_then(|files| self.prune(files));
    }

    fn write(&self, digest: Digest, code: &File) -> io::Result<()> {
        let hash = hash(code)?;
        let mut code = memfd::Reader::new(code);
        let number = self.written.fetch_add(1, Relaxed);
        let temporary = format!("{}-{number}.tmp", std::process::id());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = &*self.dir.held;
        let mut file = File::from(fs::openat(
            held,
            &temporary,
            flags,
            Mode::RUSR | Mode::WUSR,
        )?);
        let header = [MAGIC.as_slice(), &hash].concat();
        let written = file
            .write_all(&header)
            .and_then(|()| io::copy(&mut code, &mut file));
        let renamed =
            written.and_then(|_| Ok(fs::renameat(held, &temporary, held, self.name(digest))?));
        if renamed.is_err() {
            let _ = fs::unlinkat(held, &temporary, AtFlags::empty());
        }
        renamed
    }

    /// All that lie there, and what a crash left half written.
    fn files(&self) -> io::Result<Vec<Kept>> {
        let held = &*self.dir.held;
        // What is held names the directory and cannot be read itself.
        let listed = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = fs::openat(held, ".", listed, Mode::empty())?;
        let mut files = Vec::new();
        for entry in Dir::new(listed)? {
            let name = entry?.file_name().to_owned();
            let about = match fs::statat(held, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(about) => about,
                // Another process was quicker.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            if FileType::from_raw_mode(about.st_mode) != FileType::Directory {
                files.push(Kept {
                    used: (about.st_mtime, about.st_mtime_nsec),
                    name,
                    size: u64::try_from(about.st_size).unwrap_or(0),
                });
            }
        }
        Ok(files)
    }

    /// Removes the oldest of them over the limit. Those that other processes removed meanwhile are as good as removed;
    /// one that cannot be is left, and the next goes in its place.
    fn prune(&self, mut files: Vec<Kept>) -> io::Result<()> {
        files.sort();
        let mut count = files.len();
        let mut bytes: u64 = files.iter().map(|file| file.size).sum();
        let mut failed = Ok(());
        for file in files {
            if count <= FILES && bytes <= self.dir.bytes {
                break;
            }
            match fs::unlinkat(&*self.dir.held, &file.name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {
                    count -= 1;
                    bytes -= file.size;
                }
                Err(error) => failed = Err(error.into()),
            }
        }
        failed
    }
}

/// A file of the directory; the one that was not used for longest comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// Seconds and nanoseconds.
    used: (i64, u64),
    name: CString,
    size: u64,
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
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    use super::*;
    use crate::wasm::tests::Directory;

    const DIGEST: Digest = Digest([3; 32]);

    fn open(dir: &Path, engine: u64) -> Result<Cache, CacheError> {
        CacheDir::open(dir).map(|dir| Cache::new(dir, engine))
    }

    impl Cache {
        fn path(&self, digest: Digest) -> PathBuf {
            self.dir.path.join(self.name(digest))
        }
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
    fn what_is_put_in_the_directorys_place_is_never_looked_at() {
        let dir = Directory::new();
        let (path, moved) = (dir.join("cache"), dir.join("moved"));
        let cache = open(&path, 1).unwrap();
        fs::rename(&path, &moved).unwrap();
        let theirs = open(&path, 1).unwrap();
        put(&theirs, DIGEST, b"theirs");
        assert_eq!(get(&cache, DIGEST), None);
        put(&cache, DIGEST, b"ours");
        assert_eq!(get(&cache, DIGEST).unwrap(), b"ours");
        assert_eq!(get(&theirs, DIGEST).unwrap(), b"theirs");
        assert_eq!(get(&open(&moved, 1).unwrap(), DIGEST).unwrap(), b"ours");
        // Nor is a link in it followed.
        fs::rename(moved.join(cache.name(DIGEST)), dir.join("code")).unwrap();
        symlink(dir.join("code"), moved.join(cache.name(DIGEST))).unwrap();
        assert_eq!(get(&cache, DIGEST), None);
    }

    #[test]
    fn what_others_removed_or_cannot_be_removed_keeps_nothing_else() {
        let dir = Directory::new();
        let path = dir.join("cache");
        let cache = Cache::new(CacheDir::open(&path).unwrap().within(2), 1);
        let long_ago = SystemTime::now() - std::time::Duration::from_secs(3_600);
        for (age, name) in (0..).zip(["d", "c", "b", "a"]) {
            fs::write(path.join(name), "x").unwrap();
            let file = File::options().write(true).open(path.join(name)).unwrap();
            let age = std::time::Duration::from_secs(age);
            file.set_modified(long_ago - age).unwrap();
        }
        let files = cache.files().unwrap();
        assert_eq!(files.len(), 4);
        // The oldest goes by another process, and in the next one's place is what no one can unlink.
        fs::remove_file(path.join("a")).unwrap();
        fs::remove_file(path.join("b")).unwrap();
        fs::create_dir(path.join("b")).unwrap();
        assert!(cache.prune(files).is_err(), "it is told");
        let left = |name: &str| path.join(name).exists();
        assert_eq!(["a", "b", "c", "d"].map(left), [false, true, false, true]);
        // A directory takes none of the room.
        assert_eq!(cache.files().unwrap().len(), 1);
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
