//! What is set once for the whole process.

use std::panic;

use tracing::{error, warn};

/// Logs panics with their place. A panic ends the request whose task it happened in, no more.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        error!(
            what,
            place,
            thread = thread.name(),
            "A defect: a task ended; please report it"
        );
    }));
}

/// Has memory come in small pages. The allocator asks for huge ones, so that a few kilobytes
/// in each of its pages kept 2 MB resident each: 23 MB at start instead of 4, and 1.4 MB a tenant.
pub(super) fn small_pages() {
    // SAFETY: no pointers. Where the kernel does not know it, memory is as it was.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Lets the process have as many descriptors as its hard limit allows: two for each request under way.
pub(super) fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for both calls, which only fill and read it.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
        }
    };
    if !raised {
        let cause = std::io::Error::last_os_error();
        warn!(%cause, "The limit on open files could not be raised");
    }
}
