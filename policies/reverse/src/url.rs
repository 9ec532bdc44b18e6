//! Enough of RFC 3986 to tell whether a URL is a member's.
//!
//! Exact on purpose: what is not plainly one of the forms below is left alone, since
//! a URL mapped by mistake sends a client to the wrong place.

use switchyard_policy::json;

/// The forms of a URL that can be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `http://host:port/rest`, or `//host:port/rest` without a scheme. `rest` is
    /// what follows the authority.
    Absolute {
        /// As written.
        scheme: Option<&'a [u8]>,
        /// As written.
        authority: &'a [u8],
        /// Empty, or begins with `/`, `?` or `#`.
        rest: &'a [u8],
    },
    /// `/path`
    Path(&'a [u8]),
}

/// `None` for relative paths, other schemes' opaque forms, and what browsers read
/// in another way than RFC 3986 does (backslashes, controls).
pub fn split(value: &[u8]) -> Option<Reference<'_>> {
    if !is_plain(value) {
        return None;
    }
    let (scheme, rest) = match value {
        [b'/', b'/', rest @ ..] => (None, rest),
        [b'/', ..] => return Some(Reference::Path(value)),
        _ => {
            let colon = value.iter().position(|b| *b == b':')?;
            let scheme = value.get(..colon)?;
            let rest = value.get(colon + 1..)?.strip_prefix(b"//")?;
            if !scheme.iter().all(u8::is_ascii_alphabetic) {
                return None;
            }
            (Some(scheme), rest)
        }
    };
    let end = rest
        .iter()
        .position(|b| b"/?#".contains(b))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    Some(Reference::Absolute {
        scheme,
        authority,
        rest,
    })
}

/// Whether everybody reads these bytes alike. Looks at all of them, whatever it finds: a loop without a way out
/// takes fewer instructions a byte.
fn is_plain(value: &[u8]) -> bool {
    let is_odd = |b: u8| (b <= b' ') | (b == b'\\') | (b == 0x7f);
    !value.iter().fold(false, |odd, b| odd | is_odd(*b))
}

/// The server that `value` begins with, just as it is written there, and the rest, which has nothing odd in it.
pub fn server(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut schemes = [b"http://".as_slice(), b"https://"].into_iter();
    let after = schemes.find_map(|scheme| value.strip_prefix(scheme))?;
    let length = after.iter().position(|b| b"/?#".contains(b));
    let length = value.len() - after.len() + length.unwrap_or(after.len());
    let (server, rest) = value.split_at_checked(length)?;
    is_plain(rest).then_some((server, rest))
}

/// Scheme, host and port: what makes a server this one and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Lower case; IPv6 in brackets.
    pub host: String,
    /// The scheme's own where none was written.
    pub port: u16,
}

impl Origin {
    /// `None` where this is no host, with or without a port (user names included:
    /// no member's URL has one).
    pub fn parse(scheme: &[u8], authority: &[u8]) -> Option<Self> {
        let (scheme, default) = if scheme.eq_ignore_ascii_case(b"http") {
            ("http", 80)
        } else if scheme.eq_ignore_ascii_case(b"https") {
            ("https", 443)
        } else {
            return None;
        };
        let authority = std::str::from_utf8(authority).ok()?;
        // The last colon, unless it belongs to an IPv6 address.
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.get(colon..)?.contains(']') => {
                (authority.get(..colon)?, authority.get(colon + 1..)?)
            }
            _ => (authority, ""),
        };
        let port = match port {
            "" => default,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            _ => return None,
        };
        if host.is_empty() || host.contains('@') {
            return None;
        }
        Some(Origin {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// The servers that `scheme://authority` may mean: without a scheme it is each
    /// server's own.
    pub fn named(scheme: Option<&[u8]>, authority: &[u8]) -> [Option<Self>; 2] {
        match scheme {
            Some(scheme) => [Origin::parse(scheme, authority), None],
            None => [b"http".as_slice(), b"https"].map(|scheme| Origin::parse(scheme, authority)),
        }
    }

    /// As a URL begins that leads there, in its usual form.
    pub fn url(&self) -> String {
        let server = [self.scheme, "://", &self.host].concat();
        match self.has_default_port() {
            true => server,
            false => [&server, ":", &json::decimal(u64::from(self.port))].concat(),
        }
    }

    /// Whether the port need not be written.
    pub fn has_default_port(&self) -> bool {
        matches!((self.scheme, self.port), ("http", 80) | ("https", 443))
    }
}

/// What is left of `path` below `base` (without a final slash; empty = the root).
/// `/app` has `/app`, `/app/x`, `/app?x` and `/app;x` below it, but not `/apple`, nor
/// what climbs out again.
pub fn below<'p>(path: &'p [u8], base: &str) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(base.as_bytes())?;
    let whole = matches!(rest, [] | [b'/' | b'?' | b'#' | b';', ..]);
    (whole && !climbs(rest)).then_some(rest)
}

