//! Header fields in one arena.
//!
//! A head's field lines live in one byte buffer, in order, with their case as
//! sent; a line is four numbers. Adding a field appends to the buffer, so a
//! request costs no allocation a field. Nearly every line stands there as it is
//! to be sent on, so that lines in a row are written in one piece.

use std::ops::Range;

use super::names::{NameSet, Tag};

/// Field lines in the order they were sent or added. Names compare without case.
#[derive(Debug, Default)]
pub struct Fields {
    arena: Vec<u8>,
    lines: Vec<Slot>,
    /// A bit for each name there is or was: most that are asked for are not there.
    seen: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    name: (u32, u32),
    value: (u32, u32),
    /// Of the name, so that most other names need no look at the bytes.
    tag: Tag,
    /// `: ` stands between name and value in the buffer, CR LF after the value.
    plain: bool,
}

/// Lines that a head is given room for: most have fewer, with what a proxy adds.
const ROOM_LINES: usize = 24;
/// And bytes, beside those it came with.
const ROOM_BYTES: usize = 256;

/// One field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// As sent.
    pub name: &'a str,
    /// Without blanks around it.
    pub value: &'a [u8],
    tag: Tag,
}

impl Line<'_> {
    /// Whether its name is one of these.
    pub fn is_in(&self, names: &NameSet) -> bool {
        names.has(self.tag, self.name)
    }
}

/// With room for what a proxy adds, since that is what copies are made for.
impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut arena = Vec::with_capacity(self.arena.len() + ROOM_BYTES);
        arena.extend_from_slice(&self.arena);
        let mut lines = Vec::with_capacity((self.lines.len() + 8).max(ROOM_LINES));
        lines.extend_from_slice(&self.lines);
        let seen = self.seen;
        Self { arena, lines, seen }
    }
}

impl Fields {
    /// None, without allocating.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A bit ([`name_bit`](super::name_bit)) for each name there is or was: what lacks its bit is not there.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// About how many bytes they take on the wire; never fewer.
    pub fn wire_size(&self) -> usize {
        self.arena.len() + self.lines.len() * b": \r\n".len()
    }

