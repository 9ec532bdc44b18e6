//! What was read: heads and answers, and how reading them ends too early.

use std::fmt;

/// Why nothing, or not everything, could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The peer closed before the first byte.
    Closed,
    /// The peer reset the connection before the first byte.
    Reset,
    /// It ended within a head.
    InHead(Vec<u8>),
    /// It ended within a body; what had arrived is kept.
    InBody(Box<Response>),
    /// Nothing more came in time; the bytes that had.
    TimedOut(Vec<u8>),
    /// Not HTTP/1 as RFC 9112 has it.
    Malformed(String),
}

impl Broken {
    /// Whether the connection ended without a single byte: what a client must never see.
    pub fn is_bare_close(&self) -> bool {
        matches!(self, Self::Closed | Self::Reset)
    }
}

/// A first line and fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Request line or status line.
    pub first: String,
    /// In order, values trimmed.
    pub fields: Vec<(String, String)>,
    /// The bytes, the empty line included.
    pub raw: Vec<u8>,
}

impl Head {
    /// Reads a head out of its bytes.
    pub fn parse(raw: Vec<u8>) -> Result<Self, Broken> {
        let malformed = |why: &str| Broken::Malformed(format!("{why}: {}", raw.escape_ascii()));
        let body = raw
            .strip_suffix(b"\r\n\r\n")
            .ok_or_else(|| malformed("no end of head"))?;
        let text = String::from_utf8_lossy(body).into_owned();
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            if line.contains(['\r', '\n']) {
                return Err(malformed("bare CR or LF"));
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| malformed("field without a colon"))?;
            if name.is_empty() || name.contains([' ', '\t']) {
                return Err(malformed("blank in a field name"));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Ok(Self { first, fields, raw })
    }

    /// First value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// All values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// Nth word of the first line.
    pub fn word(&self, n: usize) -> &str {
        self.first.split(' ').nth(n).unwrap_or_default()
    }

    fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .iter()
            .any(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }

    /// Whether the body is chunked.
    pub fn is_chunked(&self) -> bool {
        self.lists("transfer-encoding", "chunked")
    }

    /// The declared length.
    pub fn length(&self) -> Result<Option<usize>, Broken> {
        let all = self.all("content-length");
        match all.as_slice() {
            [] => Ok(None),
            [one] => one
                .parse()
                .map(Some)
                .map_err(|_| Broken::Malformed(format!("content-length {one:?}"))),
            _ => Err(Broken::Malformed(format!("{} content-lengths", all.len()))),
        }
    }

    /// Whether the sender announced to close.
    pub fn closes(&self) -> bool {
        self.lists("connection", "close")
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// 200
    pub status: u16,
    /// With the status line.
    pub head: Head,
    /// Chunks joined.
    pub body: Vec<u8>,
    /// Fields after the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Response {
    /// First value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head.all(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.body[..self.body.len().min(400)];
        write!(
            f,
            "{}{} ({} bytes)",
            self.head.raw.escape_ascii(),
            shown.escape_ascii(),
            self.body.len()
        )
    }
}

/// How reading a body ended too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// FIN.
    End,
    /// RST.
    Reset,
    /// Nothing more in time.
    TimedOut,
    /// Out of form.
    Malformed(String),
}
