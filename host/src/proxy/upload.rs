//! A request's body on its way from the client to a member.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::http1::{CHUNK_END, Decoder, Framing, Inlet, ReadError, chunk_head, end_chunks, within};

/// A body up to this size is held until its answer has begun, so that another member can be tried.
const HELD: usize = 64 * 1024;

/// So much of a body is written together with the head.
const GATHERED: usize = 32 * 1024;

/// Carries a body, and can carry it again while it is held. Steps may be cancelled.
#[derive(Debug)]
pub struct Upload {
    framing: Framing,
    decoder: Decoder,
    held: Option<Vec<u8>>,
    out: Vec<u8>,
    written: usize,
    received: u64,
    limit: u64,
    ended: bool,
    sent: u64,
    /// The client was told to go on with its body.
    pub invited: bool,
}

/// Where an upload stands after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something moved.
    Progress,
    /// All is sent.
    Done,
}

/// Why an upload cannot go on.
#[derive(Debug)]
pub enum UploadError {
    /// The client's side failed.
    Client(ReadError),
    /// More than the limit.
    TooLarge,
    /// The member stopped taking bytes; it may have answered all the same.
    Member,
}

impl Upload {
    /// Of a request with this framing; `limit` 0 = none.
    pub fn new(framing: Framing, limit: u64) -> Self {
        Self {
            framing,
            decoder: Decoder::new(framing),
            held: Some(Vec::new()),
            out: Vec::new(),
            written: 0,
            received: 0,
            limit,
            ended: false,
            sent: 0,
            invited: false,
        }
    }

    /// Begins an attempt: `head` goes first, then what is held.
    pub fn begin(&mut self, write_head: impl FnOnce(&mut Vec<u8>)) {
        self.out.clear();
        self.written = 0;
        self.sent = 0;
        self.ended = false;
        write_head(&mut self.out);
        if let Some(held) = self.held.take() {
            self.encode(&held);
            self.held = Some(held);
        }
        if self.decoder.is_done() {
            self.end();
        }
    }

    /// Whether nothing of the body is gone.
    pub fn can_repeat(&self) -> bool {
        self.held.is_some()
    }

    /// Whether every byte of this attempt is sent.
    pub fn is_done(&self) -> bool {
        self.ended && self.written == self.out.len()
    }

    /// Whether nothing waits to be written, though more may come.
    pub fn is_flushed(&self) -> bool {
        self.written == self.out.len()
    }

    /// Whether the client has sent its whole body.
    pub fn is_received(&self) -> bool {
        self.decoder.is_done()
    }

    /// Bytes the member took in this attempt.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes of the client's body so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// For reading on what the client still sends.
    pub fn decoder(&mut self) -> &mut Decoder {
        &mut self.decoder
    }

    /// Drops the next `length` bytes of the client's body, which nobody wants.
    pub fn skip(&mut self, buffer: &mut BytesMut, length: usize) {
        buffer.advance(length);
        self.received += length as u64;
    }

    /// Writes what is due, or else reads some more.
    pub async fn step<R, W>(
        &mut self,
        client: &mut Inlet<'_, R>,
        member: &mut W,
        patience: Patience,
    ) -> Result<Step, UploadError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.written == self.out.len() {
            if self.ended {
                return Ok(Step::Done);
            }
            self.out.clear();
            self.written = 0;
            let piece = client.piece(&mut self.decoder, patience.client).await;
            self.take(client, piece.map_err(UploadError::Client)?)?;
        } else if self.written == 0 && !self.ended {
            self.gather(client).await?;
        }
        let rest = &self.out[self.written..];
        if !rest.is_empty() {
            let write = within(patience.member, member.write(rest)).await;
            let written = match write {
                Ok(Ok(written)) if written > 0 => written,
                // Closed, broken, or not in time.
                _ => return Err(UploadError::Member),
            };
            self.written += written;
            self.sent += written as u64;
        }
        Ok(if self.is_done() {
            Step::Done
        } else {
            Step::Progress
        })
    }

    /// What has come already goes with the head, in one write.
    async fn gather<R>(&mut self, client: &mut Inlet<'_, R>) -> Result<(), UploadError>
    where
        R: AsyncRead + Unpin,
    {
        while !self.ended && self.out.len() < GATHERED {
            let ready = client.ready(&mut self.decoder);
            if let Some(piece) = ready.map_err(UploadError::Client)? {
                self.take(client, piece)?;
            } else if !client.has_read_at_once().await {
                // An end or an error is met again by whoever waits for more.
                break;
            }
        }
        Ok(())
    }

    fn take<R: AsyncRead + Unpin>(
        &mut self,
        client: &mut Inlet<'_, R>,
        piece: Option<usize>,
    ) -> Result<(), UploadError> {
        let Some(length) = piece else {
            self.end();
            return Ok(());
        };
        self.received += length as u64;
        if self.limit != 0 && self.received > self.limit {
            return Err(UploadError::TooLarge);
        }
        let data = client.buffer.split_to(length);
        self.encode(&data);
        match &mut self.held {
            Some(held) if held.len() + length <= HELD => held.extend_from_slice(&data),
            held => *held = None,
        }
        if self.decoder.is_done() {
            self.end();
        }
        Ok(())
    }

    fn encode(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        if self.framing == Framing::Chunked {
            chunk_head(&mut self.out, data.len());
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(CHUNK_END);
        } else {
            self.out.extend_from_slice(data);
        }
    }

    fn end(&mut self) {
        if !self.ended && self.framing == Framing::Chunked {
            end_chunks(&mut self.out);
        }
        self.ended = true;
    }
}

/// How long each side of an upload may pause.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Between two pieces of the body.
    pub client: Duration,
    /// For taking bytes.
    pub member: Duration,
}
