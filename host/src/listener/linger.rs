//! Ending a connection so that the client gets to read what it was sent.

use std::{
    io,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How long a client may pause while it goes on sending into the void.
const PAUSE: Duration = Duration::from_secs(2);
/// And how long it may go on: many clients read an early answer only when all of their body is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says goodbye, then reads on for a while: closing with unread input would reset the connection,
/// and the reset can destroy an answer that has not been read yet (RFC 9112 9.6).
pub async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let until = deadline.min(Instant::now() + PAUSE);
        if !matches!(timeout_at(until, stream.readable()).await, Ok(Ok(()))) {
            return;
        }
        // On the stack for a moment only, not in every idle connection's task.
        let mut sink = [0; 16 * 1024];
        match stream.try_read(&mut sink) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// The same for a client that has said that it sends nothing more: it is not waited for, unless it sent something all the same.
pub async fn close_after_the_last(stream: TcpStream) {
    // Asks the system only where the runtime has heard of something.
    if let Ok(1..) = stream.try_read(&mut [0]) {
        close(stream).await;
    }
}

/// A client's connection until it is finished. Where the close would be taken for the end of what is sent, it
/// is broken off visibly, with a reset: also where its task is ended from outside in the middle of an answer.
#[derive(Debug)]
pub struct Unfinished<'a> {
    stream: Option<TcpStream>,
    must_reset: &'a AtomicBool,
}

impl<'a> Unfinished<'a> {
    /// Served from now on; `must_reset` is set as long as a close would mislead.
    pub fn new(stream: TcpStream, must_reset: &'a AtomicBool) -> Self {
        Self {
            stream: Some(stream),
            must_reset,
        }
    }

    /// Everything that was to be sent is sent.
    pub fn finish(mut self) -> TcpStream {
        self.stream.take().expect(HELD)
    }
}

const HELD: &str = "only `finish` takes the stream, and consumes the guard";

impl Deref for Unfinished<'_> {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        self.stream.as_ref().expect(HELD)
    }
}

impl DerefMut for Unfinished<'_> {
    fn deref_mut(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect(HELD)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream
            && self.must_reset.load(Ordering::Relaxed)
        {
            // Fails only for a socket that is gone already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}
