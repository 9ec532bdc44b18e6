//! Opening a name beneath a folder, and nothing outside it.
//!
//! Whoever may write in the folder must not thereby get at what is outside: no `..`, no
//! absolute name and no link leads there, whenever the file is opened.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    },
    path::{Component, Path},
};

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read it. Never waits for a FIFO's writer.
    Read,
    /// To append to it; made if it is not there, for the owner and the group alone.
    Append,
    /// To open what is in it; must be a folder.
    Folder,
}

impl Purpose {
    fn flags(self) -> i32 {
        // Never blocks on a FIFO, never becomes a controlling terminal.
        let harmless = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        match self {
            Self::Read => libc::O_RDONLY | harmless,
            Self::Append => libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | harmless,
            Self::Folder => libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC,
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::Append => 0o640,
            Self::Read | Self::Folder => 0,
        }
    }
}

/// Opens `path`, which lies beneath `root` as written. `root` itself may be a link: whoever names
/// it may say where it is.
pub fn open(root: &Path, path: &Path, purpose: Purpose) -> io::Result<File> {
    let folder = folder(root)?;
    let name = path.strip_prefix(root).map_err(|_| leads_out())?;
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !name.components().all(plain) {
        return Err(leads_out());
    }
    let Some(text) = name.to_str() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its name is no UTF-8",
        ));
    };
    match text {
        "" => Ok(folder),
        text => open_in(&folder, text, purpose).map_err(told),
    }
}

/// Opens a file to read all of it: a regular one, since a FIFO would block and a device never end.
/// With `root`, it must lie beneath that.
pub fn regular(root: Option<&Path>, path: &Path) -> io::Result<File> {
    let file = match root {
        Some(root) => open(root, path, Purpose::Read)?,
        None => OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?,
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is not a file")),
    }
}

/// A folder, to open what is beneath it.
pub fn folder(root: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(root)
}

/// Makes a folder beneath `root` if it is not there; what is above it must be.
pub fn make_folder(root: &Path, path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(leads_out());
    };
    let parent = open(root, parent, Purpose::Folder)?;
    let name = CString::new(name.as_bytes())?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    match unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), 0o750) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            error => Err(error),
        },
    }
}

fn leads_out() -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        "it leads out of the folder that it must lie in",
    )
}

/// In words where the system's would tell nobody anything.
fn told(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        // A link leads out; or any link, where the kernel cannot follow them safely.
        Some(libc::EXDEV) => leads_out(),
        Some(libc::ELOOP) => io::Error::new(
            io::ErrorKind::PermissionDenied,
            "links lead in circles, or this kernel cannot tell where they lead",
        ),
        _ => error,
    }
}

/// `name` is relative, with `/` between its segments, and may end in one. It must not hold `.` or
/// `..` segments. The errors are the system's: `EXDEV` where a link leads out.
#[cfg(target_os = "linux")]
pub fn open_in(folder: &File, name: &str, purpose: Purpose) -> io::Result<File> {
    match resolve(folder, name, purpose) {
        // Before Linux 5.6, or a sandbox that does not know the call.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            walk(folder, name, purpose)
        }
        opened => opened,
    }
}

/// Likewise, without any link.
#[cfg(not(target_os = "linux"))]
pub fn open_in(folder: &File, name: &str, purpose: Purpose) -> io::Result<File> {
    walk(folder, name, purpose)
}

/// Lets the kernel follow links as long as they stay beneath `folder`.
#[cfg(target_os = "linux")]
fn resolve(folder: &File, name: &str, purpose: Purpose) -> io::Result<File> {
    /// EAGAIN: something was renamed meanwhile and the kernel cannot tell whether a `..`
    /// in a link led out. It asks to be asked again; not for ever.
    const TRIES: usize = 8;

    let name = CString::new(name)?;
    // SAFETY: all zeroes is a valid value of this plain C struct.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from(purpose.flags().cast_unsigned());
    how.mode = u64::from(purpose.mode());
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
fn walk(folder: &File, name: &str, purpose: Purpose) -> io::Result<File> {
    let wants_folder = name.ends_with('/');
    let mut segments = name
        .split('/')
        .filter(|segment| !segment.is_empty())
        .peekable();
    let mut at = folder.try_clone()?;
    while let Some(segment) = segments.next() {
        let is_folder = wants_folder || segments.peek().is_some();
        let step = match is_folder {
            true => Purpose::Folder,
            false => purpose,
        };
        at = open_at(&at, segment, step)?;
    }
    Ok(at)
}

fn open_at(folder: &File, segment: &str, purpose: Purpose) -> io::Result<File> {
    let segment = CString::new(segment)?;
    loop {
        // SAFETY: `segment` is NUL-terminated and outlives the call.
        let fd = unsafe {
            libc::openat(
                folder.as_raw_fd(),
                segment.as_ptr(),
                purpose.flags() | libc::O_NOFOLLOW,
                purpose.mode(),
            )
        };
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
        let both = |name: &str| {
            (
                text(open_in(&folder, name, Purpose::Read)),
                text(walk(&folder, name, Purpose::Read)),
            )
        };
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
        assert_eq!(both("sub/deep/"), (Err(libc::EISDIR), Err(libc::EBADF)));
    }

    #[test]
    fn what_is_written_stays_beneath_too() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir(&root).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("../made", root.join("link")).unwrap();
        let append = |name: &str| open(&root, &root.join(name), Purpose::Append);
        append("a.log").unwrap();
        for name in ["up/a.log", "link", "../a.log"] {
            let error = append(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{name}");
        }
        make_folder(&root, &root.join("logs")).unwrap();
        append("logs/a.log").unwrap();
        assert!(make_folder(&root, &root.join("up/logs")).is_err());
        assert!(open(&root, Path::new("/etc/passwd"), Purpose::Read).is_err());
        let left: Vec<_> = fs::read_dir(outer.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
