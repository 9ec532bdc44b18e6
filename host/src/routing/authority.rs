//! The host and port a request is for.

use std::net::Ipv6Addr;

use super::TargetError;

/// DNS names have at most 253 characters; 255 leaves room for a trailing dot and brackets.
const MAX_HOST: usize = 255;

/// `host[:port]` of a request, read in the one way that RFC 9110 and RFC 3986 share
/// with what servers really do: names of letters, digits, `-`, `_` and `.`, IPv4
/// addresses, and IPv6 addresses in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    given: String,
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads the value of `Host` or the authority of an absolute-form target.
    pub fn parse(bytes: &[u8]) -> Result<Authority, TargetError> {
        if bytes.is_empty() {
            return Err(TargetError::HostEmpty);
        }
        let (host, port) = match bytes {
            [b'[', ..] => literal(bytes)?,
            _ => name(bytes)?,
        };
        let port = port.map(parse_port).transpose()?;
        let given = text(bytes)?;
        Ok(Authority { given, host, port })
    }

    /// In lower case, without port and trailing dot; IPv6 in brackets and in its shortest form.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `None` where the client left it out.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// As the client gave it.
    pub fn as_str(&self) -> &str {
        &self.given
    }
}

fn name(bytes: &[u8]) -> Result<(String, Option<&[u8]>), TargetError> {
    let (host, port) = match bytes.iter().position(|&b| b == b':') {
        Some(colon) => (&bytes[..colon], Some(&bytes[colon + 1..])),
        None => (bytes, None),
    };
    let legal = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if let Some(&byte) = host.iter().find(|b| !legal(b)) {
        return Err(TargetError::HostIllegalByte { byte });
    }
    if host.len() > MAX_HOST {
        return Err(TargetError::HostTooLong);
    }
    let host = host.strip_suffix(b".").unwrap_or(host);
    if host.is_empty() {
        return Err(TargetError::HostEmpty);
    }
    if host.split(|&b| b == b'.').any(<[u8]>::is_empty) {
        return Err(TargetError::HostEmptyLabel);
    }
    let mut host = text(host)?;
    host.make_ascii_lowercase();
    Ok((host, port))
}

/// Of bytes that were found to be ASCII.
fn text(bytes: &[u8]) -> Result<String, TargetError> {
    let text = std::str::from_utf8(bytes).map_err(|_| TargetError::HostBadLiteral)?;
    Ok(text.to_owned())
}

fn literal(bytes: &[u8]) -> Result<(String, Option<&[u8]>), TargetError> {
    let end = bytes
        .iter()
        .position(|&b| b == b']')
        .ok_or(TargetError::HostBadLiteral)?;
    let address: Ipv6Addr = std::str::from_utf8(&bytes[1..end])
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(TargetError::HostBadLiteral)?;
    let port = match &bytes[end + 1..] {
        [] => None,
        [b':', port @ ..] => Some(port),
        _ => return Err(TargetError::HostBadLiteral),
    };
    Ok((format!("[{address}]"), port))
}

fn parse_port(digits: &[u8]) -> Result<u16, TargetError> {
    // A leading zero also rules out port 0.
    if digits.is_empty()
        || digits.len() > 5
        || digits[0] == b'0'
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return Err(TargetError::BadPort);
    }
    let value = digits
        .iter()
        .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    u16::try_from(value).map_err(|_| TargetError::BadPort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_lowered_and_lose_port_and_trailing_dot() {
        for (given, host, port) in [
            ("h.test", "h.test", None),
            ("WWW.Example.COM:8080", "www.example.com", Some(8080)),
            ("h.test.", "h.test", None),
            ("h.test.:1", "h.test", Some(1)),
            ("my_host", "my_host", None),
            ("xn--mnchen-3ya.de:65535", "xn--mnchen-3ya.de", Some(65535)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8:0:0::1]:8443", "[2001:db8::1]", Some(8443)),
            ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", None),
        ] {
            let authority = Authority::parse(given.as_bytes()).unwrap();
            assert_eq!(
                (authority.host(), authority.port(), authority.as_str()),
                (host, port, given)
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        use TargetError::*;
        for (given, error) in [
            ("", HostEmpty),
            (":80", HostEmpty),
            (".", HostEmpty),
            ("a..b", HostEmptyLabel),
            (".a", HostEmptyLabel),
            ("a..", HostEmptyLabel),
            ("user@h.test", HostIllegalByte { byte: b'@' }),
            ("u:p@h.test", BadPort),
            ("h.test, evil.test", HostIllegalByte { byte: b',' }),
            ("h.test evil", HostIllegalByte { byte: b' ' }),
            ("h.test/evil", HostIllegalByte { byte: b'/' }),
            ("h.test?x", HostIllegalByte { byte: b'?' }),
            ("h.test\\evil", HostIllegalByte { byte: b'\\' }),
            ("h.test\0.evil", HostIllegalByte { byte: 0 }),
            ("h%2etest", HostIllegalByte { byte: b'%' }),
            ("h.test%0d%0aX: y", HostIllegalByte { byte: b'%' }),
            ("<script>", HostIllegalByte { byte: b'<' }),
            ("münchen.de", HostIllegalByte { byte: 0xc3 }),
            ("::1", HostEmpty),
            ("[::1", HostBadLiteral),
            ("[::1]x", HostBadLiteral),
            ("[h.test]", HostBadLiteral),
            ("[fe80::1%25eth0]", HostBadLiteral),
            ("[v1.x]", HostBadLiteral),
            ("[]", HostBadLiteral),
            ("h.test:", BadPort),
            ("[::1]:", BadPort),
            ("h.test:0", BadPort),
            ("h.test:080", BadPort),
            ("h.test:65536", BadPort),
            ("h.test:99999", BadPort),
            ("h.test:4294967376", BadPort),
            ("h.test:80x", BadPort),
            ("h.test:-1", BadPort),
            ("h.test:+1", BadPort),
            ("a:b:80", BadPort),
        ] {
            assert_eq!(Authority::parse(given.as_bytes()), Err(error), "{given:?}");
        }
        assert_eq!(
            Authority::parse("a".repeat(256).as_bytes()),
            Err(HostTooLong)
        );
    }
}
