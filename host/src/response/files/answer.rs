//! What is asked of a folder, and what it answers.

use std::{fs::File, io};

/// The parts of a request that matter to a file. Field values as they came, without
/// those that are not text.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileRequest<'a> {
    /// `GET` and `HEAD` are served.
    pub method: &'a str,
    /// `Range`; counts for `GET` only.
    pub range: Option<&'a str>,
    /// `If-Range`
    pub if_range: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a str>,
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a str>,
}

/// An answer without `Date`, `Content-Length` and connection fields.
#[derive(Debug)]
pub struct FileAnswer {
    /// 200, 206, 301, 304, 403, 404, 405, 412, 416, 500 or 503.
    pub status: u16,
    /// In the order to be sent.
    pub fields: Vec<(&'static str, String)>,
    /// What `Content-Length` says, for `HEAD` too. `None`: the answer has no content of
    /// its own, and for an error the caller may send a page.
    pub content_length: Option<u64>,
    /// What is sent.
    pub body: FileBody,
    /// What went wrong, for the error log: with 500 and 503, and with 403 where the
    /// system refused.
    pub cause: Option<io::Error>,
}

/// The bytes of an answer. A file that shrinks while it is sent ends early: the sender
/// must then abort the answer.
#[derive(Debug)]
pub enum FileBody {
    /// None.
    Empty,
    /// A piece of a file.
    File {
        /// Regular.
        file: File,
        /// Of its first byte.
        offset: u64,
        /// In bytes, not 0.
        length: u64,
    },
    /// `multipart/byteranges`: for each part its head and its piece, then `end`.
    Parts {
        /// Regular.
        file: File,
        /// Two to sixteen.
        parts: Vec<Part>,
        /// The last delimiter.
        end: Vec<u8>,
    },
}

/// One range of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Delimiter and fields, with the blank line.
    pub head: Vec<u8>,
    /// Of its first byte in the file.
    pub offset: u64,
    /// In bytes, not 0.
    pub length: u64,
}

impl FileAnswer {
    pub(super) fn bare(status: u16) -> FileAnswer {
        FileAnswer {
            status,
            fields: Vec::new(),
            content_length: None,
            body: FileBody::Empty,
            cause: None,
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> FileAnswer {
        self.fields.push((name, value.into()));
        self
    }

    pub(super) fn because(mut self, cause: io::Error) -> FileAnswer {
        self.cause = Some(cause);
        self
    }
}
