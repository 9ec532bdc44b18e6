//! Frames of a file, and reading them.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::Call;
use crate::decision::{Context, Hook, Trigger};

/// Of the format. Raised whenever the fields of a frame change.
pub const VERSION: u32 = 1;

/// Bytes of one frame. A call may copy 4 MiB each way; with its framing that fits twice.
pub(super) const LARGEST: usize = 16 << 20;

/// What the first line says before the version.
const TITLE: &str = "switchyard recording ";

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Whose file this is.
    Opening(Opening),
    /// A window begins.
    Start(Start),
    /// A call of a window.
    Call(u64, Call),
    /// A window ends.
    End(u64, End),
}

/// Whose file this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The gateway's version.
    pub host: String,
    /// Of the policy.
    pub tenant: String,
    /// Its name.
    pub policy: String,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Names whose values are replaced.
    pub redact: Vec<String>,
}

/// A window begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its number, unique in the file.
    pub window: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// SHA-256 of the module, hexadecimal.
    pub digest: String,
    /// JSON text.
    pub config: String,
    /// Which instance.
    pub context: Context,
    /// CPU time of a decision, microseconds.
    pub deadline_us: u64,
    /// CPU time of other calls, microseconds.
    pub init_deadline_us: u64,
    /// Bytes of linear memory.
    pub memory: u64,
    /// What its hooks are called for.
    pub triggers: Vec<(Hook, Trigger)>,
}

/// Why a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// As many calls as it should hold.
    Full,
    /// A call failed, and the instance with it.
    Fault,
    /// The instance left service.
    Left,
    /// The writer could not keep up; the calls that followed are not recorded.
    Dropped,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's word.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("is no recording: it does not begin with `switchyard recording`")]
    Stranger,
    /// Of a version that this program does not know.
    #[error("is a recording of version {0}; this switchyard reads version {VERSION}")]
    Version(String),
    /// Damaged.
    #[error("is damaged at byte {at}: {what}")]
    Damaged {
        /// Offset of the frame.
        at: u64,
        /// For people.
        what: String,
    },
}

/// The first line of a file.
pub(super) fn title() -> String {
    format!("{TITLE}{VERSION}\n")
}

/// Appends a frame with its length; `false`, and nothing is appended, where it is too large.
pub(super) fn append(out: &mut Vec<u8>, frame: &Frame) -> bool {
    // Memory is the only thing it writes to, and every type here can be written.
    let Ok(bytes) = postcard::to_allocvec(frame) else {
        return false;
    };
    let Some(length) = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() <= LARGEST)
    else {
        return false;
    };
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&bytes);
    true
}

/// Reads the frames of a file in order, to the last whole one.
#[derive(Debug)]
pub struct Frames<R> {
    from: R,
    at: u64,
    /// The file ends in the middle of a frame.
    truncated: bool,
    ended: bool,
}

impl Frames<BufReader<std::fs::File>> {
    /// Of the file at `path`.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(BufReader::new(std::fs::File::open(path)?))
    }
}

impl<R: BufRead> Frames<R> {
    /// Reads the first line.
    pub fn new(mut from: R) -> Result<Self, ReadError> {
        let mut line = Vec::new();
        // Long enough for any version there will be.
        from.by_ref()
            .take(TITLE.len() as u64 + 12)
            .read_until(b'\n', &mut line)?;
        let line = str::from_utf8(&line).map_err(|_| ReadError::Stranger)?;
        let version = line.strip_prefix(TITLE).ok_or(ReadError::Stranger)?;
        let version = version.strip_suffix('\n').ok_or(ReadError::Stranger)?;
        if version.parse() != Ok(VERSION) {
            return Err(ReadError::Version(version.escape_default().to_string()));
        }
        Ok(Self {
            from,
            at: line.len() as u64,
            truncated: false,
            ended: false,
        })
    }

    /// Whether the file ended in the middle of a frame; known at the end.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    fn frame(&mut self) -> Result<Option<Frame>, ReadError> {
        let mut length = [0; 4];
        let Some(()) = self.fill(&mut length)? else {
            return Ok(None);
        };
        let (at, length) = (self.at, u32::from_le_bytes(length) as usize);
        let damaged = |what: String| ReadError::Damaged { at, what };
        if length > LARGEST {
            return Err(damaged(format!("a frame of {length} bytes")));
        }
        let mut bytes = Vec::new();
        let read = self
            .from
            .by_ref()
            .take(length as u64)
            .read_to_end(&mut bytes)?;
        if read < length {
            self.truncated = true;
            return Ok(None);
        }
        self.at += 4 + length as u64;
        match postcard::take_from_bytes(&bytes) {
            Ok((frame, [])) => Ok(Some(frame)),
            Ok((_, rest)) => Err(damaged(format!("{} bytes too many", rest.len()))),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// `None` at the end of the file.
    fn fill(&mut self, buffer: &mut [u8; 4]) -> Result<Option<()>, ReadError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => {
                    self.truncated = filled > 0;
                    return Ok(None);
                }
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(()))
    }
}

impl<R: BufRead> Iterator for Frames<R> {
    type Item = Result<Frame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.frame().transpose();
        self.ended = !matches!(frame, Some(Ok(_)));
        frame
    }
}
