//! Whether the client is still there while its request waits for a member.

use std::{
    future::poll_fn,
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};

/// A client that has ended its sending direction may have left, or may only be done with sending; on the
/// wire both look alike. It is asked only after this long, so most who wait get nothing but their answer.
const DOUBT: Duration = Duration::from_millis(100);
/// How long an answer that has begun may pause for such a client: it cannot be asked any more, most have
/// left, and a member should not work on for them. What is written after all asks as well.
const ALONE: Duration = Duration::from_secs(1);

/// The question: every client of HTTP/1.1 reads on after it (RFC 9110 15.2), and the kernel of one that
/// has left answers it with a reset.
const QUESTION: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What is known of a client that is not read from.
#[derive(Debug)]
pub struct Presence {
    state: State,
    /// The client may be sent interim answers: not to be had from HTTP/1.0.
    may_ask: bool,
    /// The final answer has begun.
    answering: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Its sending direction is open, as far as we know.
    Open,
    /// It has ended its sending direction, and is given until then, or until more than so many bytes were written.
    Doubtful(Instant, u64),
    /// It has sent what nobody reads now, of its body or its next request: only a reset tells that it left.
    Speaking,
    /// It was asked, or cannot be: again, only a reset tells.
    Trusted,
}

impl Presence {
    /// Of a client that nothing is known of yet.
    pub fn new(may_ask: bool) -> Self {
        Self {
            state: State::Open,
            may_ask,
            answering: false,
        }
    }

    /// What the client sent is read on.
    pub fn look_again(&mut self) {
        if matches!(self.state, State::Speaking) {
            self.state = State::Open;
        }
    }

    /// From now on the final answer is sent.
    pub fn begin_answer(&mut self) {
        self.answering = true;
        if let State::Doubtful(until, written) = &mut self.state {
            (*until, *written) = (Instant::now() + ALONE, 0);
        }
    }

    /// Returns once the client has left. May be cancelled, and asked again. Makes no system call
    /// before the client is heard of, unless the runtime remembers bytes that were read already. `written`
    /// counts bytes of the answer: whoever has left answers them with a reset, so they ask as well.
    pub async fn left(&mut self, client: &TcpStream, written: &AtomicU64) {
        loop {
            match self.state {
                State::Open => {
                    let doubt = if self.answering { ALONE } else { DOUBT };
                    // Not `peek`, which would wait in a list of its own.
                    let mut byte = [0];
                    let mut byte = ReadBuf::new(&mut byte);
                    let peeked = poll_fn(|context| client.poll_peek(context, &mut byte)).await;
                    self.state = match peeked {
                        Ok(0) => State::Doubtful(Instant::now() + doubt, written.load(Relaxed)),
                        Ok(_) => State::Speaking,
                        Err(_) => return,
                    };
                }
                State::Doubtful(until, before) => {
                    let hears = async {
                        tokio::select! {
                            biased;
                            _ = client.ready(Interest::ERROR) => true,
                            () = sleep_until(until) => false,
                        }
                    };
                    if Box::pin(hears).await {
                        return;
                    }
                    if written.load(Relaxed) > before {
                        self.state = State::Trusted;
                        continue;
                    }
                    if self.answering || (self.may_ask && !asked(client)) {
                        return;
                    }
                    self.state = State::Trusted;
                }
                State::Speaking | State::Trusted => {
                    // Fails only with the runtime.
                    let _ = client.ready(Interest::ERROR).await;
                    return;
                }
            }
        }
    }
}

/// Sends the question; false where the client cannot be there.
fn asked(client: &TcpStream) -> bool {
    match client.try_write(QUESTION) {
        // Half a question cannot be taken back.
        Ok(written) => written == QUESTION.len(),
        // It has not even read what it was sent before, which asks as well.
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpSocket},
        time::timeout,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    /// Long enough for what must happen.
    const SOON: Duration = Duration::from_secs(10);
    /// Long enough for what must not happen to show itself.
    const WHILE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_client_that_closed_has_left() {
        let (client, ours) = pair().await;
        drop(client);
        let written = AtomicU64::new(0);
        let left = timeout(SOON, Presence::new(true).left(&ours, &written)).await;
        assert!(left.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_reset_has_left_whoever_may_be_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        let connecting = socket.connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let ours = accepted.unwrap().0;
        drop(client);
        let written = AtomicU64::new(0);
        let left = timeout(SOON, Presence::new(false).left(&ours, &written)).await;
        assert!(left.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_only_ended_its_sending_direction_is_asked_and_trusted() {
        for (may_ask, asked) in [(true, QUESTION), (false, b"")] {
            let (mut client, mut ours) = pair().await;
            client.shutdown().await.unwrap();
            let written = AtomicU64::new(0);
            let mut presence = Presence::new(may_ask);
            assert!(
                timeout(WHILE, presence.left(&ours, &written))
                    .await
                    .is_err()
            );
            // Cancelled and asked again, it does not ask twice.
            assert!(
                timeout(WHILE, presence.left(&ours, &written))
                    .await
                    .is_err()
            );
            ours.shutdown().await.unwrap();
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard, asked);
        }
    }

    #[tokio::test]
    async fn an_answer_that_has_begun_asks_by_what_is_written() {
        for (wrote, may_stay) in [(false, false), (true, true)] {
            let (mut client, ours) = pair().await;
            client.shutdown().await.unwrap();
            let written = AtomicU64::new(0);
            let mut presence = Presence::new(true);
            presence.begin_answer();
            assert!(
                timeout(WHILE, presence.left(&ours, &written))
                    .await
                    .is_err()
            );
            if wrote {
                written.store(7, Relaxed);
            }
            let left = timeout(2 * ALONE, presence.left(&ours, &written)).await;
            assert_eq!(left.is_err(), may_stay, "{wrote}");
        }
    }

    #[tokio::test]
    async fn doubts_of_before_the_answer_do_not_shorten_its_pause() {
        let (mut client, ours) = pair().await;
        client.shutdown().await.unwrap();
        let written = AtomicU64::new(0);
        let mut presence = Presence::new(false);
        // In doubt, but not for long enough to be asked.
        assert!(
            timeout(DOUBT / 4, presence.left(&ours, &written))
                .await
                .is_err()
        );
        presence.begin_answer();
        let began = Instant::now();
        assert!(timeout(SOON, presence.left(&ours, &written)).await.is_ok());
        assert!(began.elapsed() >= ALONE);
    }

    #[tokio::test]
    async fn a_client_that_sends_on_is_there() {
        let (mut client, ours) = pair().await;
        client.write_all(b"GET").await.unwrap();
        let written = AtomicU64::new(0);
        let mut presence = Presence::new(true);
        assert!(
            timeout(WHILE, presence.left(&ours, &written))
                .await
                .is_err()
        );
        let mut byte = [0];
        assert_eq!(ours.peek(&mut byte).await.unwrap(), 1, "its bytes are left");
    }
}
