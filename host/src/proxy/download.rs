//! An answer's body on its way from a member to the client.

use std::{io, time::Duration};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::{
    http1::{CHUNK_END, Decoder, Framing, Inlet, ReadError, chunk_head, end_chunks, within},
    policy::{BodyStream, Fault},
    response::body::{BodyError, BodyRewriter},
};

/// What happens to the bytes on their way.
pub enum Filter {
    /// Nothing.
    None,
    /// Rewritten by the host.
    Native(Box<BodyRewriter>),
    /// Streamed through a guest of its own.
    Guest(Box<BodyStream>),
}

/// Carries an answer's body. Steps may be cancelled.
pub struct Download {
    decoder: Decoder,
    filter: Filter,
    framing: Framing,
    out: Vec<u8>,
    written: usize,
    /// Bytes at the front of the member's buffer that follow `out` unchanged.
    direct: usize,
    /// Bytes at the front of the member's buffer that the filter has not taken yet.
    unfiltered: usize,
    /// Bytes of the chunk's end that follow `direct`: with its data, since many a client takes a chunk
    /// only when it has all of it.
    chunk_end: usize,
    draining: bool,
    ended: bool,
    /// The first look at what came with the head is done.
    primed: bool,
    total: u64,
    /// Body bytes the client got.
    pub delivered: u64,
    /// Body bytes the member sent.
    pub received: u64,
}

/// Why a download cannot go on.
#[derive(Debug)]
pub enum DownloadError {
    /// The member's side failed: the answer must be aborted.
    Member(ReadError),
    /// The client does not take it.
    Client(io::Error),
    /// The body could not be rewritten.
    Body(BodyError),
    /// The guest that streams it failed.
    Guest(Fault),
}

impl Download {
    /// Of an answer that came with `decoder` and goes out with `framing`, after `head`.
    pub fn new(decoder: Decoder, filter: Filter, framing: Framing, head: Vec<u8>) -> Self {
        Self {
            decoder,
            filter,
            framing,
            out: head,
            written: 0,
            direct: 0,
            unfiltered: 0,
            chunk_end: 0,
            draining: false,
            ended: false,
            primed: false,
            total: 0,
            delivered: 0,
            received: 0,
        }
    }

    /// Whether the client got any byte, of the head even.
    pub fn has_begun(&self) -> bool {
        self.total > 0
    }

    /// Bytes the client's socket took, of the head as well.
    pub fn written(&self) -> u64 {
        self.total
    }

    /// Bytes that are still to come of a body that goes out as it comes in, once nothing of it waits here.
    pub fn passing(&self) -> Option<u64> {
        let is_plain = matches!(self.filter, Filter::None) && self.framing != Framing::Chunked;
        let left = self.decoder.remaining()?;
        (is_plain && left > 0 && self.pending() == 0).then_some(left)
    }

    /// Bytes that are still to come from the member, where that is known.
    pub fn left(&self) -> Option<u64> {
        self.decoder.remaining()
    }

    /// So many of them came.
    pub fn passed_in(&mut self, bytes: usize) {
        self.decoder.skip(bytes as u64);
        self.received += bytes as u64;
    }

    /// So many went out.
    pub fn passed_out(&mut self, bytes: usize) {
        self.total += bytes as u64;
        self.delivered += bytes as u64;
        self.ended = self.decoder.is_done() && self.delivered == self.received;
    }

    /// Whether all is written.
    pub fn is_over(&self) -> bool {
        self.ended && self.pending() == 0
    }

    /// Whether the member has sent everything and may send another answer: not where closing is the end.
    pub fn is_received(&self) -> bool {
        self.decoder.is_done()
    }

