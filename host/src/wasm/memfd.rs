//! Anonymous files that two processes share and neither can change afterwards.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::fs::FileExt,
    },
};

/// Nobody can write to it, make it shorter or longer, or take that back.
const SEALS: libc::c_int =
    libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// An empty one, closed on exec.
pub(super) fn create(name: &std::ffi::CStr) -> io::Result<File> {
    // SAFETY: `name` is a C string; the result is checked.
    let fd =
        unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// One with this content, sealed.
pub(super) fn sealed(name: &std::ffi::CStr, content: &[u8]) -> io::Result<File> {
    let mut file = create(name)?;
    file.write_all(content)?;
    seal(&file)?;
    Ok(file)
}

/// Makes it immutable.
pub(super) fn seal(file: &File) -> io::Result<()> {
    // SAFETY: no pointers.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Whether it is immutable.
pub(super) fn is_sealed(file: &File) -> bool {
    // SAFETY: no pointers.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & SEALS == SEALS
}

/// At most `limit` bytes from its beginning, wherever its position is.
pub(super) fn read(file: &File, limit: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len().min(limit);
    let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

/// Reads from the beginning, wherever the file's own position is.
pub(super) struct Reader<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Reader<'a> {
    /// From the first byte.
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(out, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_stays_as_it_is() {
        let mut file = sealed(c"test", b"code").unwrap();
        assert!(is_sealed(&file));
        assert!(file.write_all(b"more").is_err() && file.set_len(0).is_err());
        assert_eq!(read(&file, 100).unwrap(), b"code");
        assert_eq!(read(&file, 2).unwrap(), b"co");
        assert!(!is_sealed(&create(c"test").unwrap()));
    }
}
