//! How what has a name is found within a message.

use std::borrow::Cow;

/// The attributes that requests may have.
pub const ATTRIBUTES: [&str; 6] = [
    "client.address",
    "peer.address",
    "route.name",
    "vhost.name",
    "tenant",
    "path.decoded",
];

/// Name and value of every cookie in one line, as RFC 6265 5.4 has clients send them.
pub fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|&byte| byte == b';').filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
    })
}

/// First query parameter of that name, percent-decoded.
pub fn query_parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value)
}

/// First `;name=value` segment parameter of a path without its query.
pub fn path_parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    path.split('/')
        .flat_map(|segment| segment.split(';').skip(1))
        .find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
}
