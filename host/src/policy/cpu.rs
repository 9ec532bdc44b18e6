//! The CPU clock that calls are measured and bounded by, and standing back from the CPU.

use std::time::Duration;

/// CPU time this thread has used.
#[must_use]
pub fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec; every Linux has this clock, so it is filled.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Makes this thread nicer than a process's first thread, by `more`; where that is refused it stays as it is. How nice it
/// is now.
///
/// Not as nice as a number: in a gateway that was started with `nice`, policies would go before its workers. And not than it
/// was: threads and processes inherit what those that start them have.
pub fn step_back(process: u32, more: i32) -> i32 {
    // SAFETY: no pointers; 0 is the calling thread, for Linux counts these by thread.
    unsafe {
        let nice = (libc::getpriority(libc::PRIO_PROCESS as _, process) + more).min(NICEST);
        libc::setpriority(libc::PRIO_PROCESS as _, 0, nice);
        libc::getpriority(libc::PRIO_PROCESS as _, 0)
    }
}

/// The system knows nothing behind this.
const NICEST: i32 = 19;

#[cfg(test)]
mod tests {
    use std::{process, thread};

    use super::*;

    #[test]
    fn threads_stand_behind_the_process_and_no_further_than_there_is() {
        let began = thread::spawn(|| [0, 3, 5, 30].map(|more| step_back(process::id(), more)));
        let [own, three, five, all] = began.join().unwrap();
        let behind = |more: i32| (own + more).min(19);
        assert_eq!([three, five, all], [behind(3), behind(5), 19]);
    }
}
