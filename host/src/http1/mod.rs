//! HTTP/1 on the wire: the one validator and codec, for clients and members alike.
//!
//! Whatever comes in is read strictly (RFC 9110 and 9112, with every leniency
//! they allow a recipient switched off) or refused; whatever goes out is written
//! anew from the parsed parts, so it can be read in one way only. Sockets and
//! buffers belong to the callers; [`Inlet`] only reads from them.

mod alarm;
mod body;
mod connection_fields;
mod encode;
mod error;
mod fields;
mod inlet;
mod names;
mod patience;
#[cfg(test)]
mod properties;
mod request;
mod response;
mod scan;

pub use alarm::Alarm;
pub use body::{Decoded, Decoder};
pub use connection_fields::is_hop_by_hop;
pub use encode::{
    CHUNK_END, RequestLine, chunk_head, end_chunks, interim, request_head, response_head,
};
pub use error::Malformed;
pub use fields::{Fields, Line, is_legal_value, is_token};
pub use inlet::{Inlet, ReadError};
pub use names::{NameSet, name_bit};
pub use patience::{at_once, within};
pub use request::{RequestHead, Target};
pub use response::ResponseHead;
pub use scan::{HeadScanner, Scan};

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// RFC 9112 section 7.1.
    Chunked,
    /// Until the connection closes; answers only.
    Close,
}

/// HTTP/1.0 or 1.1; other versions are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Bounds on one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes, all lines together.
    pub head_size: usize,
    /// Field lines.
    pub field_count: usize,
}
