//! Ending a connection so that the client gets to read what it was sent.

use std::time::Duration;

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

/// How long a client may go on sending into the void.
const PATIENCE: Duration = Duration::from_secs(2);
/// And how much.
const BYTES: usize = 256 * 1024;

/// Says goodbye, then reads on for a while: closing with unread input would reset the connection,
/// and the reset can destroy an answer that has not been read yet (RFC 9112 9.6).
pub async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut sink = [0; 4096];
    let mut read = 0;
    while read < BYTES {
        match timeout_at(deadline, stream.read(&mut sink)).await {
            Ok(Ok(more)) if more > 0 => read += more,
            _ => return,
        }
    }
}

/// Breaks the connection off visibly: with a reset, whatever the framing.
pub fn abort(stream: TcpStream) {
    // Fails only for a socket that is gone already.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}