    /// All lines in order.
    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        self.lines.iter().map(|slot| self.line(slot))
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.named(name).map(|(_, slot)| self.bytes(slot.value))
    }

    /// The lines of `name`, with their positions.
    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = (usize, &'a Slot)> {
        let tag = Tag::of(name.as_bytes());
        let lines = match self.seen & tag.mask() {
            0 => &[],
            _ => &self.lines[..],
        };
        let mut slots = lines.iter().enumerate();
        std::iter::from_fn(move || {
            slots.find(|(_, slot)| slot.tag == tag && self.is_named(slot, name))
        })
    }

    /// Every value of `name` as one list (RFC 9110 5.3); `None` where there is none.
    pub fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let mut values = self.all(name);
        let mut list = values.next()?.to_vec();
        for value in values {
            list.extend_from_slice(b", ");
            list.extend_from_slice(value);
        }
        Some(list)
    }

    /// The first value of `name`, where it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Whether any line has `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Whether a list-valued field has `token`, compared without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name)
            .any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The comma-separated elements of every line of `name`, trimmed, empty ones left out.
    pub fn tokens<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .map(|token| token.trim_ascii())
            .filter(|token| !token.is_empty())
    }

    /// Adds a line at the end. The caller has checked name and value.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.push_with(name, |arena| arena.extend_from_slice(value));
    }

    /// Adds a line made by `write` at the end.
    pub fn push_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let tag = Tag::of(name.as_bytes());
        let start = self.arena.len();
        self.arena.extend_from_slice(name.as_bytes());
        let slot = self.finish((start, self.arena.len()), tag, write);
        self.lines.push(slot);
    }

    /// Leaves exactly one line of `name`: the first keeps its place, or it is added.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let mut found = self.named(name).map(|(at, _)| at);
        let Some(first) = found.next() else {
            drop(found);
            return self.push(name, value);
        };
        let others: Vec<usize> = found.collect();
        self.replace_at(first, value);
        self.remove_at(&others);
    }

    /// Removes every line of `name`.
    pub fn remove(&mut self, name: &str) {
        let found: Vec<usize> = self.named(name).map(|(at, _)| at).collect();
        self.remove_at(&found);
    }

    /// Keeps the lines for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Line<'_>) -> bool) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|slot| keep(self.line(slot)));
        self.lines = lines;
    }

    /// Where the line of `name` with so many of them before it stands, for [`Fields::replace_at`] and
    /// [`Fields::remove_at`].
    pub fn position(&self, name: &str, nth: usize) -> Option<usize> {
        self.named(name).nth(nth).map(|(at, _)| at)
    }

    /// Gives the line at `position` another value.
    pub fn replace_at(&mut self, position: usize, value: &[u8]) {
        let Slot { name, tag, .. } = self.lines[position];
        let start = self.arena.len();
        self.arena
            .extend_from_within(name.0 as usize..name.1 as usize);
        let name = (start, self.arena.len());
        self.lines[position] = self.finish(name, tag, |arena| arena.extend_from_slice(value));
    }

    /// Removes the lines at these positions.
    pub fn remove_at(&mut self, positions: &[usize]) {
        if positions.is_empty() {
            return;
        }
        let mut at = 0;
        self.lines.retain(|_| {
            at += 1;
            !positions.contains(&(at - 1))
        });
    }

    /// Takes over the bytes of a whole head, before its lines and before anything else.
    pub(super) fn adopt_head(&mut self, head: &[u8]) {
        debug_assert!(
            self.arena.is_empty(),
            "ranges count from the head's first byte"
        );
        self.arena.reserve(head.len() + ROOM_BYTES);
        self.lines.reserve(ROOM_LINES);
        self.arena.extend_from_slice(head);
    }

    /// Takes over one parsed line, by the ranges of its bytes in the head. The name is a token, and the line
    /// ends with CR LF.
    pub(super) fn adopt(&mut self, name: Range<usize>, value: Range<usize>) {
        let at = |range: Range<usize>| (range.start as u32, range.end as u32);
        let tag = Tag::of(&self.arena[name.clone()]);
        debug_assert!(is_token(&self.arena[name.clone()]));
        let plain = self.arena[name.end..value.start] == *b": "
            && self.arena[value.end..].starts_with(b"\r\n");
        self.seen |= tag.mask();
        self.lines.push(Slot {
            name: at(name),
            value: at(value),
            tag,
            plain,
        });
    }

    /// The rest of a line whose name is the last of the buffer.
    fn finish(&mut self, name: (usize, usize), tag: Tag, write: impl FnOnce(&mut Vec<u8>)) -> Slot {
        self.arena.extend_from_slice(b": ");
        let start = self.arena.len();
        write(&mut self.arena);
        let value = (start as u32, self.arena.len() as u32);
        self.arena.extend_from_slice(b"\r\n");
        self.seen |= tag.mask();
        Slot {
            name: (name.0 as u32, name.1 as u32),
            value,
            tag,
            plain: true,
        }
    }

    /// Appends all lines as they are sent.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Lines that follow one another in the buffer too.
        let mut run = 0..0;
        for slot in &self.lines {
            let (start, end) = (slot.name.0 as usize, slot.value.1 as usize + 2);
            if slot.plain && start == run.end {
                run.end = end;
                continue;
            }
            out.extend_from_slice(&self.arena[run]);
            run = match slot.plain {
                true => start..end,
                false => {
                    out.extend_from_slice(self.bytes(slot.name));
                    out.extend_from_slice(b": ");
                    out.extend_from_slice(self.bytes(slot.value));
                    out.extend_from_slice(b"\r\n");
                    0..0
                }
            };
        }
        out.extend_from_slice(&self.arena[run]);
    }

    fn bytes(&self, at: (u32, u32)) -> &[u8] {
        &self.arena[at.0 as usize..at.1 as usize]
    }

    fn line(&self, slot: &Slot) -> Line<'_> {
        // SAFETY: the bytes of a name came from a `str`, or are a token, which is ASCII (`adopt`'s one
        // caller has seen to it); an arena only ever grows at its end.
        let name = unsafe { std::str::from_utf8_unchecked(self.bytes(slot.name)) };
        Line {
            name,
            value: self.bytes(slot.value),
            tag: slot.tag,
        }
    }

    fn is_named(&self, slot: &Slot, name: &str) -> bool {
        (slot.name.1 - slot.name.0) as usize == name.len()
            && self.bytes(slot.name).eq_ignore_ascii_case(name.as_bytes())
    }
}

