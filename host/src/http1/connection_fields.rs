//! Fields that are about one connection and not about the message.

/// Concern one connection only (RFC 9110 7.6.1), or are written anew by the codec.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field concerns one connection only, or is written anew by the codec.
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP
        .iter()
        .any(|other| name.eq_ignore_ascii_case(other))
}
