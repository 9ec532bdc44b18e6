//! gzip and deflate, undone a bounded piece at a time.
//!
//! The container formats are read here and the compressed data by flate2's raw
//! `Decompress`: its readers want to block for more input before they give out
//! what they have, and its writers unpack a whole chunk at once.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::coding::Coding;
use super::error::BodyError;

/// How far a call has come: bytes consumed, bytes produced.
pub(super) type Step = (usize, usize);

/// Unpacks RFC 1952, also several members in a row. What follows the last member is ignored, as browsers do.
pub(super) struct Gunzip {
    state: Gzip,
    raw: Decompress,
    crc: Crc,
    /// Whether a member has ended before the current header.
    again: bool,
}

enum Gzip {
    Header(Header),
    Data,
    Trailer { bytes: [u8; 8], have: usize },
    Ignored,
}

/// A header being read: its fixed part, then the optional fields that its flags announce.
#[derive(Default)]
struct Header {
    have: usize,
    flags: u8,
    part: Part,
    /// Bytes of the current part that are still to come.
    left: usize,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Fixed,
    ExtraLength,
    Extra,
    Name,
    Comment,
    Checksum,
    Done,
}

const CORRUPT: BodyError = BodyError::Corrupt {
    coding: Coding::Gzip,
};

impl Gunzip {
    pub(super) fn new() -> Self {
        Self {
            state: Gzip::Header(Header::default()),
            raw: Decompress::new(false),
            crc: Crc::new(),
            again: false,
        }
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, BodyError> {
        let mut used = 0;
        loop {
            match &mut self.state {
                Gzip::Header(header) => {
                    let Some(&byte) = input.get(used) else {
                        return Ok((used, 0));
                    };
                    used += 1;
                    match header.push(byte) {
                        Ok(false) => {}
                        Ok(true) => {
                            self.raw.reset(false);
                            self.crc = Crc::new();
                            self.state = Gzip::Data;
                        }
                        Err(error) if !self.again || header.have > 1 => return Err(error),
                        Err(_) => self.state = Gzip::Ignored,
                    }
                }
                Gzip::Data => {
                    let (read, made, ended) = inflate(&mut self.raw, &input[used..], out, CORRUPT)?;
                    self.crc.update(&out[..made]);
                    used += read;
                    if ended {
                        self.state = Gzip::Trailer {
                            bytes: [0; 8],
                            have: 0,
                        };
                    }
                    if made > 0 || !ended {
                        return Ok((used, made));
                    }
                }
                Gzip::Trailer { bytes, have } => {
                    let Some(&byte) = input.get(used) else {
                        return Ok((used, 0));
                    };
                    used += 1;
                    bytes[*have] = byte;
                    *have += 1;
                    if *have == bytes.len() {
                        let [a, b, c, d, e, f, g, h] = *bytes;
                        let sums = (
                            u32::from_le_bytes([a, b, c, d]),
                            u32::from_le_bytes([e, f, g, h]),
                        );
                        if sums != (self.crc.sum(), self.crc.amount()) {
                            return Err(CORRUPT);
                        }
                        self.again = true;
                        self.state = Gzip::Header(Header::default());
                    }
                }
                Gzip::Ignored => return Ok((input.len(), 0)),
            }
        }
    }

    /// Whether the stream may end here.
    pub(super) fn is_complete(&self) -> bool {
        match &self.state {
            Gzip::Ignored => true,
            Gzip::Header(header) => self.again && header.have <= 1,
            _ => false,
        }
    }
}

impl Header {
    /// Takes one byte; `true` when it was the header's last.
    fn push(&mut self, byte: u8) -> Result<bool, BodyError> {
        match self.part {
            Part::Fixed => {
                let legal = match self.have {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    // Reserved flags must be zero (RFC 1952 section 2.3.1.2).
                    3 => byte & 0xe0 == 0,
                    _ => true,
                };
                if !legal {
                    return Err(CORRUPT);
                }
                if self.have == 3 {
                    self.flags = byte;
                }
                self.have += 1;
                if self.have == 10 {
                    self.advance();
                }
            }
            Part::ExtraLength => {
                self.have += 1;
                self.left |= usize::from(byte) << if self.have == 11 { 0 } else { 8 };
                if self.have == 12 {
                    self.part = Part::Extra;
                    if self.left == 0 {
                        self.advance();
                    }
                }
            }
            Part::Extra | Part::Checksum => {
                self.left -= 1;
                if self.left == 0 {
                    self.advance();
                }
            }
            Part::Name | Part::Comment => {
                if byte == 0 {
                    self.advance();
                }
            }
            Part::Done => {}
        }
        Ok(self.part == Part::Done)
    }

    /// To the next part that the flags announce.
    fn advance(&mut self) {
        let parts = [
            (4, Part::ExtraLength),
            (4, Part::Extra),
            (8, Part::Name),
            (16, Part::Comment),
            (2, Part::Checksum),
        ];
        let behind = parts
            .iter()
            .position(|(_, part)| *part == self.part)
            .map_or(0, |index| index + 1);
        let next = parts[behind..]
            .iter()
            .find(|(flag, part)| self.flags & flag != 0 && *part != Part::Extra);
        self.part = next.map_or(Part::Done, |(_, part)| *part);
        self.left = if self.part == Part::Checksum { 2 } else { 0 };
    }
}

/// Unpacks `deflate`: zlib's container as RFC 9110 wants it, or bare deflate data as some servers send.
pub(super) struct Inflate {
    first: Option<u8>,
    raw: Option<Decompress>,
    zlib: bool,
    ended: bool,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self {
            first: None,
            raw: None,
            zlib: true,
            ended: false,
        }
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, BodyError> {
        let corrupt = BodyError::Corrupt {
            coding: Coding::Deflate,
        };
        if self.ended {
            return Ok((input.len(), 0));
        }
        let mut used = 0;
        if self.raw.is_none() {
            if self.first.is_none() {
                let Some(&byte) = input.first() else {
                    return Ok((0, 0));
                };
                self.first = Some(byte);
                used = 1;
            }
            let (Some(first), Some(&second)) = (self.first, input.get(used)) else {
                return Ok((used, 0));
            };
            // RFC 1950 section 2.2: method 8, and the first two bytes a multiple of 31.
            self.zlib = first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0;
            let mut raw = Decompress::new(self.zlib);
            // One byte holds no whole symbol after its block's header, so it produces nothing.
            inflate(&mut raw, &[first], out, corrupt)?;
            self.raw = Some(raw);
        }
        let Some(raw) = &mut self.raw else {
            return Ok((used, 0));
        };
        let (read, made, ended) = inflate(raw, &input[used..], out, corrupt)?;
        self.ended = ended;
        Ok((used + read, made))
    }

    /// Whether the stream may end here.
    pub(super) fn is_complete(&self) -> bool {
        self.ended
    }

    /// Whether the data came in zlib's container; known after two bytes.
    pub(super) fn is_zlib(&self) -> bool {
        self.zlib
    }
}

/// One step: bytes read, bytes made, whether the data ended.
fn inflate(
    raw: &mut Decompress,
    input: &[u8],
    out: &mut [u8],
    corrupt: BodyError,
) -> Result<(usize, usize, bool), BodyError> {
    let (read, made) = (raw.total_in(), raw.total_out());
    let status = raw
        .decompress(input, out, FlushDecompress::None)
        .map_err(|_| corrupt)?;
    // Both differences are at most the lengths of the slices.
    let (read, made) = (
        (raw.total_in() - read) as usize,
        (raw.total_out() - made) as usize,
    );
    Ok((read, made, status == Status::StreamEnd))
}
