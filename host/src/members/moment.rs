//! One reading of the clock for all that a task does in one go.
//!
//! A request asks for the time a dozen times within some microseconds, and each reading costs 25 ns. Within
//! [`in_moments`] the clock is read at most once for each poll.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

#[derive(Clone, Copy)]
enum Reading {
    /// Nobody keeps it: the clock is read each time.
    Live,
    /// The next reading is kept.
    Due,
    /// This one.
    Kept(Instant),
}

thread_local! {
    static READING: Cell<Reading> = const { Cell::new(Reading::Live) };
    static CALENDAR_READ: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// How long the calendar is told from the clock: what sets it, sets it by more or seldom.
const CALENDAR: Duration = Duration::from_millis(50);

/// Lets [`now`] be the same within each poll of `future`, which is pinned by the caller: taken over it would
/// lie in memory twice.
pub async fn in_moments<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    /// Also where the future panics.
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            READING.set(Reading::Live);
        }
    }
    poll_fn(|context| {
        READING.set(Reading::Due);
        let _over = Over;
        future.as_mut().poll(context)
    })
    .await
}

/// The time, or when this thread first asked for it in this poll.
pub fn now() -> Instant {
    match READING.get() {
        Reading::Kept(at) => at,
        Reading::Due => {
            let at = Instant::now();
            READING.set(Reading::Kept(at));
            at
        }
        Reading::Live => Instant::now(),
    }
}

/// The calendar's time at [`now`], at most 50 ms behind whatever sets it.
pub fn calendar() -> SystemTime {
    let now = now();
    if let Some((at, calendar)) = CALENDAR_READ.get()
        && let Some(since) = now.checked_duration_since(at)
        && since < CALENDAR
    {
        return calendar + since;
    }
    let calendar = SystemTime::now();
    CALENDAR_READ.set(Some((now, calendar)));
    calendar
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::{task::yield_now, time::advance};

    use super::*;

    const STEP: Duration = Duration::from_millis(7);

    #[tokio::test(start_paused = true)]
    async fn time_stands_still_within_a_poll_and_nowhere_else() {
        let began = now();
        let work = pin!(async {
            assert_eq!(now(), began);
            // Pending once: what follows is another poll.
            advance(STEP).await;
            yield_now().await;
            let then = now();
            assert_eq!(then - began, STEP);
        });
        in_moments(work).await;
        advance(STEP).await;
        assert_eq!(now() - began, 2 * STEP);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_leaves_no_moment_behind() {
        let fails = async {
            in_moments(pin!(async {
                now();
                panic!("on purpose");
            }))
            .await
        };
        assert!(tokio::spawn(fails).await.is_err());
        let began = now();
        advance(STEP).await;
        assert_eq!(now() - began, STEP);
    }

    #[tokio::test(start_paused = true)]
    async fn the_calendar_follows_the_clock() {
        let (began, wall) = (now(), calendar());
        advance(STEP).await;
        assert_eq!(calendar(), wall + (now() - began));
    }
}
