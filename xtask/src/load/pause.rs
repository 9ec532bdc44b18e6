//! Short waits of the client.

use std::{io, os::fd::AsRawFd, time::Duration};

use mio::Poll;

/// How late the kernel may wake us, nanoseconds; its own 50,000 are as long as a whole exchange.
const SLACK: libc::c_ulong = 1_000;

/// Asks the kernel to wake this thread from short waits on time.
pub fn be_punctual() -> io::Result<()> {
    // SAFETY: takes a number and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until one of the poll's sockets has something to tell, at most for `patience`.
pub fn until_readable(poll: &Poll, patience: Duration) -> io::Result<()> {
    let mut watched = libc::pollfd {
        fd: poll.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let patience = libc::timespec {
        tv_sec: patience.as_secs().cast_signed(),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: both structures live until the call returns, and one file is said to be watched.
    let found = unsafe { libc::ppoll(&raw mut watched, 1, &raw const patience, std::ptr::null()) };
    match found {
        -1 => match io::Error::last_os_error() {
            cause if cause.kind() == io::ErrorKind::Interrupted => Ok(()),
            cause => Err(cause),
        },
        _ => Ok(()),
    }
}
