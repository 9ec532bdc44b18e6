//! Fields that are about one connection and not about the message.

use super::{Line, NameSet};

/// Concern one connection only (RFC 9110 7.6.1), or are written anew by the codec.
static HOP_BY_HOP: NameSet = NameSet::new(&[
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
]);

/// Whether a field concerns one connection only, or is written anew by the codec.
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(name)
}

impl Line<'_> {
    /// Likewise, of this line's name.
    pub fn is_hop_by_hop(&self) -> bool {
        self.is_in(&HOP_BY_HOP)
    }
}
