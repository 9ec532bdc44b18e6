//! An answer made beforehand, sent from where it costs least.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsRawFd, FromRawFd},
};

use mio::net::TcpStream;

/// From here on the kernel sends pages of a file, so that the members leave the core they share with the client
/// to it.
const LARGE: usize = 64 * 1024;

/// Head and body.
#[derive(Debug)]
pub struct Served {
    bytes: Vec<u8>,
    file: Option<File>,
}

impl Served {
    /// Of these bytes.
    pub fn new(bytes: Vec<u8>) -> io::Result<Self> {
        let file = (bytes.len() >= LARGE).then(|| in_memory(&bytes));
        Ok(Self {
            file: file.transpose()?,
            bytes,
        })
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sends what the socket takes, from byte `from` on.
    pub fn send(&self, mut stream: &TcpStream, from: usize) -> io::Result<usize> {
        let Some(file) = &self.file else {
            return stream.write(&self.bytes[from..]);
        };
        let mut offset = libc::off_t::try_from(from).map_err(io::Error::other)?;
        // SAFETY: both files are open, and the offset lives until the call returns.
        let sent = unsafe {
            libc::sendfile(
                stream.as_raw_fd(),
                file.as_raw_fd(),
                &raw mut offset,
                self.bytes.len() - from,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

fn in_memory(bytes: &[u8]) -> io::Result<File> {
    // SAFETY: the name is a string with its end; the number that comes back belongs to nobody else.
    let mut file = unsafe {
        match libc::memfd_create(c"answer".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(io::Error::last_os_error()),
            number => File::from_raw_fd(number),
        }
    };
    file.write_all(bytes)?;
    Ok(file)
}
