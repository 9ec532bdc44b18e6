//! Opening a name beneath a folder, and nothing outside it.

use std::{
    ffi::CString,
    fs::{File, Metadata, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
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

/// Never blocks on a FIFO, never becomes a controlling terminal.
const FLAGS: i32 = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

/// `name` is relative, with `/` between its segments, and may end in one; empty for the
/// folder itself. It must not hold `.` or `..` segments.
pub(super) fn beneath(root: &Path, name: &str) -> Opened {
    let is_plain = |segment: &str| !matches!(segment, "." | "..");
    if name.starts_with('/') || name.contains('\0') || !name.split('/').all(is_plain) {
        return Opened::Missing;
    }
    // The folder itself may be a link: it is the operator's.
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(root);
    let opened = folder.and_then(|folder| {
        if name.is_empty() {
            Ok(folder)
        } else {
            open_in(&folder, name)
        }
    });
    match opened {
        Ok(file) => classify(file),
        Err(error) => refused(error),
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
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN) => Opened::Exhausted(error),
        _ => Opened::Failed(error),
    }
}

#[cfg(target_os = "linux")]
fn open_in(folder: &File, name: &str) -> io::Result<File> {
    match resolve(folder, name) {
        // Before Linux 5.6, or a sandbox that does not know the call.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            walk(folder, name)
        }
        opened => opened,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_in(folder: &File, name: &str) -> io::Result<File> {
    walk(folder, name)
}

/// Lets the kernel follow links as long as they stay beneath `folder`.
#[cfg(target_os = "linux")]
fn resolve(folder: &File, name: &str) -> io::Result<File> {
    /// EAGAIN: something was renamed meanwhile and the kernel cannot tell whether a `..`
    /// in a link led out. It asks to be asked again; not for ever.
    const TRIES: usize = 8;

    let name = CString::new(name)?;
    // SAFETY: all zeroes is a valid value of this plain C struct.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from(FLAGS.cast_unsigned());
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        tries += 1;
        // SAFETY: `name` is NUL-terminated and `how` as long as stated; both outlive the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                folder.as_raw_fd(),
                name.as_ptr(),
                &raw const how,
                size_of_val(&how),
            )
        };
        if let Ok(fd @ 0..) = i32::try_from(fd) {
            // SAFETY: the kernel has just given this descriptor to us alone.
            return Ok(unsafe { File::from_raw_fd(fd) });
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) if tries < TRIES => {}
            _ => return Err(error),
        }
    }
}

/// Goes segment by segment and follows no link at all.
fn walk(folder: &File, name: &str) -> io::Result<File> {
    let wants_folder = name.ends_with('/');
    let mut segments = name
        .split('/')
        .filter(|segment| !segment.is_empty())
        .peekable();
    let mut at = folder.try_clone()?;
    while let Some(segment) = segments.next() {
        let is_folder = wants_folder || segments.peek().is_some();
        let flags = if is_folder {
            FLAGS | libc::O_DIRECTORY
        } else {
            FLAGS
        };
        at = open_at(&at, segment, flags | libc::O_NOFOLLOW)?;
    }
    Ok(at)
}

fn open_at(folder: &File, segment: &str, flags: i32) -> io::Result<File> {
    let segment = CString::new(segment)?;
    loop {
        // SAFETY: `segment` is NUL-terminated and outlives the call.
        let fd = unsafe { libc::openat(folder.as_raw_fd(), segment.as_ptr(), flags) };
        if fd >= 0 {
            // SAFETY: the kernel has just given this descriptor to us alone.
            return Ok(unsafe { File::from_raw_fd(fd) });
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use super::*;

    fn text(opened: io::Result<File>) -> Result<String, i32> {
        let mut text = String::new();
        let mut file = opened.map_err(|error| error.raw_os_error().unwrap())?;
        file.read_to_string(&mut text)
            .map_err(|error| error.raw_os_error().unwrap())?;
        Ok(text)
    }

    #[test]
    fn links_are_followed_within_the_folder_only_or_not_at_all() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        fs::write(root.join("sub/deep/a"), "a").unwrap();
        for (link, target) in [
            ("up", "../secret"),
            ("absolute", "/etc/passwd"),
            ("within", "sub/deep/a"),
            ("sub/back", "../sub/deep/a"),
            ("folder", "sub/deep"),
            ("outer", ".."),
            ("circle", "circle"),
            ("magic", "/proc/self/root"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let folder = File::open(&root).unwrap();
        let both = |name: &str| (text(open_in(&folder, name)), text(walk(&folder, name)));
        let a = || Ok("a".to_owned());
        assert_eq!(both("sub/deep/a"), (a(), a()));
        assert_eq!(both("within"), (a(), Err(libc::ELOOP)));
        assert_eq!(both("sub/back"), (a(), Err(libc::ELOOP)));
        assert_eq!(both("folder/a"), (a(), Err(libc::ENOTDIR)));
        assert_eq!(both("up"), (Err(libc::EXDEV), Err(libc::ELOOP)));
        assert_eq!(both("absolute"), (Err(libc::EXDEV), Err(libc::ELOOP)));
        assert_eq!(both("outer/secret"), (Err(libc::EXDEV), Err(libc::ENOTDIR)));
        assert_eq!(
            both("magic/etc/passwd"),
            (Err(libc::EXDEV), Err(libc::ENOTDIR))
        );
        assert_eq!(both("circle"), (Err(libc::ELOOP), Err(libc::ELOOP)));
        assert_eq!(
            both("sub/deep/a/"),
            (Err(libc::ENOTDIR), Err(libc::ENOTDIR))
        );
        assert_eq!(both("none"), (Err(libc::ENOENT), Err(libc::ENOENT)));
        assert_eq!(both("sub/deep/"), (Err(libc::EISDIR), Err(libc::EISDIR)));
    }

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
