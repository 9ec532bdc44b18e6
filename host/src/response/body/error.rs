//! Why a body cannot be rewritten to its end.

use super::coding::Coding;

/// The answer must be aborted: its head has promised a body that cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The member's compressed bytes make no sense.
    #[error("the member's {coding} body is corrupt: check what compresses it, or turn that off")]
    Corrupt {
        /// As the member named it.
        coding: Coding,
    },
    /// The member's body ended inside its compressed stream.
    #[error(
        "the member's {coding} body ends in mid-stream: the member was cut off, or compresses wrongly"
    )]
    Truncated {
        /// As the member named it.
        coding: Coding,
    },
    /// One tag, or the elements left open, exceed what the HTML parser may hold.
    #[error(
        "a tag or the open elements of the page exceed {limit} bytes: exempt the page from link rewriting"
    )]
    TooComplex {
        /// Bytes.
        limit: usize,
    },
    /// The policy's patterns are too many or too long.
    #[error("the policy's patterns add up to {bytes} bytes, more than {limit}: shorten its list")]
    PlanTooLarge {
        /// Sum of all patterns.
        bytes: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// The compressor refused its input.
    #[error("the body could not be compressed as {coding} again: please report this")]
    Encoder {
        /// What it was to become.
        coding: Coding,
    },
}
