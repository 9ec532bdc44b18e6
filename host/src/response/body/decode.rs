//! The member's content coding, undone.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::coding::Coding;
use super::deflate::{Gunzip, Inflate, Step};
use super::error::BodyError;

type BrotliInput = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

/// Undoes one content coding, into slices of the caller's size.
pub(super) struct Decoder {
    format: Format,
    /// A body without any byte is complete in every coding.
    started: bool,
}

enum Format {
    Identity,
    Gzip(Box<Gunzip>),
    Deflate(Inflate),
    Brotli {
        state: Box<BrotliInput>,
        ended: bool,
    },
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        let format = match coding {
            Coding::Identity => Format::Identity,
            Coding::Gzip => Format::Gzip(Box::new(Gunzip::new())),
            Coding::Deflate => Format::Deflate(Inflate::new()),
            // Strict: without the large-window extension a window is at most 16 MiB (RFC 7932 section 9.1).
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                Format::Brotli {
                    state: Box::new(BrotliInput::new_strict(alloc(), alloc(), alloc())),
                    ended: false,
                }
            }
        };
        Self {
            format,
            started: false,
        }
    }

    /// Consumes some of `input` and fills some of `out`; (0, 0) when nothing more can be done with that input.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, BodyError> {
        self.started |= !input.is_empty();
        match &mut self.format {
            Format::Identity => {
                let take = input.len().min(out.len());
                out[..take].copy_from_slice(&input[..take]);
                Ok((take, take))
            }
            Format::Gzip(gzip) => gzip.decode(input, out),
            Format::Deflate(deflate) => deflate.decode(input, out),
            Format::Brotli { ended: true, .. } => Ok((input.len(), 0)),
            Format::Brotli { state, ended } => {
                let (mut unread, mut read, mut room, mut made, mut total) =
                    (input.len(), 0, out.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut unread,
                    &mut read,
                    input,
                    &mut room,
                    &mut made,
                    out,
                    &mut total,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => {
                        return Err(BodyError::Corrupt {
                            coding: Coding::Brotli,
                        });
                    }
                    BrotliResult::ResultSuccess => *ended = true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                }
                Ok((read, made))
            }
        }
    }

    /// Errs when the input ended too early.
    pub(super) fn finish(&self) -> Result<(), BodyError> {
        let (complete, coding) = match &self.format {
            Format::Identity => (true, Coding::Identity),
            Format::Gzip(gzip) => (gzip.is_complete(), Coding::Gzip),
            Format::Deflate(deflate) => (deflate.is_complete(), Coding::Deflate),
            Format::Brotli { ended, .. } => (*ended, Coding::Brotli),
        };
        if complete || !self.started {
            Ok(())
        } else {
            Err(BodyError::Truncated { coding })
        }
    }

    /// Whether there was any input.
    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    /// Whether a deflate body has zlib's container; `true` for all else.
    pub(super) fn is_zlib(&self) -> bool {
        if let Format::Deflate(deflate) = &self.format {
            deflate.is_zlib()
        } else {
            true
        }
    }
}
