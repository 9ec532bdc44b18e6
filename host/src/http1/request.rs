//! Reading the head of a request.

use http::Method;

use super::{
    Bounds, Fields, Framing, Malformed, Version, fields::token_length, is_legal_value, is_token,
};

/// A request's head, checked. Its `Host` and target are left to `routing`.
#[derive(Debug)]
pub struct RequestHead {
    /// Case-sensitive, a token.
    pub method: Method,
    /// As sent: visible bytes only.
    pub target: Target,
    /// 1.0 or 1.1.
    pub version: Version,
    /// All field lines as sent.
    pub fields: Fields,
    /// How long the body is.
    pub framing: Framing,
}

/// The forms of a request target (RFC 9112 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`
    Origin(String),
    /// `http://host/path?query`: authority and origin form of the rest.
    Absolute {
        /// `http` or `https`.
        scheme: &'static str,
        /// Unchecked.
        authority: String,
        /// `/` where the target names no path.
        path: String,
    },
    /// `host:port`, of CONNECT only.
    Authority(String),
    /// `*`, of OPTIONS only.
    Asterisk,
}

impl RequestHead {
    /// Parses a complete head, its empty line included, as [`super::HeadScanner`] delimits it.
    pub fn parse(head: &[u8], bounds: Bounds) -> Result<RequestHead, Malformed> {
        let end = memchr::memchr(b'\r', head).ok_or(Malformed::RequestLine)?;
        let (method, target, version) = request_line(&head[..end])?;
        let fields = parse_fields(head, end + 2, bounds)?;
        let framing = framing(&fields, version)?;
        Ok(RequestHead {
            method,
            target,
            version,
            fields,
            framing,
        })
    }

    /// Whether the client wants the connection kept (RFC 9112 9.3).
    pub fn keep_alive(&self) -> bool {
        if self.fields.has_token("connection", "close") {
            return false;
        }
        self.version == Version::Http11 || self.fields.has_token("connection", "keep-alive")
    }

    /// Protocols the client offers to switch to, where it does so properly.
    pub fn upgrade(&self) -> Option<&str> {
        let offered =
            self.version == Version::Http11 && self.fields.has_token("connection", "upgrade");
        offered.then(|| self.fields.text("upgrade")).flatten()
    }
}

fn request_line(line: &[u8]) -> Result<(Method, Target, Version), Malformed> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed::RequestLine);
    };
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        // A later minor version is spoken to as 1.1 (RFC 9110 2.5); nothing else looks like one.
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Malformed::Version);
        }
        _ => return Err(Malformed::RequestLine),
    };
    if !is_token(method) || method.len() > 32 {
        return Err(Malformed::RequestLine);
    }
    let method = Method::from_bytes(method).map_err(|_| Malformed::RequestLine)?;
    let target = parse_target(&method, target)?;
    Ok((method, target, version))
}

fn parse_target(method: &Method, bytes: &[u8]) -> Result<Target, Malformed> {
    // Visible ASCII; other octets must come percent-encoded (RFC 3986 2).
    if bytes.is_empty() || !bytes.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
        return Err(Malformed::Target);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Target)?;
    if *method == Method::CONNECT {
        return Ok(Target::Authority(text.to_owned()));
    }
    if text.starts_with('/') {
        return Ok(Target::Origin(text.to_owned()));
    }
    if text == "*" {
        return if *method == Method::OPTIONS {
            Ok(Target::Asterisk)
        } else {
            Err(Malformed::Target)
        };
    }
    let (scheme, rest) = text.split_once("://").ok_or(Malformed::Target)?;
    let scheme = match scheme {
        s if s.eq_ignore_ascii_case("http") => "http",
        s if s.eq_ignore_ascii_case("https") => "https",
        _ => return Err(Malformed::Target),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    Ok(Target::Absolute {
        scheme,
        authority: authority.to_owned(),
        path,
    })
}

/// Reads the field lines of `head` from `at` to its empty line.
pub(super) fn parse_fields(
    head: &[u8],
    mut at: usize,
    bounds: Bounds,
) -> Result<Fields, Malformed> {
    let mut fields = Fields::new();
    fields.adopt_head(head);
    loop {
        let end = at + memchr::memchr(b'\r', &head[at..]).ok_or(Malformed::LineEnding)?;
        if end == at {
            return Ok(fields);
        }
        if fields.len() == bounds.field_count {
            return Err(Malformed::TooManyFields);
        }
        let line = &head[at..end];
        // A blank before the colon, a folded line and an empty name: in all of them something else follows the token.
        let colon = token_length(line);
        if colon == 0 || line.get(colon) != Some(&b':') {
            return Err(Malformed::FieldLine);
        }
        let value = trim(&line[colon + 1..]);
        if !is_legal_value(value) {
            return Err(Malformed::FieldValue);
        }
        let start = at + (value.as_ptr() as usize - line.as_ptr() as usize);
        fields.adopt(at..at + colon, start..start + value.len());
        at = end + 2;
    }
}

