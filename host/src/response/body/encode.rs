//! The member's content coding, done again for the client.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct,
};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::coding::Coding;
use super::error::BodyError;

/// zlib's level 4: about a tenth larger than its default of 6 at half the time, and it runs once a response.
const DEFLATE_LEVEL: u32 = 4;
/// Brotli's cost at this quality is that of zlib's level 4.
const BROTLI_QUALITY: u32 = 4;
/// 256 KiB: the encoder's memory is some four times its window.
const BROTLI_WINDOW_BITS: u32 = 18;
/// RFC 1952 section 2.3: no name, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Does one content coding.
pub(super) struct Encoder {
    coding: Coding,
    format: Option<Format>,
    /// Bytes went in since the last flush.
    dirty: bool,
    finished: bool,
}

enum Format {
    Identity,
    Deflate { raw: Compress, gzip: Option<Crc> },
    Brotli(Box<Brotli>),
}

struct Brotli(BrotliEncoderStateStruct<StandardAlloc>);

impl Drop for Brotli {
    fn drop(&mut self) {
        brotli::enc::encode::BrotliEncoderDestroyInstance(&mut self.0);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Process,
    Flush,
    Finish,
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> Self {
        Self {
            coding,
            format: None,
            dirty: false,
            finished: false,
        }
    }

    /// Takes some of `input`, appends at most `room` bytes and returns how many it took.
    /// `zlib` tells which of deflate's two forms to write.
    pub(super) fn write(
        &mut self,
        input: &[u8],
        zlib: bool,
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, BodyError> {
        let Some(room) = self.begin(zlib, out, room) else {
            return Ok(0);
        };
        self.dirty |= !input.is_empty();
        self.run(Operation::Process, input, out, room)
            .map(|(read, _)| read)
    }

    /// Lets out all that was written so far; call until `true`.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>, room: usize) -> Result<bool, BodyError> {
        if self.dirty && self.run(Operation::Flush, &[], out, room)?.1 {
            self.dirty = false;
        }
        Ok(!self.dirty)
    }

    /// Ends the coding; call until `true`.
    pub(super) fn finish(
        &mut self,
        zlib: bool,
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<bool, BodyError> {
        if self.finished {
            return Ok(true);
        }
        let Some(room) = self.begin(zlib, out, room) else {
            return Ok(false);
        };
        let Some(room) = room.checked_sub(TRAILER) else {
            return Ok(false);
        };
        self.finished = self.run(Operation::Finish, &[], out, room)?.1;
        if let (
            true,
            Some(Format::Deflate {
                gzip: Some(crc), ..
            }),
        ) = (self.finished, &self.format)
        {
            out.extend_from_slice(&crc.sum().to_le_bytes());
            out.extend_from_slice(&crc.amount().to_le_bytes());
        }
        Ok(self.finished)
    }

    /// The room left after the container's header, `None` when it does not suffice.
    fn begin(&mut self, zlib: bool, out: &mut Vec<u8>, room: usize) -> Option<usize> {
        if self.format.is_some() {
            return Some(room);
        }
        let left = room.checked_sub(GZIP_HEADER.len())?;
        let level = Compression::new(DEFLATE_LEVEL);
        self.format = Some(match self.coding {
            Coding::Identity => Format::Identity,
            Coding::Gzip => {
                out.extend_from_slice(&GZIP_HEADER);
                Format::Deflate {
                    raw: Compress::new(level, false),
                    gzip: Some(Crc::new()),
                }
            }
            Coding::Deflate => Format::Deflate {
                raw: Compress::new(level, zlib),
                gzip: None,
            },
            Coding::Brotli => {
                let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, BROTLI_QUALITY);
                state.set_parameter(
                    BrotliEncoderParameter::BROTLI_PARAM_LGWIN,
                    BROTLI_WINDOW_BITS,
                );
                Format::Brotli(Box::new(Brotli(state)))
            }
        });
        Some(left)
    }

    /// Bytes taken, and whether the operation is complete.
    fn run(
        &mut self,
        operation: Operation,
        input: &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<(usize, bool), BodyError> {
        let error = BodyError::Encoder {
            coding: self.coding,
        };
        let start = out.len();
        match &mut self.format {
            None => Ok((0, true)),
            Some(Format::Identity) => {
                let take = input.len().min(room);
                out.extend_from_slice(&input[..take]);
                Ok((take, true))
            }
            Some(Format::Deflate { raw, gzip }) => {
                let flush = match operation {
                    Operation::Process => FlushCompress::None,
                    Operation::Flush => FlushCompress::Sync,
                    Operation::Finish => FlushCompress::Finish,
                };
                out.resize(start + room, 0);
                let (read, made) = (raw.total_in(), raw.total_out());
                let status = raw
                    .compress(input, &mut out[start..], flush)
                    .map_err(|_| error)?;
                // Both differences are at most the lengths of the slices.
                let (read, made) = (
                    (raw.total_in() - read) as usize,
                    (raw.total_out() - made) as usize,
                );
                out.truncate(start + made);
                if let Some(crc) = gzip {
                    crc.update(&input[..read]);
                }
                let done = if operation == Operation::Finish {
                    status == Status::StreamEnd
                } else {
                    made < room
                };
                Ok((read, done))
            }
            Some(Format::Brotli(state)) => {
                let operation = match operation {
                    Operation::Process => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
                    Operation::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
                    Operation::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
                };
                out.resize(start + room, 0);
                let (mut unread, mut read, mut free, mut made) = (input.len(), 0, room, 0);
                let accepted = state.0.compress_stream(
                    operation,
                    &mut unread,
                    input,
                    &mut read,
                    &mut free,
                    &mut out[start..],
                    &mut made,
                    &mut None,
                    &mut |_, _, _, _| (),
                );
                out.truncate(start + made);
                if !accepted {
                    return Err(error);
                }
                let done = !state.0.has_more_output()
                    && (operation as i32 != BrotliEncoderOperation::BROTLI_OPERATION_FINISH as i32
                        || state.0.is_finished());
                Ok((read, done))
            }
        }
    }
}

/// Bytes behind a gzip member's data.
const TRAILER: usize = 8;
