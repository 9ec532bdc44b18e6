//! Where log lines end up: a file, or one of the standard streams.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::beneath::{self, Purpose};

/// The address of a log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A file, appended to.
    File(PathBuf),
    /// Likewise, which no link may lead out of this folder.
    Beneath(Arc<Path>, PathBuf),
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path) | Place::Beneath(_, path) => path.display().fmt(f),
            Place::Stdout => f.write_str("standard output"),
            Place::Stderr => f.write_str("standard error"),
        }
    }
}

impl Place {
    /// Of a file, or of what stands for none.
    pub fn of(path: Option<&PathBuf>, beneath: Option<&Arc<Path>>, without: Self) -> Self {
        match (path, beneath) {
            (None, _) => without,
            (Some(path), None) => Self::File(path.clone()),
            (Some(path), Some(folder)) => Self::Beneath(Arc::clone(folder), path.clone()),
        }
    }

    /// Opens it for writing; a missing file is created, and its folder too.
    pub fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        let cannot = |path: &Path, error: io::Error| {
            let says = format!("cannot open the log {}: {error}", path.display());
            io::Error::new(error.kind(), says)
        };
        Ok(match self {
            Place::File(path) => Box::new(open(path).map_err(|error| cannot(path, error))?),
            Place::Beneath(folder, path) => {
                Box::new(open_beneath(folder, path).map_err(|error| cannot(path, error))?)
            }
            // Without std's own buffer: what was taken must be known to the byte.
            Place::Stdout => Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
            Place::Stderr => Box::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
        })
    }
}

fn open_beneath(root: &Path, path: &Path) -> io::Result<File> {
    match beneath::open(root, path, Purpose::Append) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                beneath::make_folder(root, folder)?;
            }
            beneath::open(root, path, Purpose::Append)
        }
        opened => opened,
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
