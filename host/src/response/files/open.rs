//! Opening a name beneath a folder, and nothing outside it.

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
};

use crate::{
    beneath::{self, Purpose},
    snapshot::StaticFiles,
};

/// What a name turned out to be.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file, open for reading.
    File(File, Metadata),
    /// A folder.
    Folder,
    /// Nothing of that name.
    Missing,
    /// Neither file nor folder, or a link that leads out, or the system said no.
    Forbidden(Option<io::Error>),
    /// File descriptors or memory are used up; it may work later.
    Exhausted(io::Error),
    /// Anything else, such as a broken disk.
    Failed(io::Error),
}

/// `name` is relative, with `/` between its segments, and may end in one; empty for the
/// folder itself. It must not hold `.` or `..` segments.
pub(super) fn beneath(files: &StaticFiles, name: &str) -> Opened {
    let is_plain = |segment: &str| !matches!(segment, "." | "..");
    if name.starts_with('/') || name.contains('\0') || !name.split('/').all(is_plain) {
        return Opened::Missing;
    }
    let opened = folder(files).and_then(|folder| match name {
        "" => Ok(folder),
        name => beneath::open_in(&folder, name, Purpose::Read),
    });
    match opened {
        Ok(file) => classify(file),
        Err(error) => refused(error),
    }
}

/// The folder itself may be a link: it is the operator's. A tenant's leads nowhere but beneath its own.
fn folder(files: &StaticFiles) -> io::Result<File> {
    let root: &Path = &files.root;
    match &files.beneath {
        None => beneath::folder(root),
        Some(tenant) => beneath::open(tenant, root, Purpose::Folder),
    }
}

fn classify(file: File) -> Opened {
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Opened::File(file, metadata),
        Ok(metadata) if metadata.is_dir() => Opened::Folder,
        Ok(_) => Opened::Forbidden(None),
        Err(error) => Opened::Failed(error),
    }
}

fn refused(error: io::Error) -> Opened {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) => Opened::Missing,
        // EXDEV: a link leads out. ELOOP: links in circles, or any link without openat2.
        // ENXIO, ENODEV: a socket or a device without a driver.
        Some(libc::EXDEV | libc::ELOOP | libc::ENXIO | libc::ENODEV) => Opened::Forbidden(None),
        Some(libc::EACCES | libc::EPERM) => Opened::Forbidden(Some(error)),
        // In words already: a tenant's folder leads out of its own.
        None if error.kind() == io::ErrorKind::PermissionDenied => Opened::Forbidden(Some(error)),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN) => Opened::Exhausted(error),
        _ => Opened::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_refusal_of_the_system_is_told_from_a_missing_name_and_from_a_fault() {
        let kind = |code| match refused(io::Error::from_raw_os_error(code)) {
            Opened::Missing => "missing",
            Opened::Forbidden(None) => "forbidden",
            Opened::Forbidden(Some(_)) => "forbidden, logged",
            Opened::Exhausted(_) => "exhausted",
            Opened::Failed(_) => "failed",
            other => panic!("{other:?}"),
        };
        for (code, expected) in [
            (libc::ENOENT, "missing"),
            (libc::ENOTDIR, "missing"),
            (libc::ENAMETOOLONG, "missing"),
            (libc::EXDEV, "forbidden"),
            (libc::ELOOP, "forbidden"),
            (libc::ENXIO, "forbidden"),
            (libc::EACCES, "forbidden, logged"),
            (libc::EMFILE, "exhausted"),
            (libc::ENFILE, "exhausted"),
            (libc::EIO, "failed"),
        ] {
            assert_eq!(
                kind(code),
                expected,
                "{}",
                io::Error::from_raw_os_error(code)
            );
        }
    }

    #[test]
    fn names_that_could_lead_out_are_not_even_tried() {
        let root = tempfile::tempdir().unwrap();
        let files = |root: &Path| StaticFiles {
            beneath: None,
            root: root.to_owned(),
            prefix: String::new(),
            index: Vec::new(),
        };
        let beneath = |root: &Path, name: &str| beneath(&files(root), name);
        fs::create_dir(root.path().join("sub")).unwrap();
        for name in [
            "..",
            "sub/..",
            "sub/../sub",
            ".",
            "sub/.",
            "/etc/passwd",
            "a\0b",
        ] {
            assert!(
                matches!(beneath(root.path(), name), Opened::Missing),
                "{name:?}"
            );
        }
        assert!(matches!(beneath(root.path(), ""), Opened::Folder));
        assert!(matches!(beneath(root.path(), "sub"), Opened::Folder));
        assert!(matches!(beneath(root.path(), "sub/"), Opened::Folder));
        assert!(matches!(
            beneath(&root.path().join("gone"), "sub"),
            Opened::Missing
        ));
    }
}
