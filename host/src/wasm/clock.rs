//! The clocks a policy sees and is held to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds of the system's monotonic clock. Whoever builds a
/// [`Call`](crate::decision::Call) takes the same, so that a policy's clock never steps between
/// its lifecycle and its decisions.
#[must_use]
pub fn monotonic_us() -> u64 {
    u64::try_from(read(libc::CLOCK_MONOTONIC).as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
#[must_use]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec; both clocks exist on every Linux, so it is filled.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