/// RFC 9110 5.6.2.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| TOKEN[byte as usize])
}

/// Whether `value` may stand in a field: no controls but tab (RFC 9110 5.5). Looks at every byte, whatever
/// it finds: without a way out the loop takes many bytes at once.
pub fn is_legal_value(value: &[u8]) -> bool {
    let is_legal = |byte: u8| (byte == b'\t') | ((byte >= 0x20) & (byte != 0x7f));
    value.iter().fold(true, |all, &byte| all & is_legal(byte))
}

/// So many of the first bytes are a token.
pub(super) fn token_length(bytes: &[u8]) -> usize {
    let rest = bytes.iter().position(|&byte| !TOKEN[byte as usize]);
    rest.unwrap_or(bytes.len())
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(lines: T) -> Self {
        let mut fields = Self::new();
        lines
            .into_iter()
            .for_each(|(name, value)| fields.push(name, value.as_bytes()));
        fields
    }
}

#[cfg(test)]
impl Fields {
    /// All lines in their order: `NAME=VALUE;`.
    pub fn told(&self) -> String {
        let line =
            |line: Line<'_>| format!("{}={};", line.name, String::from_utf8_lossy(line.value));
        self.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        lines.iter().copied().collect()
    }

    #[test]
    fn names_compare_without_case_and_keep_their_own() {
        let fields = fields(&[("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "c")]);
        assert_eq!(fields.all("SET-COOKIE").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(fields.told(), "Set-Cookie=a;set-cookie=b;X=c;");
    }

    #[test]
    fn set_leaves_one_line_in_the_first_ones_place() {
        let mut fields = fields(&[("A", "1"), ("B", "2"), ("a", "3")]);
        fields.set("a", b"9");
        assert_eq!(fields.told(), "A=9;B=2;");
        fields.set("c", b"4");
        assert_eq!(fields.told(), "A=9;B=2;c=4;");
        fields.remove("A");
        assert_eq!(fields.told(), "B=2;c=4;");
    }

    #[test]
    fn lines_are_replaced_and_removed_by_position() {
        let mut fields = fields(&[("s", "1"), ("x", "2"), ("s", "3"), ("s", "4")]);
        let at = [0, 1, 2].map(|nth| fields.position("s", nth).unwrap());
        assert_eq!(at, [0, 2, 3]);
        assert_eq!(
            (fields.position("s", 3), fields.position("t", 0)),
            (None, None)
        );
        fields.replace_at(at[1], b"three");
        fields.remove_at(&[at[0], at[2]]);
        assert_eq!(fields.told(), "x=2;s=three;");
    }

    /// Whatever was done to them before.
    #[test]
    fn lines_are_written_in_order_and_in_one_plain_form() {
        let mut fields = Fields::new();
        let head = b"A: 1\r\nB:\t2 \r\nC: 3\r\nD:\r\nE: 5\r\nF: \r\n";
        fields.adopt_head(head);
        for (name, value) in [
            (0, 3..4),
            (6, 9..10),
            (13, 16..17),
            (19, 21..21),
            (23, 26..27),
            (29, 32..32),
        ] {
            fields.adopt(name..name + 1, value);
        }
        let written = |fields: &Fields| {
            let mut out = b"x".to_vec();
            fields.write(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            written(&fields),
            "xA: 1\r\nB: 2\r\nC: 3\r\nD: \r\nE: 5\r\nF: \r\n"
        );
        fields.remove_at(&[5]);
        fields.push("g", b"7");
        fields.set("c", b"three");
        fields.remove("a");
        assert_eq!(
            written(&fields),
            "xB: 2\r\nC: three\r\nD: \r\nE: 5\r\ng: 7\r\n"
        );
        assert_eq!(written(&fields.clone()), written(&fields));
        assert_eq!(written(&Fields::new()), "x");
    }

    #[test]
    fn tokens_are_split_trimmed_and_compared_without_case() {
        let fields = fields(&[("Connection", "close , X-A"), ("connection", ",Upgrade")]);
        assert!(fields.has_token("connection", "upgrade"));
        assert_eq!(fields.tokens("connection").count(), 3);
        assert!(!fields.has_token("connection", "x"));
    }
}
