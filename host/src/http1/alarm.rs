//! A timer that is set anew all the time and goes off hardly ever.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer for all the waits of a connection, which mostly end long before their deadline. It stays set for the
/// earliest deadline it was given: to put it off costs something only when that has come.
#[derive(Debug, Default)]
pub struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Returns at `deadline`. May be cancelled; the deadline that counts is that of the last call.
    pub async fn at(&mut self, deadline: Instant) {
        poll_fn(|context| self.poll(context, deadline)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_last_deadline_whichever_came_before() {
        let (mut alarm, began) = (Alarm::default(), Instant::now());
        let after = |seconds| began + Duration::from_secs(seconds);
        // Set, and left again after a second each.
        for (at, deadline) in [(1, 10), (2, 60), (3, 8), (4, 61)] {
            assert!(timeout_at(after(at), &mut alarm, after(deadline)).await);
        }
        alarm.at(after(30)).await;
        assert_eq!(Instant::now(), after(30), "neither at 8 nor at 61");
        alarm.at(after(20)).await;
        assert_eq!(Instant::now(), after(30), "what is past is past");
        alarm.at(after(31)).await;
        assert_eq!(Instant::now(), after(31), "and it can be set again");
    }

    /// Whether the alarm was still silent at `end`.
    async fn timeout_at(end: Instant, alarm: &mut Alarm, deadline: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        timeout(left, alarm.at(deadline)).await.is_err()
    }
}
