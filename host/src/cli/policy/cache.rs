//! Where compiled code is kept from one command to the next.
//!
//! Whoever writes a policy asks for the same file again and again, and one in Python takes half a
//! minute to compile. The gateway's rules hold for the folder, which is the user's own. None of
//! these commands needs it: where it cannot be used, they compile.

use std::{
    env,
    ffi::OsString,
    fmt,
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt as _},
    path::{Path, PathBuf},
};

use crate::wasm::{CacheDir, CacheError, WasmOptions};

/// Every build is another file, of 0.3 MB for a policy in Rust and of far more for an interpreter.
const BYTES: u64 = 1 << 30;

/// Loads policies with what was kept.
pub(super) fn options() -> WasmOptions {
    WasmOptions {
        cache: users(),
        ..WasmOptions::default()
    }
}

/// The user's own folder, where it can be used.
pub(in crate::cli) fn users() -> Option<CacheDir> {
    let folder = folder(|name| env::var_os(name));
    folder.and_then(|folder| open(&folder))
}

/// The user's, by the XDG Base Directory Specification, which has relative paths ignored.
fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| {
        let path = variable(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME");
    let caches = caches.or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("switchyard"))
}

fn open(folder: &Path) -> Option<CacheDir> {
    let caches = folder.parent()?;
    // SAFETY: no pointers.
    let us = unsafe { libc::geteuid() };
    let mut places = caches.ancestors();
    let nearest = places.find_map(|place| Some((place, fs::metadata(place).ok()?.uid())));
    // `sudo` may keep a user's HOME. That user could put another folder in the place of the one that was found
    // safe, and would not get at one of ours.
    if let Some((place, owner)) = nearest
        && is_a_strangers(owner, us)
    {
        tell(format_args!(
            "{} belongs to user {owner}, not to user {us}: set XDG_CACHE_HOME to a folder of your own",
            place.display()
        ));
        return None;
    }
    // What fails here fails again below.
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(caches);
    match CacheDir::open(folder) {
        Ok(dir) => Some(dir.within(BYTES)),
        Err(error @ CacheError::Unsafe { .. }) => {
            tell(format_args!("{error}"));
            None
        }
        // A user without a home, or with one that cannot be written, means no harm.
        Err(CacheError::Io { .. }) => None,
    }
}

/// Everybody has to trust root.
fn is_a_strangers(owner: u32, us: u32) -> bool {
    owner != us && owner != 0
}

/// Why nothing is kept. Where the terminal is gone there is nobody to tell.
fn tell(why: fmt::Arguments<'_>) {
    let _ = writeln!(
        io::stderr().lock(),
        "switchyard: {why}; until then every command compiles"
    );
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn the_folder_is_among_the_users_caches() {
        for (caches, home, due) in [
            (Some("/c"), Some("/home/a"), Some("/c/switchyard")),
            (None, Some("/home/a"), Some("/home/a/.cache/switchyard")),
            (Some(""), Some("/home/a"), Some("/home/a/.cache/switchyard")),
            (
                Some("c"),
                Some("/home/a"),
                Some("/home/a/.cache/switchyard"),
            ),
            (None, Some("home"), None),
            (None, None, None),
        ] {
            let found = folder(|name| match name {
                "XDG_CACHE_HOME" => caches.map(OsString::from),
                _ => home.map(OsString::from),
            });
            assert_eq!(found.as_deref(), due.map(Path::new), "{caches:?} {home:?}");
        }
    }

    #[test]
    fn folders_among_a_strangers_are_not_used() {
        for (owner, us, due) in [
            (1_000, 1_000, false),
            (0, 1_000, false),
            (0, 0, false),
            (1_000, 0, true),
            (1_000, 1_001, true),
        ] {
            assert_eq!(is_a_strangers(owner, us), due, "{us} among {owner}'s");
        }
        let all = tempfile::tempdir().unwrap();
        let caches = all.path().join("caches");
        fs::create_dir(&caches).unwrap();
        // Only root may give something away.
        if chown(&caches, Some(65_534), None).is_ok() {
            for folder in ["switchyard", ".cache/switchyard"] {
                assert!(open(&caches.join(folder)).is_none());
            }
            assert_eq!(fs::read_dir(&caches).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_folder_is_made_for_its_user_alone_or_not_used() {
        let all = tempfile::tempdir().unwrap();
        let caches = all.path().join("home/.cache");
        let folder = caches.join("switchyard");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert!(open(&folder).is_some());
        assert_eq!((mode(&caches), mode(&folder)), (0o700, 0o700));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(open(&folder).is_none());
        fs::write(all.path().join("file"), "").unwrap();
        assert!(open(&all.path().join("file/switchyard")).is_none());
    }
}
