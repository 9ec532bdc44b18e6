//! Fields that concern one connection, and fields that tell members of the client.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
};

use crate::http1::{Fields, Line, NameSet, Version};

/// What a client claims of itself and only a trusted proxy may.
static CLAIMS: NameSet = NameSet::new(&[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-port",
]);

/// Likewise, where the gateway sends one.
static REAL_IP: NameSet = NameSet::new(&["x-real-ip"]);

/// Fields whose spelling with `_` some servers take for the real ones (CGI and its heirs).
static ALIASED: NameSet = NameSet::new(&[
    "connection",
    "content-length",
    "forwarded",
    "host",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
]);

/// Written anew for a member, or none of its business.
static OF_REQUEST: NameSet = NameSet::new(&["expect", "host", "proxy", "proxy-authorization"]);
/// Likewise for the client.
static OF_ANSWER: NameSet = NameSet::new(&["proxy-authenticate"]);

/// Removes what concerns one connection only, and what `Connection` names.
pub fn strip_hop_by_hop(fields: &mut Fields) {
    strip(fields, |_| false);
}

/// Likewise, and what `also` picks.
fn strip(fields: &mut Fields, also: impl Fn(Line<'_>) -> bool) {
    // At most this many names are looked at; a head may hold thousands.
    const NAMED: usize = 64;
    let named: Vec<Vec<u8>> = fields
        .tokens("connection")
        .take(NAMED)
        .map(<[u8]>::to_vec)
        .collect();
    fields.retain(|line| {
        !(line.is_hop_by_hop()
            || also(line)
            || named
                .iter()
                .any(|token| token.eq_ignore_ascii_case(line.name.as_bytes())))
    });
}

/// Who asks, through which host, and how the gateway calls itself.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The address that connected.
    pub peer: IpAddr,
    /// Whether the peer is one of `trusted_proxies`.
    pub trusted: bool,
    /// Whoever is meant.
    pub client: IpAddr,
    /// As the client sent it.
    pub host: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The vhost's name.
    pub server: &'a str,
    /// Of the client's request.
    pub version: Version,
}

/// Prepares a client's fields for a member.
pub fn to_member(
    fields: &mut Fields,
    asker: &Asker<'_>,
    x_real_ip: bool,
    forwarded: bool,
    via: Option<&str>,
) {
    strip(fields, |line| {
        let claim = !asker.trusted && line.is_in(&CLAIMS);
        let real_ip = x_real_ip && line.is_in(&REAL_IP);
        let alias = line.name.contains('_') && ALIASED.contains(&line.name.replace('_', "-"));
        line.is_in(&OF_REQUEST) || claim || real_ip || alias
    });
    append(fields, "X-Forwarded-For", |out| {
        write_address(out, asker.peer);
    });
    append_text(fields, "X-Forwarded-Host", asker.host);
    append_text(fields, "X-Forwarded-Server", asker.server);
    if !(asker.trusted && fields.contains("x-forwarded-proto")) {
        fields.set("X-Forwarded-Proto", asker.scheme.as_bytes());
    }
    if x_real_ip {
        fields.push("X-Real-IP", asker.client.to_string().as_bytes());
    }
    if forwarded {
        append_text(fields, "Forwarded", &element(asker));
    }
    if let Some(via) = via {
        append_via(fields, asker.version, via);
    }
}

/// Prepares a member's fields for the client.
pub fn to_client(fields: &mut Fields, via: Option<&str>, version: Version) {
    strip(fields, |line| line.is_in(&OF_ANSWER));
    if let Some(via) = via {
        append_via(fields, version, via);
    }
}

/// Appends an address; without the formatting machinery where it is one of version 4, as most are.
fn write_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => write_v4(out, v4),
        // Writing to memory cannot fail.
        IpAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