/// Optional white space is blanks and tabs only (RFC 9110 5.6.3).
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn framing(fields: &Fields, version: Version) -> Result<Framing, Malformed> {
    let length = content_length(fields)?;
    match transfer_encoding(fields)? {
        true if length.is_some() => Err(Malformed::BothLengths),
        true if version == Version::Http10 => Err(Malformed::TransferEncoding),
        true => Ok(Framing::Chunked),
        false => Ok(length.map_or(Framing::None, Framing::Length)),
    }
}

/// The one Content-Length there may be.
pub(super) fn content_length(fields: &Fields) -> Result<Option<u64>, Malformed> {
    let mut values = fields.all("content-length");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    // 18 digits are below 2^63, whatever they are, and above any body.
    if values.next().is_some()
        || value.is_empty()
        || value.len() > 18
        || !value.iter().all(u8::is_ascii_digit)
    {
        return Err(Malformed::ContentLength);
    }
    Ok(Some(
        value
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
    ))
}

/// Whether the body is chunked; any other transfer coding is refused.
pub(super) fn transfer_encoding(fields: &Fields) -> Result<bool, Malformed> {
    let mut values = fields.all("transfer-encoding");
    let Some(value) = values.next() else {
        return Ok(false);
    };
    if values.next().is_some() || !value.eq_ignore_ascii_case(b"chunked") {
        return Err(Malformed::TransferEncoding);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        head_size: 8192,
        field_count: 8,
    };

    fn parse(head: &str) -> Result<RequestHead, Malformed> {
        RequestHead::parse(head.as_bytes(), BOUNDS)
    }

    #[test]
    fn a_plain_request_is_read() {
        let head =
            parse("POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length:\t12 \r\nX:\r\n\r\n").unwrap();
        assert_eq!(head.method, Method::POST);
        assert_eq!(head.target, Target::Origin("/a?b".into()));
        assert_eq!(head.framing, Framing::Length(12));
        assert_eq!(head.fields.get("x"), Some(&b""[..]));
        assert!(head.keep_alive());
    }

    #[test]
    fn malformed_heads_are_refused_for_what_is_wrong() {
        use Malformed::*;
        let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
        let field = |field: &str| format!("GET / HTTP/1.1\r\n{field}\r\n\r\n");
        for (head, fault) in [
            (line("GET  / HTTP/1.1"), RequestLine),
            (line("GET / HTTP/1.1 "), RequestLine),
            (line("GET /"), RequestLine),
            (line(" GET / HTTP/1.1"), RequestLine),
            (line("GE\"T / HTTP/1.1"), RequestLine),
            (line("GET / http/1.1"), RequestLine),
            (line("GET / HTTP/1.10"), RequestLine),
            (line("GET / HTTP/1.2"), Version),
            (line("GET / HTTP/2.0"), Version),
            (line("GET \u{e9} HTTP/1.1"), Target),
            (line("GET * HTTP/1.1"), Target),
            (line("GET foo HTTP/1.1"), Target),
            (line("GET ftp://h/ HTTP/1.1"), Target),
            (field("A : b"), FieldLine),
            (field(" A: b"), FieldLine),
            (field("A: b\r\n c"), FieldLine),
            (field(": b"), FieldLine),
            (field("nocolon"), FieldLine),
            (field("A(b): c"), FieldLine),
            (field("A: b\0c"), FieldValue),
            (field("A: b\x0bc"), FieldValue),
            (field("Content-Length: +5"), ContentLength),
            (field("Content-Length:"), ContentLength),
            (field("Content-Length: 5, 5"), ContentLength),
            (
                field("Content-Length: 5\r\nContent-Length: 5"),
                ContentLength,
            ),
            (field("Content-Length: 9999999999999999999"), ContentLength),
            (field("Transfer-Encoding: gzip, chunked"), TransferEncoding),
            (
                field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                TransferEncoding,
            ),
            (field("Transfer-Encoding: \x0bchunked"), FieldValue),
            (
                field("Transfer-Encoding: chunked\r\nContent-Length: 5"),
                BothLengths,
            ),
            (
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
                TransferEncoding,
            ),
            (field(&"A: b\r\n".repeat(9)), TooManyFields),
        ] {
            assert_eq!(parse(&head).unwrap_err(), fault, "{head:?}");
        }
    }

    #[test]
    fn targets_have_four_forms() {
        let target = |line: &str| parse(&format!("{line} HTTP/1.1\r\n\r\n")).unwrap().target;
        assert_eq!(target("OPTIONS *"), Target::Asterisk);
        assert_eq!(target("CONNECT h:1"), Target::Authority("h:1".into()));
        let absolute = |scheme, authority: &str, path: &str| Target::Absolute {
            scheme,
            authority: authority.into(),
            path: path.into(),
        };
        assert_eq!(
            target("GET HTTP://h:80/a?b"),
            absolute("http", "h:80", "/a?b")
        );
        assert_eq!(target("GET https://h?b"), absolute("https", "h", "/?b"));
    }

    #[test]
    fn http_1_0_closes_unless_asked_not_to() {
        assert!(!parse("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive());
        assert!(
            parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
                .unwrap()
                .keep_alive()
        );
        assert!(
            !parse("GET / HTTP/1.1\r\nConnection: x, close\r\n\r\n")
                .unwrap()
                .keep_alive()
        );
    }
}
