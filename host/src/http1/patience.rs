//! Waiting with a limit, at no cost where there is nothing to wait for.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::{error::Elapsed, timeout};

/// What `future` gives, if it does within `patience`. Unlike tokio's `timeout` it neither reads the clock nor
/// makes a timer before the future has to wait: most reads and writes of a proxy do not.
pub async fn within<F: Future>(patience: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match at_once(future.as_mut()).await {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => timeout(patience, future).await,
    }
}

/// Polls `future` once.
pub async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::{sync::oneshot, task::yield_now};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_needs_no_time_and_what_never_comes_is_given_up() {
        assert_eq!(within(Duration::ZERO, ready(7)).await.ok(), Some(7));
        let started = tokio::time::Instant::now();
        assert!(
            within(Duration::from_secs(5), pending::<()>())
                .await
                .is_err()
        );
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_later_is_waited_for() {
        let (tell, told) = oneshot::channel();
        let teller = tokio::spawn(async move {
            yield_now().await;
            tell.send(7)
        });
        let waited = within(Duration::from_secs(5), told).await;
        assert_eq!(waited.unwrap(), Ok(7));
        teller.await.unwrap().unwrap();
    }
}
