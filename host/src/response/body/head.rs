//! What rewriting a body does to the head in front of it.

/// Fields that describe the member's bytes and not ours: they go. Lengths, digests
/// (RFC 9530 and its predecessors) and the offer to serve ranges (RFC 9110 section 14.3).
pub const DROPPED: &[&str] = &[
    "content-length",
    "content-md5",
    "digest",
    "repr-digest",
    "content-digest",
    "accept-ranges",
];

/// What the caller does to the head of a response whose body is rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadChanges {
    /// Every line of these names goes; names are lower case.
    pub drop: &'static [&'static str],
    /// The name whose values go through `weak_etag`.
    pub weaken: &'static str,
}

/// The changes for every rewritten body. Content-Type and Content-Encoding stay: charset and coding do not change.
pub fn head_changes() -> HeadChanges {
    HeadChanges {
        drop: DROPPED,
        weaken: "etag",
    }
}

/// The weak form of a strong entity tag, `None` where the value is weak already or no entity tag:
/// the client gets other bytes than the member tagged (RFC 9110 section 8.8.1).
pub fn weak_etag(value: &[u8]) -> Option<Vec<u8>> {
    let quoted = value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"");
    quoted.then(|| [b"W/", value].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_tags_become_weak_and_others_stay() {
        assert_eq!(weak_etag(b"\"a\"").as_deref(), Some(&b"W/\"a\""[..]));
        assert_eq!(weak_etag(b"\"\"").as_deref(), Some(&b"W/\"\""[..]));
        for value in [&b"W/\"a\""[..], b"a", b"\"", b""] {
            assert_eq!(weak_etag(value), None);
        }
    }

    #[test]
    fn dropped_names_are_lower_case() {
        assert!(
            head_changes()
                .drop
                .iter()
                .all(|name| *name == name.to_ascii_lowercase())
        );
    }
}
