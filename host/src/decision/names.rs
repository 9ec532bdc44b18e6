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
    // Decoded only where it may be the one: most are another one plainly.
    let may_be = |pair: &&str| {
        let key = pair.split('=').next().unwrap_or_default();
        key == name || key.contains(['%', '+'])
    };
    query
        .split('&')
        .filter(may_be)
        .flat_map(|pair| url::form_urlencoded::parse(pair.as_bytes()))
        .find(|(found, _)| found == name)
        .map(|(_, value)| value)
}

/// The value of the first `;name=value` of any segment of a path without its query, as sent. Names are
/// case-sensitive.
pub fn path_parameter<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    // Each ends with its segment. Most paths have none.
    path.split(';')
        .skip(1)
        .filter_map(|rest| rest.split('/').next())
        .find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_decoded_and_the_first_of_a_name_is_found() {
        let query = "a&b=1&c+d=2&%62=3&b=4&e=x%20y+z&&=5";
        for (name, value) in [
            ("a", Some("")),
            ("b", Some("1")),
            ("c d", Some("2")),
            ("e", Some("x y z")),
            ("", Some("5")),
            ("c+d", None),
            ("B", None),
            ("x", None),
        ] {
            assert_eq!(query_parameter(query, name).as_deref(), value, "{name}");
        }
        assert_eq!(query_parameter("%62=3", "b").as_deref(), Some("3"));
    }

    #[test]
    fn path_parameters_end_with_their_segment() {
        let path = "/a;v=1;id=2.x/b;id=3/c=4;xid=5;w";
        for (name, value) in [
            ("v", Some("1")),
            ("id", Some("2.x")),
            ("xid", Some("5")),
            ("d", None),
            ("ID", None),
            ("w", None),
            ("c", None),
        ] {
            assert_eq!(path_parameter(path, name), value, "{name}");
        }
        assert_eq!(path_parameter("/a;x=/b", "x"), Some(""));
        assert_eq!(path_parameter("/a/b", "a"), None);
    }
}
