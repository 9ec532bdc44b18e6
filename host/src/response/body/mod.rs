//! Rewrites response bodies as a policy planned: substitutions and links.
//!
//! Pure and synchronous: bytes in, bytes out, no sockets and no clock. `plan`
//! decides whether a body can be rewritten at all; a `BodyRewriter` then decodes
//! the member's content coding, rewrites, and encodes again with the same coding.
//! What the member has sent comes out at the end of every `feed`, save the few
//! bytes that may still become part of a match or an unfinished tag; no call
//! appends more than `OUTPUT_LIMIT`, whatever the input unpacks to. The caller
//! changes the head as `head_changes` says. A `Transform` plan is not for this
//! module: the caller streams such a body through the guest.

mod charset;
mod coding;
mod decode;
mod deflate;
mod encode;
mod error;
mod head;
mod links;
mod plan;
mod rewriter;
mod splice;
mod substitute;
#[cfg(test)]
mod tests;

pub use coding::{Coding, acceptable_codings};
pub use error::BodyError;
pub use head::{DROPPED, HeadChanges, head_changes, weak_etag};
pub use plan::{BodyFacts, is_heavy, plan};
pub use rewriter::{BodyRewriter, OUTPUT_LIMIT};
