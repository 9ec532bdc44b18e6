//! Reading bodies: length, chunks or until the end of the connection.

use std::ops::Range;

use super::{Framing, Malformed, fields::is_token, is_legal_value};

/// Longest line of a chunk's size with its extension.
const SIZE_LINE: usize = 256;
/// Bytes of extensions and trailers together that a whole body may carry: they
/// are dropped, so more than this is only work for us (CVE-2023-39326 and its kin).
const EXTRA: usize = 16 * 1024;

/// Follows one body through a buffer that the caller fills.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Close,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    Done,
}

/// One step through a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// These bytes of the buffer are body; skip to the range's end.
    Data(Range<usize>),
    /// So many bytes of the buffer were framing; skip them and read more.
    More(usize),
    /// The body has ended; so many bytes of the buffer belonged to it.
    End(usize),
}

impl Decoder {
    /// At the start of a body with this framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::Close => State::Close,
        };
        Self { state, extra: 0 }
    }

    /// Whether the whole body was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection would end the body properly.
    pub fn ends_at_close(&self) -> bool {
        matches!(self.state, State::Close | State::Done)
    }

    /// Bytes still to come, where that is known.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// So many bytes of a body whose length is known went another way.
    pub fn skip(&mut self, bytes: u64) {
        if let State::Length(left) = self.state {
            self.state = match left.saturating_sub(bytes) {
                0 => State::Done,
                left => State::Length(left),
            };
        }
    }

    /// Takes the next step through `buffer`, which begins where the last step ended.
    pub fn decode(&mut self, buffer: &[u8]) -> Result<Decoded, Malformed> {
        let mut at = 0;
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End(at)),
                _ if at == buffer.len() => return Ok(Decoded::More(at)),
                State::Close => return Ok(Decoded::Data(at..buffer.len())),
                State::Length(left) => {
                    let taken = left.min((buffer.len() - at) as u64);
                    self.state = if taken == left {
                        State::Done
                    } else {
                        State::Length(left - taken)
                    };
                    return Ok(Decoded::Data(at..at + taken as usize));
                }
                State::ChunkData(left) => {
                    let taken = left.min((buffer.len() - at) as u64);
                    self.state = if taken == left {
                        State::ChunkEnd
                    } else {
                        State::ChunkData(left - taken)
                    };
                    return Ok(Decoded::Data(at..at + taken as usize));
                }
                State::ChunkEnd => match &buffer[at..] {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = State::ChunkSize;
                    }
                    [b'\r'] => return Ok(Decoded::More(at)),
                    _ => return Err(Malformed::ChunkEnd),
                },
                State::ChunkSize => match line(&buffer[at..], SIZE_LINE)? {
                    None => return Ok(Decoded::More(at)),
                    Some(size_line) => {
                        at += size_line.len() + 2;
                        let (size, extension) = chunk_size(size_line)?;
                        self.charge(extension)?;
                        self.state = if size == 0 {
                            State::Trailer
                        } else {
                            State::ChunkData(size)
                        };
                    }
                },
                State::Trailer => match line(&buffer[at..], EXTRA)? {
                    None => return Ok(Decoded::More(at)),
                    Some(trailer) => {
                        at += trailer.len() + 2;
                        self.charge(trailer.len())?;
                        match trailer {
                            [] => self.state = State::Done,
                            _ => check_trailer(trailer)?,
                        }
                    }
                },
            }
        }
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.extra += bytes;
        if self.extra > EXTRA {
            Err(Malformed::ChunkExtra)
        } else {
            Ok(())
        }
    }
}

/// The first line of `bytes` without its CR LF, or `None` until it is complete.
fn line(bytes: &[u8], limit: usize) -> Result<Option<&[u8]>, Malformed> {
    // Up to the CR after the longest line: one that is longer is refused however its bytes arrive.
    let window = &bytes[..bytes.len().min(limit + 1)];
    let Some(at) = memchr::memchr2(b'\r', b'\n', window) else {
        return if bytes.len() > limit {
            Err(Malformed::ChunkExtra)
        } else {
            Ok(None)
        };
    };
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(&bytes[..at])),
        (b'\r', None) => Ok(None),
        _ => Err(Malformed::LineEnding),
    }
}

/// `1f` or `1f;name=value`: the size, and how many bytes the extension has.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Malformed> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    // 15 digits are below 2^60: no sum of sizes can overflow either.
    if digits == 0 || digits > 15 {
        return Err(Malformed::ChunkSize);
    }
    let (size, extension) = line.split_at(digits);
    let after_blanks = extension.trim_ascii_start();
    let is_extension = after_blanks.starts_with(b";") && is_legal_value(after_blanks);
    if !(extension.is_empty() || is_extension) {
        return Err(Malformed::ChunkSize);
    }
    let value = |digit: u8| u64::from((digit as char).to_digit(16).unwrap_or_default());
    Ok((
        size.iter().fold(0, |sum, &digit| sum << 4 | value(digit)),
        extension.len(),
    ))
}

