//! Content codings: which ones can be undone and done again.

use std::fmt;

/// A content coding (RFC 9110 section 8.4.1) that this module decodes and encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 alone as some servers send it.
    Deflate,
    /// RFC 7932.
    Brotli,
}

/// Best first, as members are told.
const DECODED: &[Coding] = &[Coding::Gzip, Coding::Deflate, Coding::Brotli];

impl Coding {
    /// From a Content-Encoding; `None` where it is unknown or several are stacked.
    pub(super) fn from_header(value: Option<&str>) -> Option<Self> {
        let mut named = value
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|token| !token.is_empty());
        let first = named.next();
        if named.next().is_some() {
            return None;
        }
        first.map_or(Some(Self::Identity), Self::from_token)
    }

    fn from_token(token: &str) -> Option<Self> {
        let is = |name: &str| token.eq_ignore_ascii_case(name);
        if is("identity") {
            Some(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Some(Self::Gzip)
        } else if is("deflate") {
            Some(Self::Deflate)
        } else if is("br") {
            Some(Self::Brotli)
        } else {
            None
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        })
    }
}

/// The Accept-Encoding a member gets when its body is going to be rewritten: what both the client
/// (its own Accept-Encoding) and this module understand, for example `gzip, br`, or `identity`.
pub fn acceptable_codings(client: Option<&str>) -> String {
    let Some(client) = client else {
        return Coding::Identity.to_string();
    };
    let wanted: Vec<String> = DECODED
        .iter()
        .filter(|coding| accepts(client, **coding))
        .map(Coding::to_string)
        .collect();
    if wanted.is_empty() {
        Coding::Identity.to_string()
    } else {
        wanted.join(", ")
    }
}

/// RFC 9110 section 12.5.3: a coding's own weight counts before that of `*`.
fn accepts(client: &str, coding: Coding) -> bool {
    let mut star = false;
    for item in client.split(',') {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let allowed = !is_zero_weight(parameters);
        match name.trim() {
            "*" => star = allowed,
            name if Coding::from_token(name) == Some(coding) => return allowed,
            _ => {}
        }
    }
    star
}

/// Whether the parameters say `q=0`, `q=0.0` and the like.
fn is_zero_weight(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        name.trim().eq_ignore_ascii_case("q")
            && value
                .trim()
                .parse::<f32>()
                .is_ok_and(|weight| weight <= 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_encoding_is_one_known_coding_or_none() {
        let table: &[(Option<&str>, Option<Coding>)] = &[
            (None, Some(Coding::Identity)),
            (Some(""), Some(Coding::Identity)),
            (Some("identity"), Some(Coding::Identity)),
            (Some("GZIP"), Some(Coding::Gzip)),
            (Some("x-gzip"), Some(Coding::Gzip)),
            (Some(" br "), Some(Coding::Brotli)),
            (Some("deflate"), Some(Coding::Deflate)),
            (Some("zstd"), None),
            (Some("compress"), None),
            (Some("gzip, gzip"), None),
            (Some("gzip, br"), None),
        ];
        for (header, expected) in table {
            assert_eq!(Coding::from_header(*header), *expected, "{header:?}");
        }
    }

    #[test]
    fn members_are_offered_what_both_sides_understand() {
        let table: &[(Option<&str>, &str)] = &[
            (None, "identity"),
            (Some(""), "identity"),
            (Some("gzip, deflate, br, zstd"), "gzip, deflate, br"),
            (Some("br;q=1.0, gzip;q=0.8, *;q=0"), "gzip, br"),
            (Some("zstd"), "identity"),
            (Some("gzip;q=0"), "identity"),
            (Some("gzip;q=0.000, br"), "br"),
            (Some("*"), "gzip, deflate, br"),
            (Some("*, br;q=0"), "gzip, deflate"),
            (Some("identity"), "identity"),
            (Some("X-GZIP"), "gzip"),
        ];
        for (client, expected) in table {
            assert_eq!(acceptable_codings(*client), *expected, "{client:?}");
        }
    }
}
