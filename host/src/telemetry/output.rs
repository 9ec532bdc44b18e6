//! Where log lines end up: a file, or one of the standard streams.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The address of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A file, appended to.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Stdout => f.write_str("standard output"),
            Place::Stderr => f.write_str("standard error"),
        }
    }
}

impl Place {
    /// Opens it for writing; a missing file is created, and its folder too.
    pub fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Place::File(path) => Box::new(open(path).map_err(|error| {
                let says = format!("cannot open the log {}: {error}", path.display());
                io::Error::new(error.kind(), says)
            })?),
            // Without std's own buffer: what was taken must be known to the byte.
            Place::Stdout => Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            Place::Stderr => Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.exists()
    {
        // Only the last folder: a mistyped path must not grow a tree.
        fs::create_dir(folder)?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        // Addresses and paths of clients are nobody's business but the administrators'.
        .mode(0o640)
        // A FIFO without a reader fails instead of holding the thread that opens it.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}
