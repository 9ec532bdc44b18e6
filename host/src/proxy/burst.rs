//! Writing in bursts, where there is enough to write.
//!
//! A worker with much to do finds many sockets readable at once. It reads and decides for all of them first and
//! writes for all of them then: what is done in a row finds its code in the caches, and whoever waits for the bytes on
//! this machine is woken once for many. A worker with little to do writes at once.

use std::cell::Cell;

use tokio::task::yield_now;

/// With fewer writes between two waits, gathering would cost more than it saves.
const ENOUGH: u32 = 4;

thread_local! {
    static WRITES: Cell<u32> = const { Cell::new(0) };
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Called before a write. Returns after everybody else who is ready has come as far, if there are many.
pub async fn gather() {
    WRITES.set(WRITES.get() + 1);
    if IS_BUSY.get() {
        yield_now().await;
    }
}

/// This worker has nothing to do before it hears of a socket or a timer.
pub fn waits() {
    IS_BUSY.set(WRITES.take() >= ENOUGH);
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn is_immediate() -> bool {
        let mut gathering = pin!(gather());
        let mut context = Context::from_waker(Waker::noop());
        gathering.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn only_a_worker_with_much_to_write_gathers() {
        for (writes, immediate) in [(1, true), (ENOUGH, false), (ENOUGH - 1, true), (0, true)] {
            waits();
            for _ in 0..writes {
                is_immediate();
            }
            waits();
            assert_eq!(is_immediate(), immediate, "after {writes} writes");
            // A wait with nothing written in between.
            waits();
            waits();
        }
    }
}
