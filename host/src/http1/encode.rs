//! Writing heads and chunks: always the same plain form.

use super::{Fields, Framing};

/// Follows the data of a chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// For what surrounds target, host and fields.
const ROOM: usize = 256;

/// What a request's head says besides its fields.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// A token.
    pub method: &'a str,
    /// Origin form.
    pub target: &'a str,
    /// Value of `Host`, the first field that is sent.
    pub host: &'a str,
    /// How the body ends.
    pub framing: Framing,
    /// Ask for a 100 before the body.
    pub expect_continue: bool,
    /// Protocols to switch to.
    pub upgrade: Option<&'a str>,
}

/// Appends a request's head. `fields` holds neither Host, length nor connection fields: those
/// are written here.
pub fn request_head(out: &mut Vec<u8>, request: RequestLine<'_>, fields: &Fields) {
    // More than it needs, in one go.
    out.reserve(fields.wire_size() + request.target.len() + request.host.len() + ROOM);
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    line(out, "Host", request.host.as_bytes());
    fields.write(out);
    write_framing(out, request.framing);
    if request.expect_continue {
        line(out, "Expect", b"100-continue");
    }
    if let Some(upgrade) = request.upgrade {
        line(out, "Upgrade", upgrade.as_bytes());
        line(out, "Connection", b"Upgrade");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an answer's head, likewise; `connection` is the value of that field, if any.
///
/// The status line says 1.1 to 1.0 clients too (RFC 9110 2.5): it names what we speak, the
/// framing is what they can read.
pub fn response_head(
    out: &mut Vec<u8>,
    status: u16,
    fields: &Fields,
    framing: Framing,
    connection: Option<&str>,
) {
    status_line(out, status);
    fields.write(out);
    write_framing(out, framing);
    if let Some(connection) = connection {
        line(out, "Connection", connection.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an interim answer.
pub fn interim(out: &mut Vec<u8>, status: u16, fields: &Fields) {
    status_line(out, status);
    fields.write(out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the size line of a chunk of `length` bytes, which must not be 0.
pub fn chunk_head(out: &mut Vec<u8>, length: usize) {
    debug_assert!(length > 0, "a chunk of 0 bytes would end the body");
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    for at in (0..digits).rev() {
        out.push(b"0123456789abcdef"[length >> (at * 4) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of a chunked body.
pub fn end_chunks(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

fn status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[
        b'0' + (status / 100) as u8,
        b'0' + (status / 10 % 10) as u8,
        b'0' + (status % 10) as u8,
    ]);
    out.push(b' ');
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason());
    out.extend_from_slice(reason.unwrap_or("Unknown").as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::Close => {}
        Framing::Chunked => line(out, "Transfer-Encoding", b"chunked"),
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_are_written_in_one_plain_form() {
        let mut fields = Fields::new();
        fields.push("A", b"b");
        let line = RequestLine {
            method: "GET",
            target: "/a",
            host: "m:1",
            framing: Framing::Length(10),
            expect_continue: true,
            upgrade: None,
        };
        let request = text(|out| request_head(out, line, &fields));
        assert_eq!(
            request,
            "GET /a HTTP/1.1\r\nHost: m:1\r\nA: b\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
        );
        let response =
            text(|out| response_head(out, 404, &fields, Framing::Chunked, Some("close")));
        assert_eq!(
            response,
            "HTTP/1.1 404 Not Found\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn chunk_sizes_are_hexadecimal_without_leading_zeros() {
        for (length, expected) in [
            (1, "1\r\n"),
            (15, "f\r\n"),
            (16, "10\r\n"),
            (65536, "10000\r\n"),
        ] {
            assert_eq!(text(|out| chunk_head(out, length)), expected);
        }
    }

    #[test]
    fn lengths_are_decimal() {
        for number in [0, 7, 10, 65536, u64::MAX] {
            assert_eq!(text(|out| decimal(out, number)), number.to_string());
        }
    }
}