/// Trailers are dropped, but must be fields all the same.
fn check_trailer(line: &[u8]) -> Result<(), Malformed> {
    let colon = memchr::memchr(b':', line).ok_or(Malformed::FieldLine)?;
    match (is_token(&line[..colon]), is_legal_value(&line[colon + 1..])) {
        (true, true) => Ok(()),
        (false, _) => Err(Malformed::FieldLine),
        (_, false) => Err(Malformed::FieldValue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in steps of `step` and gives the body and what was left over.
    fn run(
        framing: Framing,
        bytes: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, Option<usize>), Malformed> {
        let (mut decoder, mut body, mut buffer, mut fed) =
            (Decoder::new(framing), Vec::new(), Vec::new(), 0);
        loop {
            match decoder.decode(&buffer)? {
                Decoded::Data(range) => {
                    body.extend_from_slice(&buffer[range.clone()]);
                    buffer.drain(..range.end);
                }
                Decoded::End(used) => {
                    return Ok((body, Some(bytes.len() - fed + buffer.len() - used)));
                }
                Decoded::More(used) => {
                    buffer.drain(..used);
                    if fed == bytes.len() {
                        return Ok((body, None));
                    }
                    let end = (fed + step).min(bytes.len());
                    buffer.extend_from_slice(&bytes[fed..end]);
                    fed = end;
                }
            }
        }
    }

    #[test]
    fn bodies_are_read_whole_or_in_pieces() {
        let chunked = b"3\r\nabc\r\n00a;x=\"y;z\"\r\n0123456789\r\n0\r\nX-T: v\r\n\r\nNEXT";
        for step in [1, 2, 3, 7, 100] {
            assert_eq!(
                run(Framing::Chunked, chunked, step).unwrap(),
                (b"abc0123456789".to_vec(), Some(4)),
                "{step}"
            );
            assert_eq!(
                run(Framing::Length(3), b"abcNEXT", step).unwrap(),
                (b"abc".to_vec(), Some(4))
            );
            assert_eq!(
                run(Framing::Close, b"abc", step).unwrap(),
                (b"abc".to_vec(), None)
            );
        }
        assert_eq!(run(Framing::None, b"NEXT", 9).unwrap(), (vec![], Some(4)));
    }

    #[test]
    fn sizes_and_ends_are_exact() {
        for (bytes, fault) in [
            (&b"0x3\r\nabc\r\n"[..], Malformed::ChunkSize),
            (b"+3\r\nabc\r\n", Malformed::ChunkSize),
            (b" 3\r\nabc\r\n", Malformed::ChunkSize),
            (b"3 \r\nabc\r\n", Malformed::ChunkSize),
            (b"\r\n\r\n", Malformed::ChunkSize),
            (b"10000000000000003\r\n", Malformed::ChunkSize),
            (b"3\nabc\r\n", Malformed::LineEnding),
            (b"3\rabc\r\n", Malformed::LineEnding),
            (b"3;a=\x01\r\nabc", Malformed::ChunkSize),
            (b"3\r\nabcX", Malformed::ChunkEnd),
            (b"3\r\nabc\n", Malformed::ChunkEnd),
            (b"0\r\nX-T\r\n\r\n", Malformed::FieldLine),
            (b"0\r\nA: b\r\n c\r\n\r\n", Malformed::FieldLine),
            (b"0\r\nA: \0\r\n\r\n", Malformed::FieldValue),
        ] {
            assert_eq!(
                run(Framing::Chunked, bytes, 100).unwrap_err(),
                fault,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let long = [b"3;".as_slice(), &[b'a'; 400]].concat();
        assert_eq!(
            run(Framing::Chunked, &long, 50).unwrap_err(),
            Malformed::ChunkExtra
        );
        let many = b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(1000);
        assert_eq!(
            run(Framing::Chunked, &many, 4096).unwrap_err(),
            Malformed::ChunkExtra
        );
        let trailers = [b"0\r\n".as_slice(), &b"X: y\r\n".repeat(10_000)].concat();
        assert_eq!(
            run(Framing::Chunked, &trailers, 4096).unwrap_err(),
            Malformed::ChunkExtra
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_one_reading(bytes: Vec<u8>, step in 1usize..9) {
            proptest::prop_assert_eq!(run(Framing::Chunked, &bytes, step), run(Framing::Chunked, &bytes, 1 << 20));
        }

        #[test]
        fn what_is_encoded_is_read_back(chunks in proptest::collection::vec(proptest::collection::vec(0u8.., 1..40), 0..6), step in 1usize..20) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                crate::http1::chunk_head(&mut wire, chunk.len());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(crate::http1::CHUNK_END);
            }
            crate::http1::end_chunks(&mut wire);
            proptest::prop_assert_eq!(run(Framing::Chunked, &wire, step).unwrap(), (chunks.concat(), Some(0)));
        }
    }
}
