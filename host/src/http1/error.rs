//! What can be wrong with a message.

/// Why bytes are no message this gateway will read. The text is safe to show to
/// the sender and to log: it holds none of the sender's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A LF without CR, or a CR without LF (RFC 9112 2.2).
    #[error("a line does not end with CR LF")]
    LineEnding,
    /// Method, target and version are not separated by single spaces, or one is illegal.
    #[error("the request line is malformed")]
    RequestLine,
    /// Illegal bytes, or a form the method does not allow.
    #[error("the request target is malformed")]
    Target,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// An answer that does not begin with `HTTP/1.x ddd`.
    #[error("the status line is malformed")]
    StatusLine,
    /// No colon, a blank before it, an empty or illegal name, a folded line.
    #[error("a header line is malformed")]
    FieldLine,
    /// NUL, CR, LF or another control in a value (RFC 9110 5.5).
    #[error("a header value holds a control character")]
    FieldValue,
    /// More field lines than allowed.
    #[error("there are too many header lines")]
    TooManyFields,
    /// A longer head than allowed.
    #[error("the header is too large")]
    HeadTooLarge,
    /// Missing, empty, double or illegal, or at odds with an absolute target.
    #[error("the Host header is missing, double or malformed")]
    Host,
    /// Not a plain decimal number, or more than one line.
    #[error("Content-Length is malformed or given more than once")]
    ContentLength,
    /// Anything but a single final `chunked` on HTTP/1.1.
    #[error("Transfer-Encoding is not exactly `chunked`")]
    TransferEncoding,
    /// Content-Length and Transfer-Encoding together.
    #[error("Content-Length and Transfer-Encoding are given together")]
    BothLengths,
    /// A chunk size that is not plain hexadecimal, or out of range.
    #[error("a chunk size is malformed")]
    ChunkSize,
    /// Chunk data not followed by CR LF.
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    /// Chunk extensions or trailers beyond any use.
    #[error("chunk extensions or trailers are too large or malformed")]
    ChunkExtra,
    /// More interim answers than anybody needs.
    #[error("there are too many interim answers")]
    TooManyInterim,
    /// A 101 nobody asked for, or to another protocol.
    #[error("an upgrade was answered that was not asked for")]
    UnaskedUpgrade,
}

impl Malformed {
    /// The status a client gets for a request with this fault.
    pub fn request_status(self) -> u16 {
        match self {
            Malformed::HeadTooLarge | Malformed::TooManyFields => 431,
            Malformed::Version => 505,
            _ => 400,
        }
    }
}
