//! Finds where a head ends, as its bytes arrive.

use super::Malformed;

/// Looks for the empty line, and for line ends that are not CR LF. Remembers how
/// far it looked, so that a head that comes byte by byte costs no more.
#[derive(Debug, Default, Clone)]
pub struct HeadScanner {
    looked: usize,
    line_start: usize,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The head, its empty line included, is the first so many bytes.
    Complete(usize),
    /// More bytes are needed.
    Partial,
}

impl HeadScanner {
    /// Looks at what is new in `bytes`, which must begin where it began before.
    pub fn look(&mut self, bytes: &[u8], limit: usize) -> Result<Scan, Malformed> {
        while let Some(found) = memchr::memchr2(b'\r', b'\n', &bytes[self.looked..]) {
            let at = self.looked + found;
            if bytes[at] == b'\n' {
                return Err(Malformed::LineEnding);
            }
            match bytes.get(at + 1) {
                None => {
                    self.looked = at;
                    return self.partial(bytes.len(), limit);
                }
                Some(b'\n') => {}
                Some(_) => return Err(Malformed::LineEnding),
            }
            let was_empty = at == self.line_start;
            self.looked = at + 2;
            self.line_start = self.looked;
            if was_empty {
                return match self.looked <= limit {
                    true => Ok(Scan::Complete(self.looked)),
                    false => Err(Malformed::HeadTooLarge),
                };
            }
        }
        self.looked = bytes.len();
        self.partial(bytes.len(), limit)
    }

    fn partial(&self, length: usize, limit: usize) -> Result<Scan, Malformed> {
        if length > limit {
            Err(Malformed::HeadTooLarge)
        } else {
            Ok(Scan::Partial)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_whole_or_byte_by_byte() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        assert_eq!(
            HeadScanner::default().look(bytes, 100),
            Ok(Scan::Complete(27))
        );
        let mut scanner = HeadScanner::default();
        for end in 0..27 {
            assert_eq!(scanner.look(&bytes[..end], 100), Ok(Scan::Partial), "{end}");
        }
        assert_eq!(scanner.look(bytes, 100), Ok(Scan::Complete(27)));
    }

    #[test]
    fn odd_line_ends_are_refused_at_once() {
        for bytes in [
            &b"GET / HTTP/1.1\nHost"[..],
            b"GET / HTTP/1.1\rHost",
            b"A\r\r\n",
            b"A\r\nB\n",
            b"\n",
        ] {
            assert_eq!(
                HeadScanner::default().look(bytes, 100),
                Err(Malformed::LineEnding),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_head_without_end_is_refused_at_its_limit() {
        assert_eq!(
            HeadScanner::default().look(&[b'a'; 101], 100),
            Err(Malformed::HeadTooLarge)
        );
        assert_eq!(
            HeadScanner::default().look(b"aaaa\r\n\r\n", 7),
            Err(Malformed::HeadTooLarge)
        );
    }
}