    /// Writes what is due, or else reads some more. `Ok(true)` once all is written.
    pub async fn step<R, W>(
        &mut self,
        member: &mut Inlet<'_, R>,
        client: &mut W,
        member_patience: Duration,
        client_patience: Duration,
    ) -> Result<bool, DownloadError>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let primed = std::mem::replace(&mut self.primed, true);
        if self.pending() == 0 && !self.ended {
            self.out.clear();
            self.written = 0;
            self.refill(member, member_patience).await?;
        } else if !primed {
            // What has come already goes with the head.
            if let Some(piece) = member
                .ready(&mut self.decoder)
                .map_err(DownloadError::Member)?
            {
                self.take(member, piece).await?;
            }
        }
        if self.pending() > 0 {
            let direct = io::IoSlice::new(&member.buffer[..self.direct]);
            let chunk_end = io::IoSlice::new(&CHUNK_END[CHUNK_END.len() - self.chunk_end..]);
            let slices = [
                io::IoSlice::new(&self.out[self.written..]),
                direct,
                chunk_end,
            ];
            let write = within(client_patience, client.write_vectored(&slices)).await;
            match write.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(0) => return Err(DownloadError::Client(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.wrote(member, written),
                Err(error) => return Err(DownloadError::Client(error)),
            }
        }
        Ok(self.is_over())
    }

    fn pending(&self) -> usize {
        self.out.len() - self.written + self.direct + self.chunk_end
    }

    fn wrote<R>(&mut self, member: &mut Inlet<'_, R>, written: usize) {
        self.total += written as u64;
        let of_out = written.min(self.out.len() - self.written);
        self.written += of_out;
        let of_direct = (written - of_out).min(self.direct);
        self.direct -= of_direct;
        self.chunk_end -= written - of_out - of_direct;
        self.delivered += of_direct as u64;
        member.buffer.advance(of_direct);
    }

    async fn refill<R: AsyncRead + Unpin>(
        &mut self,
        member: &mut Inlet<'_, R>,
        patience: Duration,
    ) -> Result<(), DownloadError> {
        if self.draining {
            return self.drain().await;
        }
        if self.unfiltered > 0 {
            return self.filter(member).await;
        }
        let piece = member
            .piece(&mut self.decoder, patience)
            .await
            .map_err(DownloadError::Member)?;
        self.take(member, piece).await
    }

    async fn take<R>(
        &mut self,
        member: &mut Inlet<'_, R>,
        piece: Option<usize>,
    ) -> Result<(), DownloadError> {
        let Some(length) = piece else {
            self.draining = true;
            return self.drain().await;
        };
        self.received += length as u64;
        if matches!(self.filter, Filter::None) {
            if self.framing == Framing::Chunked {
                chunk_head(&mut self.out, length);
                self.chunk_end = CHUNK_END.len();
            }
            self.direct = length;
            if self.decoder.is_done() && self.framing != Framing::Chunked {
                self.ended = true;
            }
            return Ok(());
        }
        self.unfiltered = length;
        self.filter(member).await
    }

    async fn filter<R>(&mut self, member: &mut Inlet<'_, R>) -> Result<(), DownloadError> {
        let mut made = Vec::new();
        let input = &member.buffer[..self.unfiltered];
        let used = match &mut self.filter {
            Filter::None => input.len(),
            Filter::Native(rewriter) => rewriter
                .feed(input, &mut made)
                .map_err(DownloadError::Body)?,
            Filter::Guest(guest) => {
                made = guest.write(input).await.map_err(DownloadError::Guest)?;
                input.len()
            }
        };
        member.buffer.advance(used);
        self.unfiltered -= used;
        self.encode(&made);
        Ok(())
    }

    /// The member has ended: what the filter still holds, then the end.
    async fn drain(&mut self) -> Result<(), DownloadError> {
        let mut made = Vec::new();
        self.ended = match &mut self.filter {
            Filter::None => true,
            Filter::Native(rewriter) => rewriter.finish(&mut made).map_err(DownloadError::Body)?,
            Filter::Guest(guest) => {
                made = guest.finish().await.map_err(DownloadError::Guest)?;
                true
            }
        };
        self.encode(&made);
        if self.ended && self.framing == Framing::Chunked {
            end_chunks(&mut self.out);
        }
        Ok(())
    }

    fn encode(&mut self, made: &[u8]) {
        if made.is_empty() {
            return;
        }
        self.delivered += made.len() as u64;
        if self.framing == Framing::Chunked {
            chunk_head(&mut self.out, made.len());
            self.out.extend_from_slice(made);
            self.out.extend_from_slice(CHUNK_END);
        } else {
            self.out.extend_from_slice(made);
        }
    }
}
