//! Joins untouched bytes and replacements, a bounded piece at a time.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A stretch of the input, by absolute offset, and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// May be empty: an insertion.
    pub(super) range: Range<usize>,
    /// May be empty: a removal.
    pub(super) with: Arc<[u8]>,
}

/// Input that awaits its way out. Edits come in order and do not overlap; one is always
/// known before the bytes it covers are released.
#[derive(Debug, Default)]
pub(super) struct Splicer {
    waiting: Vec<u8>,
    /// Bytes at the front of `waiting` that have left.
    left: usize,
    /// Absolute offset of `waiting[0]`.
    base: usize,
    edits: VecDeque<Edit>,
    /// Bytes of the foremost edit's replacement that have left.
    written: usize,
    /// Nothing at or behind this absolute offset may leave yet.
    hold: Option<usize>,
}

impl Splicer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.left > 0 {
            self.waiting.drain(..self.left);
            self.base += self.left;
            self.left = 0;
        }
        self.waiting.extend_from_slice(bytes);
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        self.edits.push_back(edit);
    }

    pub(super) fn hold(&mut self, from: Option<usize>) {
        self.hold = from;
    }

    /// Absolute offset behind the last byte pushed.
    pub(super) fn end(&self) -> usize {
        self.base + self.waiting.len()
    }

    /// The bytes from an absolute offset that has not left yet.
    pub(super) fn waiting_from(&self, offset: usize) -> &[u8] {
        self.waiting
            .get(offset.saturating_sub(self.base)..)
            .unwrap_or_default()
    }

    /// Appends at most `room` bytes; `false` when nothing more may leave now.
    pub(super) fn drain(&mut self, out: &mut Vec<u8>, room: usize) -> bool {
        let full = out.len() + room;
        let limit = self.hold.map_or(self.end(), |hold| hold.min(self.end()));
        while out.len() < full {
            let at = self.base + self.left;
            let next = self.edits.front().filter(|edit| edit.range.end <= limit);
            let until = next.map_or(limit, |edit| edit.range.start.max(at));
            if until > at {
                let take = (until - at).min(full - out.len());
                out.extend_from_slice(&self.waiting[self.left..self.left + take]);
                self.left += take;
                continue;
            }
            let Some(edit) = next else { return false };
            let rest = edit.with.get(self.written..).unwrap_or_default();
            let take = rest.len().min(full - out.len());
            out.extend_from_slice(&rest[..take]);
            if take < rest.len() {
                self.written += take;
            } else {
                self.left += edit.range.end.saturating_sub(at);
                self.written = 0;
                self.edits.pop_front();
            }
        }
        self.base + self.left < limit
            || self
                .edits
                .front()
                .is_some_and(|edit| edit.range.end <= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(range: Range<usize>, with: &str) -> Edit {
        Edit {
            range,
            with: with.as_bytes().into(),
        }
    }

    #[test]
    fn edits_replace_insert_and_remove_whatever_the_room() {
        for room in 1..12 {
            let mut splicer = Splicer::default();
            for e in [
                edit(0..0, "<"),
                edit(1..3, "LONGER"),
                edit(4..5, ""),
                edit(8..8, ">"),
            ] {
                splicer.edit(e);
            }
            splicer.push(b"abcd");
            let mut out = Vec::new();
            while splicer.drain(&mut out, room) {}
            splicer.push(b"efgh");
            loop {
                let before = out.len();
                let more = splicer.drain(&mut out, room);
                assert!(out.len() - before <= room);
                if !more {
                    break;
                }
            }
            assert_eq!(
                String::from_utf8_lossy(&out),
                "<aLONGERdfgh>",
                "room {room}"
            );
        }
    }

    #[test]
    fn held_bytes_stay_until_released() {
        let mut splicer = Splicer::default();
        splicer.push(b"abcdef");
        splicer.hold(Some(2));
        let mut out = Vec::new();
        assert!(!splicer.drain(&mut out, 100));
        assert_eq!(out, b"ab");
        assert_eq!(splicer.waiting_from(3), b"def");
        splicer.hold(None);
        splicer.edit(edit(2..4, "-"));
        assert!(!splicer.drain(&mut out, 100));
        assert_eq!(out, b"ab-ef");
    }
}
