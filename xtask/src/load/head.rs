//! The little of HTTP/1.1 that a load generator must understand.

use std::ops::Range;

/// Where an answer ends and what it says.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Of the status line.
    pub status: u16,
    /// Status line and fields, with the empty line.
    pub head: Range<usize>,
    /// Bytes of head and body together; where the head tells it, more than have come yet.
    pub length: usize,
    /// The server will close the connection.
    pub closes: bool,
}

/// Reads the answer that `bytes` begins with: `Ok(None)` where its length is not known yet, `Err` where it is none.
pub fn parse(bytes: &[u8]) -> Result<Option<Parsed>, ()> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = &bytes[..end + 4];
    let status = head
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| number(rest.get(..3)?, 10))
        .ok_or(())?;
    let body = match field(head, "content-length") {
        Some(length) => Some(number(length, 10).ok_or(())?),
        None if field(head, "transfer-encoding").is_some() => chunks(&bytes[head.len()..])?,
        None if status == 204 || status == 304 => Some(0),
        None => return Err(()),
    };
    let Some(body) = body else { return Ok(None) };
    let length = head.len().checked_add(body).ok_or(())?;
    let closes =
        field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    let status = u16::try_from(status).map_err(drop)?;
    Ok(Some(Parsed {
        status,
        head: 0..head.len(),
        length,
        closes,
    }))
}

/// The value of the first field of that name.
pub fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| value.trim_ascii())
    })
}

/// Where `needle` begins.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Length of a chunked body with its framing, once all of it is there.
pub fn chunks(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let mut at = 0;
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let size = bytes[at..at + line]
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        let size = number(size, 16).ok_or(())?;
        at = at.checked_add(line + 2 + size + 2).ok_or(())?;
        if at > bytes.len() {
            return Ok(None);
        }
        if &bytes[at - 2..at] != b"\r\n" {
            return Err(());
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

fn number(text: &[u8], radix: u32) -> Option<usize> {
    usize::from_str_radix(std::str::from_utf8(text).ok()?.trim(), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_known_with_the_head_and_of_chunks_at_the_last_byte() {
        for (text, known) in [
            (
                "HTTP/1.1 201 Created\r\nContent-Length: 3\r\nX: y\r\n\r\nabc",
                3,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                0,
            ),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", 0),
        ] {
            let whole = text.as_bytes();
            for cut in 0..whole.len() - known {
                assert_eq!(parse(&whole[..cut]), Ok(None), "{text} cut at {cut}");
            }
            for end in whole.len() - known..=whole.len() {
                let found = parse(&whole[..end]).unwrap().unwrap();
                assert_eq!(found.length, whole.len(), "{text}");
            }
            let more = [whole, b"HTTP/1.1 200"].concat();
            assert_eq!(
                parse(&more).unwrap().unwrap().length,
                whole.len(),
                "the next answer is left alone"
            );
        }
    }

    #[test]
    fn what_has_no_end_or_no_sense_is_an_error() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_are_found_whole_and_in_any_case() {
        let head = b"HTTP/1.1 200 OK\r\nX-Length: 1\r\nLOCATION:  /a \r\n\r\n";
        assert_eq!(field(head, "location"), Some(&b"/a"[..]));
        assert_eq!(field(head, "length"), None);
    }
}
