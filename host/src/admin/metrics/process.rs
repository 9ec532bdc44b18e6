//! The process itself, from `/proc`.

use std::fs;

use super::{families, page::Page};
use crate::admin::Sources;

/// What `/proc/self` tells; `None` where it does not (no `/proc` in a container).
pub(super) fn write(page: &mut Page, sources: &Sources) {
    let version = [env!("CARGO_PKG_VERSION").to_owned()];
    page.put(&families::BUILD, [(version, 1_u64.into())]);
    let started = sources.started_at_ms as f64 / 1_000.0;
    page.put(&families::START_TIME, [([], started.into())]);
    page.put(&families::CPU, [([], cpu_seconds().into())]);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = field(&status, "VmRSS:").map(|kib| (kib << 10).into());
    page.put(&families::RESIDENT, resident.map(|bytes| ([], bytes)));
    let open = fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    // The listing itself holds one.
    let open = open.map(|open| ([], open.saturating_sub(1).into()));
    page.put(&families::DESCRIPTORS, open);
    page.put(&families::MAX_DESCRIPTORS, [([], max_descriptors().into())]);
    let threads = field(&status, "Threads:").map(|threads| ([], threads.into()));
    page.put(&families::THREADS, threads);
}

/// The number behind a key of `/proc/self/status`.
fn field(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is large enough, all zeroes are a valid value of it, and the call only fills it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn max_descriptors() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid, and the call only fills it.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_kernels_page_are_found() {
        let status = "Name:\tswitchyard\nVmRSS:\t   1234 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(1_234));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
