//! Reading heads and bodies from a socket into one buffer.

use std::{io, pin::pin, task::Poll, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};

use super::{Decoded, Decoder, HeadScanner, Malformed, Scan, patience::at_once, within};

/// First read of a client's connection: most heads fit.
const FIRST: usize = 8 * 1024;
/// First read of an answer: many fit with their bodies.
const ANSWER: usize = 16 * 1024;
/// Largest single read; reads grow towards it while they fill the buffer.
const LARGEST: usize = 64 * 1024;

/// Why nothing more can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The peer ended the connection.
    #[error("the connection was closed")]
    Closed,
    /// Nothing came in time.
    #[error("nothing came in time")]
    TimedOut,
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no HTTP we read.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

/// One side's bytes on their way in. Every method may be cancelled without losing any.
pub struct Inlet<'a, R> {
    io: &'a mut R,
    /// What was read and not yet used.
    pub buffer: &'a mut BytesMut,
    want: usize,
}

impl<'a, R: AsyncRead + Unpin> Inlet<'a, R> {
    /// Reads from `io`, after what `buffer` holds already.
    pub fn new(io: &'a mut R, buffer: &'a mut BytesMut) -> Self {
        Self {
            io,
            buffer,
            want: FIRST,
        }
    }

    /// Likewise an answer. Where it is known how much of it is to come, that is asked for at once.
    pub fn of_answer(io: &'a mut R, buffer: &'a mut BytesMut, left: Option<u64>) -> Self {
        let left = left.and_then(|left| usize::try_from(left).ok());
        Self {
            io,
            buffer,
            want: left.unwrap_or(ANSWER).clamp(ANSWER, LARGEST),
        }
    }

    /// What it reads from.
    pub fn io(&self) -> &R {
        self.io
    }

    /// Reads something, or fails after `patience`.
    pub async fn fill(&mut self, patience: Duration) -> Result<(), ReadError> {
        match within(patience, self.read()).await {
            Err(_) => Err(ReadError::TimedOut),
            Ok(read) => read,
        }
    }

    /// Reads something if that takes no waiting. Ends and errors are left for the next to read.
    pub async fn has_read_at_once(&mut self) -> bool {
        matches!(at_once(pin!(self.read())).await, Poll::Ready(Ok(())))
    }

    async fn read(&mut self) -> Result<(), ReadError> {
        self.buffer.reserve(self.want);
        let before = self.buffer.spare_capacity_mut().len();
        match self.io.read_buf(self.buffer).await? {
            0 => Err(ReadError::Closed),
            read => {
                if read == before {
                    self.want = (self.want * 2).min(LARGEST);
                }
                Ok(())
            }
        }
    }

    /// Like [`Self::head`], within `patience` from now; a head that is here already costs no look at the clock.
    pub async fn head_within(
        &mut self,
        limit: usize,
        patience: Duration,
    ) -> Result<usize, ReadError> {
        match HeadScanner::default().look(self.buffer, limit)? {
            Scan::Complete(length) => Ok(length),
            _ => self.head(limit, Instant::now() + patience).await,
        }
    }

    /// Reads until a head is complete and gives its length.
    pub async fn head(&mut self, limit: usize, deadline: Instant) -> Result<usize, ReadError> {
        let read = timeout_at(deadline, self.head_whenever(limit)).await;
        read.unwrap_or(Err(ReadError::TimedOut))
    }

    /// Likewise, for callers that have a clock of their own.
    pub async fn head_whenever(&mut self, limit: usize) -> Result<usize, ReadError> {
        let mut scanner = HeadScanner::default();
        loop {
            if let Scan::Complete(length) = scanner.look(self.buffer, limit)? {
                return Ok(length);
            }
            self.read().await?;
        }
    }

    /// The next piece of a body: so many bytes at the front of the buffer, which the caller takes
    /// off before asking again. `None` at the end.
    pub async fn piece(
        &mut self,
        decoder: &mut Decoder,
        patience: Duration,
    ) -> Result<Option<usize>, ReadError> {
        loop {
            if let Some(piece) = self.ready(decoder)? {
                return Ok(piece);
            }
            match self.fill(patience).await {
                Err(ReadError::Closed) if decoder.ends_at_close() => return Ok(None),
                filled => filled?,
            }
        }
    }

    /// The next piece where the buffer holds it already.
    #[allow(
        clippy::option_option,
        reason = "unknown, ended and a piece are three things"
    )]
    pub fn ready(&mut self, decoder: &mut Decoder) -> Result<Option<Option<usize>>, ReadError> {
        match decoder.decode(self.buffer)? {
            Decoded::Data(range) => {
                self.buffer.advance(range.start);
                Ok(Some(Some(range.end - range.start)))
            }
            Decoded::End(used) => {
                self.buffer.advance(used);
                Ok(Some(None))
            }
            Decoded::More(used) => {
                self.buffer.advance(used);
                Ok(None)
            }
        }
    }
}
