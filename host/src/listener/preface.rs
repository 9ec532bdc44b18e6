//! The PROXY protocol header in front of a connection from a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BytesMut};
use ppp::{PartialResult, v1, v2};
use tokio::net::tcp::ReadHalf;
use tokio::time::{Instant, timeout_at};

use crate::http1::{Inlet, ReadError};

const V1: &[u8] = b"PROXY ";
/// The longest header of version 1, with its line's end.
const V1_LONGEST: usize = 107;
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2 we take no more than this.
const V2_LONGEST: usize = 1024;

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
pub enum PrefaceError {
    /// Not in time, closed, or broken.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// No PROXY header.
    #[error("it does not begin with a PROXY protocol header")]
    Malformed,
}

/// A whole header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The address it names; none for a connection of the proxy itself.
    pub client: Option<SocketAddr>,
    /// Its bytes; what follows them is the client's.
    pub length: usize,
}

/// Reads the header; gives the address it names, or `None` for a connection of the proxy itself.
pub async fn read(
    reader: &mut ReadHalf<'_>,
    buffer: &mut BytesMut,
    deadline: Instant,
) -> Result<Option<SocketAddr>, PrefaceError> {
    loop {
        if let Some(header) = parse(buffer)? {
            buffer.advance(header.length);
            return Ok(header.client);
        }
        let far = deadline.saturating_duration_since(Instant::now());
        let mut inlet = Inlet::new(reader, buffer);
        timeout_at(deadline, inlet.fill(far))
            .await
            .map_err(|_| ReadError::TimedOut)??;
    }
}

/// The header that `bytes` begin with, or `None` where more of them could make one. It is the same however many of
/// the following bytes are there.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, PrefaceError> {
    let begins = |prefix: &[u8]| {
        let common = bytes.len().min(prefix.len());
        bytes[..common] == prefix[..common]
    };
    match (begins(V1), begins(V2)) {
        (true, _) => first_line(bytes),
        (_, true) => binary(bytes),
        _ => Err(PrefaceError::Malformed),
    }
}

/// `ppp` sees whole lines alone: of one that ends behind its last blank it says that the port is wrong, and it looks
/// beyond a bare LF.
fn first_line(bytes: &[u8]) -> Result<Option<Header>, PrefaceError> {
    let mut first = bytes.iter().take(V1_LONGEST);
    let Some(end) = first.position(|&byte| byte == b'\n') else {
        return match bytes.len() < V1_LONGEST {
            true => Ok(None),
            false => Err(PrefaceError::Malformed),
        };
    };
    let length = end + 1;
    match v1::Header::try_from(&bytes[..length]) {
        Ok(header) if header.header.len() == length => Ok(Some(Header {
            client: of_v1(&header),
            length,
        })),
        _ => Err(PrefaceError::Malformed),
    }
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, PrefaceError> {
    match v2::Header::try_from(bytes) {
        Ok(header) if header.len() <= V2_LONGEST => Ok(Some(Header {
            client: of_v2(&header),
            length: header.len(),
        })),
        Err(why) if why.is_incomplete() && bytes.len() <= V2_LONGEST => Ok(None),
        _ => Err(PrefaceError::Malformed),
    }
}

fn of_v1(header: &v1::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        v1::Addresses::Tcp4(a) => Some((IpAddr::V4(a.source_address), a.source_port).into()),
        v1::Addresses::Tcp6(a) => Some((IpAddr::V6(a.source_address), a.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

fn of_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        // LOCAL: the proxy's own, a health check for instance.
        _ if header.command == v2::Command::Local => None,
        v2::Addresses::IPv4(a) => Some((IpAddr::V4(a.source_address), a.source_port).into()),
        v2::Addresses::IPv6(a) => Some((IpAddr::V6(a.source_address), a.source_port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// Bytes that begin as headers do, so that more than the first comparison is reached.
    fn almost_headers() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        let words = "PROXY (TCP4|TCP6|UNKNOWN)?[ 0-9a-f.:]{0,60}(\r?\n)?";
        let v2 = (any::<u8>(), any::<u8>(), any::<u16>(), bytes()).prop_map(
            |(command, family, length, rest)| {
                let length = (length % 300).to_be_bytes();
                [
                    &b"\r\n\r\n\0\r\nQUIT\n"[..],
                    &[command, family],
                    &length,
                    &rest,
                ]
                .concat()
            },
        );
        let lines = (any::<[u8; 4]>(), any::<[u16; 8]>(), any::<u16>(), bytes()).prop_map(
            |(four, six, port, rest)| {
                let (four, six) = (Ipv4Addr::from(four), Ipv6Addr::from(six));
                let line = match port % 2 {
                    0 => format!("PROXY TCP4 {four} {four} {port} {port}\r\n"),
                    _ => format!("PROXY TCP6 {six} {six} {port} {port}\r\n"),
                };
                [line.as_bytes(), &rest].concat()
            },
        );
        prop_oneof![bytes(), lines, words.prop_map(String::into_bytes), v2]
    }

    proptest! {
        #[test]
        fn a_header_is_read_alike_however_its_bytes_arrive(bytes in almost_headers()) {
            let whole = parse(&bytes);
            if let Ok(Some(header)) = &whole {
                prop_assert!((1..=bytes.len()).contains(&header.length));
            }
            let pieces = (0..=bytes.len()).map(|end| parse(&bytes[..end]));
            let first = pieces.into_iter().find(|read| !matches!(read, Ok(None)));
            let plain = |read: Result<Option<Header>, PrefaceError>| read.ok().flatten();
            prop_assert_eq!(first.and_then(plain), plain(whole));
        }
    }

    #[test]
    fn what_cannot_become_a_header_is_not_waited_for() {
        for (bytes, expected) in [
            (&b""[..], true),
            (b"PRO", true),
            (b"PROXY TCP4 1.2.3.4", true),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 ", true),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r", true),
            (b"PROXY UNKNOWN a\nb\r\n", false),
            (b"\r\n\r\n\0", true),
            (b"\r\n\r\n\0\r\nQUIT\n\x21", true),
            (b"GET / HTTP/1.1\r\n", false),
            (b"P ", false),
            (b"\r\n\r\nGET", false),
            (b"PROXY NOTHING\r\n", false),
        ] {
            let waits = matches!(parse(bytes), Ok(None));
            assert_eq!(waits, expected, "{}", bytes.escape_ascii());
        }
        let long = [b"PROXY ".as_slice(), &[b'1'; 101]].concat();
        assert!(parse(&long[..106]).is_ok_and(|read| read.is_none()));
        assert!(parse(&long).is_err());
        let longer = [V2, b"\x21\x11\x04\x00", &[0; 1024]].concat();
        assert!(parse(&longer).is_err(), "whole or not");
    }
}
