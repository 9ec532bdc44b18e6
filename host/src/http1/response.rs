//! Reading the head of a member's answer.

use http::Method;

use super::{
    Bounds, Fields, Framing, Malformed, Version, is_legal_value,
    request::{content_length, parse_fields, transfer_encoding},
};

/// An answer's head, checked.
#[derive(Debug)]
pub struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// 1.0 or 1.1.
    pub version: Version,
    /// All field lines as sent.
    pub fields: Fields,
    /// How long the body is, the request's method considered.
    pub framing: Framing,
}

impl ResponseHead {
    /// Parses a complete head, its empty line included, as the answer to a request with `method`.
    pub fn parse(head: &[u8], method: &Method, bounds: Bounds) -> Result<ResponseHead, Malformed> {
        let end = memchr::memchr(b'\r', head).ok_or(Malformed::StatusLine)?;
        let (version, status) = status_line(&head[..end])?;
        let fields = parse_fields(head, end + 2, bounds)?;
        let framing = framing(&fields, version, status, method)?;
        Ok(ResponseHead {
            status,
            version,
            fields,
            framing,
        })
    }

    /// Whether the member keeps the connection open after this answer.
    pub fn keep_alive(&self) -> bool {
        if self.framing == Framing::Close || self.fields.has_token("connection", "close") {
            return false;
        }
        self.version == Version::Http11 || self.fields.has_token("connection", "keep-alive")
    }

    /// Whether another answer to the same request follows.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// `HTTP/1.1 200 OK`; the reason may be empty and its blank missing, as some servers do.
fn status_line(line: &[u8]) -> Result<(Version, u16), Malformed> {
    let version = match line.get(..9) {
        Some(b"HTTP/1.1 ") => Version::Http11,
        Some(b"HTTP/1.0 ") => Version::Http10,
        _ => return Err(Malformed::StatusLine),
    };
    let (digits, rest) = line[9..].split_at_checked(3).ok_or(Malformed::StatusLine)?;
    if !digits.iter().all(u8::is_ascii_digit)
        || !(rest.is_empty() || rest[0] == b' ')
        || !is_legal_value(rest)
    {
        return Err(Malformed::StatusLine);
    }
    let status = digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if (100..600).contains(&status) {
        Ok((version, status))
    } else {
        Err(Malformed::StatusLine)
    }
}

fn framing(
    fields: &Fields,
    version: Version,
    status: u16,
    method: &Method,
) -> Result<Framing, Malformed> {
    let length = content_length(fields)?;
    let chunked = transfer_encoding(fields)?;
    if chunked && length.is_some() {
        return Err(Malformed::BothLengths);
    }
    if chunked && version == Version::Http10 {
        return Err(Malformed::TransferEncoding);
    }
    if method == Method::HEAD || status < 200 || status == 204 || status == 304 {
        return Ok(Framing::None);
    }
    Ok(match (chunked, length) {
        (true, _) => Framing::Chunked,
        (false, Some(0)) => Framing::None,
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::Close,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        head_size: 8192,
        field_count: 8,
    };

    fn parse(method: Method, head: &str) -> Result<ResponseHead, Malformed> {
        ResponseHead::parse(head.as_bytes(), &method, BOUNDS)
    }

    #[test]
    fn the_end_of_the_body_follows_from_method_status_and_fields() {
        let length = "Content-Length: 5\r\n";
        for (method, status, fields, framing) in [
            (Method::GET, 200, length, Framing::Length(5)),
            (Method::GET, 200, "", Framing::Close),
            (
                Method::GET,
                200,
                "Transfer-Encoding: Chunked\r\n",
                Framing::Chunked,
            ),
            (Method::GET, 200, "Content-Length: 0\r\n", Framing::None),
            (Method::HEAD, 200, length, Framing::None),
            (Method::GET, 304, length, Framing::None),
            (Method::GET, 204, "", Framing::None),
            (Method::GET, 100, "", Framing::None),
        ] {
            let head = parse(method, &format!("HTTP/1.1 {status} x\r\n{fields}\r\n")).unwrap();
            assert_eq!(head.framing, framing, "{status} {fields}");
        }
    }

    #[test]
    fn answers_that_can_be_read_in_two_ways_are_refused() {
        for (head, fault) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                Malformed::ContentLength,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Malformed::BothLengths,
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                Malformed::TransferEncoding,
            ),
            (
                "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
                Malformed::FieldLine,
            ),
            ("HTTP/1.1 2000 OK\r\n\r\n", Malformed::StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", Malformed::StatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", Malformed::StatusLine),
            ("HTTP/2 200\r\n\r\n", Malformed::StatusLine),
            ("hello\r\n\r\n", Malformed::StatusLine),
        ] {
            assert_eq!(parse(Method::GET, head).unwrap_err(), fault, "{head:?}");
        }
    }

    #[test]
    fn a_missing_reason_is_fine() {
        assert_eq!(
            parse(Method::GET, "HTTP/1.1 200\r\n\r\n").unwrap().status,
            200
        );
        assert_eq!(
            parse(Method::GET, "HTTP/1.1 200 \r\n\r\n").unwrap().status,
            200
        );
    }

    #[test]
    fn keep_alive_needs_a_known_end() {
        let keep = |head: &str| parse(Method::GET, head).unwrap().keep_alive();
        assert!(keep("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keep("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
    }
}
