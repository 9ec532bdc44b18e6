//! The PROXY protocol header in front of a connection from a trusted proxy.

use std::net::{IpAddr, SocketAddr};

use bytes::{Buf, BytesMut};
use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::net::tcp::ReadHalf;
use tokio::time::{Instant, timeout_at};

use crate::http1::{Inlet, ReadError};

/// The longest header of version 1 has 107 bytes; of version 2 we take no more than this.
const LONGEST: usize = 1024;

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

/// Reads the header; gives the address it names, or `None` for a connection of the proxy itself.
pub async fn read(
    reader: &mut ReadHalf<'_>,
    buffer: &mut BytesMut,
    deadline: Instant,
) -> Result<Option<SocketAddr>, PrefaceError> {
    loop {
        let parsed = HeaderResult::parse(buffer);
        if !parsed.is_incomplete() || buffer.len() > LONGEST {
            let (client, length) = match &parsed {
                HeaderResult::V1(Ok(header)) => (of_v1(header), header.header.len()),
                HeaderResult::V2(Ok(header)) => (of_v2(header), header.len()),
                _ => return Err(PrefaceError::Malformed),
            };
            buffer.advance(length);
            return Ok(client);
        }
        if !may_go_on(buffer) {
            return Err(PrefaceError::Malformed);
        }
        let far = deadline.saturating_duration_since(Instant::now());
        let mut inlet = Inlet::new(reader, buffer);
        timeout_at(deadline, inlet.fill(far))
            .await
            .map_err(|_| ReadError::TimedOut)??;
    }
}

/// Whether more bytes could make a header of this: `ppp` waits for ever for one that never began.
fn may_go_on(bytes: &[u8]) -> bool {
    const V1: &[u8] = b"PROXY ";
    const V1_LONGEST: usize = 107;
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    let begins = |prefix: &[u8]| {
        let common = bytes.len().min(prefix.len());
        bytes[..common] == prefix[..common]
    };
    let is_v1 = begins(V1) && bytes.len() < V1_LONGEST && !bytes.contains(&b'\n');
    is_v1 || begins(V2)
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
    use super::*;

    #[test]
    fn what_cannot_become_a_header_is_not_waited_for() {
        for (bytes, expected) in [
            (&b""[..], true),
            (b"PRO", true),
            (b"PROXY TCP4 1.2.3.4", true),
            (b"\r\n\r\n\0", true),
            (b"\r\n\r\n\0\r\nQUIT\n\x21", true),
            (b"GET / HTTP/1.1\r\n", false),
            (b"P ", false),
            (b"\r\n\r\nGET", false),
            (b"PROXY NOTHING\r\n", false),
        ] {
            assert_eq!(may_go_on(bytes), expected, "{}", bytes.escape_ascii());
        }
        assert!(!may_go_on(&[b"PROXY ".as_slice(), &[b'1'; 101]].concat()));
    }
}