/// Whether following the segments ever leads above the start.
fn climbs(rest: &[u8]) -> bool {
    let end = rest
        .iter()
        .position(|b| b"?#".contains(b))
        .unwrap_or(rest.len());
    let path = rest.get(..end).unwrap_or_default();
    let mut depth = 0_i32;
    for segment in path.split(|b| *b == b'/').skip(1) {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        match dots(name) {
            Some(2) => depth -= 1,
            Some(_) => {}
            None if name.is_empty() => {}
            None => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// How many dots a segment consists of, `%2e` counted as one; `None` if of other things.
fn dots(mut segment: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !segment.is_empty() {
        segment = match segment {
            [b'.', rest @ ..] => rest,
            [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return None,
        };
        count += 1;
    }
    (1..=2).contains(&count).then_some(count)
}

/// Puts `rest` below `front` (without a final slash; empty = the root).
pub fn join(front: &str, rest: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(front.len() + rest.len() + 1);
    append(&mut path, front, rest);
    path
}

/// Likewise, behind what `url` holds.
pub fn append(url: &mut Vec<u8>, front: &str, rest: &[u8]) {
    url.extend_from_slice(front.as_bytes());
    if front.is_empty() && !rest.starts_with(b"/") {
        url.push(b'/');
    }
    url.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_their_delimiters() {
        let absolute = |scheme, authority, rest| {
            Some(Reference::Absolute {
                scheme,
                authority,
                rest,
            })
        };
        let cases: [(&[u8], Option<Reference<'_>>); 11] = [
            (b"http://h:1/p", absolute(Some(b"http"), b"h:1", b"/p")),
            (b"http://h?q", absolute(Some(b"http"), b"h", b"?q")),
            (b"http://h", absolute(Some(b"http"), b"h", b"")),
            (b"//h/p", absolute(None, b"h", b"/p")),
            (b"/p?u=http://h/", Some(Reference::Path(b"/p?u=http://h/"))),
            (b"p/q", None),
            (b"mailto:a@b", None),
            (b"", None),
            (b"/\\h/p", None),
            (b"http:/h/p", None),
            (b"/a b", None),
        ];
        for (value, wanted) in cases {
            assert_eq!(split(value), wanted, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn origins_are_compared_whole() {
        let is = |member: &Origin, scheme, authority| {
            Origin::named(scheme, authority).contains(&Some(member.clone()))
        };
        let member = Origin::parse(b"http", b"app.example.com:80").unwrap();
        let yes: [(Option<&[u8]>, &[u8]); 4] = [
            (Some(b"HTTP"), b"APP.example.com"),
            (Some(b"http"), b"app.example.com:"),
            (Some(b"http"), b"app.example.com:0080"),
            (None, b"app.example.com"),
        ];
        for (scheme, authority) in yes {
            assert!(
                is(&member, scheme, authority),
                "{}",
                authority.escape_ascii()
            );
        }
        let no: [(Option<&[u8]>, &[u8]); 8] = [
            (Some(b"https"), b"app.example.com:80"),
            (Some(b"http"), b"app.example.com:8080"),
            (Some(b"http"), b"app.example.com:801"),
            (Some(b"http"), b"app.example.com.evil"),
            (Some(b"http"), b"user@app.example.com"),
            (Some(b"http"), b"app.example.com:+80"),
            (Some(b"http"), b""),
            (Some(b"ftp"), b"app.example.com:80"),
        ];
        for (scheme, authority) in no {
            assert!(
                !is(&member, scheme, authority),
                "{}",
                authority.escape_ascii()
            );
        }
        let six = Origin::parse(b"http", b"[::1]:8080").unwrap();
        assert!(is(&six, None, b"[::1]:8080") && !is(&six, None, b"[::1]"));
    }

    #[test]
    fn below_respects_segments_and_does_not_climb() {
        let cases: [(&str, &str, Option<&str>); 14] = [
            ("/app", "/app", Some("")),
            ("/app/x", "/app", Some("/x")),
            ("/app?x", "/app", Some("?x")),
            ("/app;v=1/x", "/app", Some(";v=1/x")),
            ("/apple", "/app", None),
            ("/APP/x", "/app", None),
            ("/other", "/app", None),
            ("/x", "", Some("/x")),
            ("", "", Some("")),
            ("/app/../x", "/app", None),
            ("/app/%2E%2e/x", "/app", None),
            ("/app/..;v=1/x", "/app", None),
            ("/app/a/../x", "/app", Some("/a/../x")),
            ("/app/x?/../..", "/app", Some("/x?/../..")),
        ];
        for (path, base, wanted) in cases {
            let wanted = wanted.map(str::as_bytes);
            assert_eq!(below(path.as_bytes(), base), wanted, "{path}");
        }
    }

    #[test]
    fn joined_paths_begin_with_one_slash() {
        let cases = [
            ("", "", "/"),
            ("", "?q", "/?q"),
            ("", "/x", "/x"),
            ("/a", "", "/a"),
            ("/a", "/x", "/a/x"),
        ];
        for (front, rest, wanted) in cases {
            assert_eq!(join(front, rest.as_bytes()), wanted.as_bytes());
        }
    }
}