fn write_v4(out: &mut Vec<u8>, address: Ipv4Addr) {
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

/// One element of `Forwarded` (RFC 7239 4); addresses of version 6 are quoted and in brackets.
fn element(asker: &Asker<'_>) -> String {
    let peer = match asker.peer {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("\"[{v6}]\""),
    };
    format!(
        "for={peer};host=\"{}\";proto={}",
        asker.host.replace(['"', '\\'], ""),
        asker.scheme
    )
}

fn append_via(fields: &mut Fields, version: Version, name: &str) {
    let version: &[u8] = match version {
        Version::Http10 => b"1.0 ",
        Version::Http11 => b"1.1 ",
    };
    append(fields, "Via", |out| {
        out.extend_from_slice(version);
        out.extend_from_slice(name.as_bytes());
    });
}

fn append_text(fields: &mut Fields, name: &str, element: &str) {
    append(fields, name, |out| {
        out.extend_from_slice(element.as_bytes());
    });
}

/// Adds to a list-valued field: one line, the elements there were in front.
fn append(fields: &mut Fields, name: &str, element: impl FnOnce(&mut Vec<u8>)) {
    let Some(mut value) = fields.joined(name) else {
        return fields.push_with(name, element);
    };
    if !value.is_empty() {
        value.extend_from_slice(b", ");
    }
    element(&mut value);
    fields.set(name, &value);
}

/// Whom a trusted proxy's `X-Forwarded-For` means: from the right, the first address that is not
/// itself a trusted proxy's.
pub fn client_of(fields: &Fields, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    if !is_trusted(peer) {
        return peer;
    }
    let hops: Vec<&[u8]> = fields.tokens("x-forwarded-for").collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else {
            break;
        };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// An address, possibly in brackets or with a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    text.parse()
        .ok()
        .or_else(|| {
            text.parse::<std::net::SocketAddr>()
                .ok()
                .map(|address| address.ip())
        })
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        lines.iter().copied().collect()
    }

    fn asker(trusted: bool) -> Asker<'static> {
        let peer = IpAddr::from([10, 0, 0, 9]);
        let (host, scheme, server) = ("h:80", "http", "www");
        Asker {
            peer,
            trusted,
            client: peer,
            host,
            scheme,
            server,
            version: Version::Http11,
        }
    }

    fn sent(lines: &[(&str, &str)], trusted: bool, name: &str) -> Option<String> {
        let mut fields = fields(lines);
        to_member(&mut fields, &asker(trusted), true, true, Some("sy"));
        fields.text(name).map(str::to_owned)
    }

    #[test]
    fn claims_of_untrusted_clients_are_replaced() {
        let claimed = [
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-Real-IP", "6.6.6.6"),
            ("Forwarded", "for=6.6.6.6"),
        ];
        assert_eq!(
            sent(&claimed, false, "x-forwarded-for").unwrap(),
            "10.0.0.9"
        );
        assert_eq!(sent(&claimed, false, "x-real-ip").unwrap(), "10.0.0.9");
        assert_eq!(
            sent(&claimed, false, "forwarded").unwrap(),
            "for=10.0.0.9;host=\"h:80\";proto=http"
        );
        assert_eq!(
            sent(&claimed, true, "x-forwarded-for").unwrap(),
            "6.6.6.6, 10.0.0.9"
        );
    }

    #[test]
    fn clients_cannot_name_our_fields_away() {
        let lines = [
            ("Connection", "close, X-Forwarded-For, X-Real-IP, X-A"),
            ("X-A", "1"),
            ("Keep-Alive", "5"),
        ];
        assert_eq!(sent(&lines, false, "x-forwarded-for").unwrap(), "10.0.0.9");
        for gone in ["connection", "x-a", "keep-alive"] {
            assert_eq!(sent(&lines, false, gone), None);
        }
    }

    #[test]
    fn spellings_with_underscores_are_dropped_where_they_could_be_taken_for_ours() {
        assert_eq!(
            sent(&[("X_Forwarded_For", "6.6.6.6")], false, "x_forwarded_for"),
            None
        );
        assert_eq!(
            sent(&[("Content_Length", "6")], false, "content_length"),
            None
        );
        assert_eq!(sent(&[("my_field", "6")], false, "my_field").unwrap(), "6");
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let peer = IpAddr::from([10, 0, 0, 9]);
        let of = |value: &str| {
            client_of(&fields(&[("X-Forwarded-For", value)]), peer, trusted).to_string()
        };
        assert_eq!(of("6.6.6.6, 1.2.3.4, 10.0.0.1"), "1.2.3.4");
        assert_eq!(of("6.6.6.6, junk, 10.0.0.1"), "10.0.0.1");
        assert_eq!(of("[::1]:80"), "::1");
        assert_eq!(
            client_of(
                &fields(&[("X-Forwarded-For", "1.1.1.1")]),
                [9, 9, 9, 9].into(),
                trusted
            )
            .to_string(),
            "9.9.9.9"
        );
    }
}
