//! The client's side of a connection, as a request sees it.

use std::{io, sync::atomic::AtomicBool, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::AsyncWriteExt,
    net::tcp::{ReadHalf, WriteHalf},
    sync::watch,
    time::Instant,
};

use super::{answer::Manner, errand::Ends, presence::Presence};
use crate::http1::{Alarm, Inlet, within};

/// How far a listener has got in stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Not at all.
    Serving,
    /// No new connections; requests under way finish.
    Draining,
    /// Everything ends.
    Now,
}

/// A client's connection while it is served.
#[derive(Debug)]
pub struct Downstream<'a> {
    /// Bytes from the client.
    pub reader: ReadHalf<'a>,
    /// Bytes to the client.
    pub writer: WriteHalf<'a>,
    /// Read and not yet used: the rest of a body, the next requests.
    pub buffer: BytesMut,
    /// When the request's first byte came.
    pub begun: Instant,
    /// Bytes of the request's head, or of what came of it.
    pub head_bytes: u64,
    /// Whose it is.
    pub ends: Ends,
    /// Whether it still waits for the answer of this request.
    pub presence: Presence,
    /// Set while a close would be taken for the end of the answer.
    pub must_reset: &'a AtomicBool,
    /// Requests before this one.
    pub served: u32,
    /// Says when to stop.
    pub drain: watch::Receiver<Drain>,
    /// Ends its waits for the client's next request and for members' answers.
    pub alarm: Alarm,
    /// An answer has said that it is the last one.
    pub parting: bool,
    /// The client has said that it sends nothing more, and all that it sent is read.
    pub spoken: bool,
}

impl<'a> Downstream<'a> {
    /// Reads from the client.
    pub fn inlet(&mut self) -> Inlet<'_, ReadHalf<'a>> {
        Inlet::new(&mut self.reader, &mut self.buffer)
    }

    /// What `Connection` says in a head that is written now: a connection whose gateway began to
    /// drain meanwhile is not kept, and once a head has said so it holds (RFC 9112 9.6).
    pub fn part(&mut self, manner: &mut Manner) -> Option<&'static str> {
        manner.keep &= *self.drain.borrow() == Drain::Serving;
        self.parting |= !manner.keep;
        manner.connection()
    }

    /// Writes all of `bytes`, each write within `patience`.
    pub async fn write(&mut self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = within(patience, self.writer.write(bytes))
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }
}
