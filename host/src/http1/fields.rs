//! Header fields in one arena.
//!
//! A head's field lines live in one byte buffer, in order, with their case as
//! sent; a line is four numbers. Adding a field appends to the buffer, so a
//! request costs no allocation a field, and a connection reuses both vectors.

use std::ops::Range;

use super::names::Tag;

/// Field lines in the order they were sent or added. Names compare without case.
#[derive(Debug, Default)]
pub struct Fields {
    arena: Vec<u8>,
    lines: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    name: (u32, u32),
    value: (u32, u32),
    /// Of the name, so that most other names need no look at the bytes.
    tag: Tag,
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
}

/// With room for what a proxy adds, since that is what copies are made for.
impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut arena = Vec::with_capacity(self.arena.len() + ROOM_BYTES);
        arena.extend_from_slice(&self.arena);
        let mut lines = Vec::with_capacity((self.lines.len() + 8).max(ROOM_LINES));
        lines.extend_from_slice(&self.lines);
        Self { arena, lines }
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
        let tag = Tag::of(name.as_bytes());
        self.lines
            .iter()
            .filter(move |slot| slot.tag == tag && self.is_named(slot, name))
            .map(|slot| self.bytes(slot.value))
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

    /// The value of `name` where there is exactly one line of it, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Whether any line has `name`.
    pub fn contains(&self, name: &str) -> bool {
        let tag = Tag::of(name.as_bytes());
        self.lines
            .iter()
            .any(|slot| slot.tag == tag && self.is_named(slot, name))
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
        let tag = Tag::of(name.as_bytes());
        let name = self.keep(name.as_bytes());
        let value = self.keep(value);
        self.lines.push(Slot { name, value, tag });
    }

    /// Adds a line made by `write` at the end.
    pub fn push_with(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let tag = Tag::of(name.as_bytes());
        let name = self.keep(name.as_bytes());
        let start = self.arena.len();
        write(&mut self.arena);
        self.lines.push(Slot {
            name,
            value: (start as u32, self.arena.len() as u32),
            tag,
        });
    }

    /// Leaves exactly one line of `name`: the first keeps its place, or it is added.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        match self.lines.iter().position(|slot| self.is_named(slot, name)) {
            None => self.push(name, value),
            Some(first) => {
                self.lines[first].value = self.keep(value);
                let kept = self.lines[first].value;
                self.retain_slots(|fields, slot| {
                    slot.value == kept || !fields.is_named(slot, name)
                });
            }
        }
    }

    /// Removes every line of `name`.
    pub fn remove(&mut self, name: &str) {
        self.retain_slots(|fields, slot| !fields.is_named(slot, name));
    }

    /// Keeps the lines for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(Line<'_>) -> bool) {
        self.retain_slots(|fields, slot| keep(fields.line(slot)));
    }

    /// Where the line of `name` with so many of them before it stands, for [`Fields::replace_at`] and
    /// [`Fields::remove_at`].
    pub fn position(&self, name: &str, nth: usize) -> Option<usize> {
        let tag = Tag::of(name.as_bytes());
        let is_named = |slot: &Slot| slot.tag == tag && self.is_named(slot, name);
        let mut lines = self.lines.iter().enumerate();
        lines
            .by_ref()
            .filter(|(_, slot)| is_named(slot))
            .nth(nth)
            .map(|(at, _)| at)
    }

    /// Gives the line at `position` another value.
    pub fn replace_at(&mut self, position: usize, value: &[u8]) {
        self.lines[position].value = self.keep(value);
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

    /// Takes over one parsed line, by the ranges of its bytes in the head. The name is a token.
    pub(super) fn adopt(&mut self, name: Range<usize>, value: Range<usize>) {
        let at = |range: Range<usize>| (range.start as u32, range.end as u32);
        let tag = Tag::of(&self.arena[name.clone()]);
        debug_assert!(is_token(&self.arena[name.clone()]));
        self.lines.push(Slot {
            name: at(name),
            value: at(value),
            tag,
        });
    }

    fn keep(&mut self, bytes: &[u8]) -> (u32, u32) {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        (start, self.arena.len() as u32)
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
        }
    }

    fn is_named(&self, slot: &Slot, name: &str) -> bool {
        (slot.name.1 - slot.name.0) as usize == name.len()
            && self.bytes(slot.name).eq_ignore_ascii_case(name.as_bytes())
    }

    fn retain_slots(&mut self, mut keep: impl FnMut(&Fields, &Slot) -> bool) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.retain(|slot| keep(self, slot));
        self.lines = lines;
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
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new();
        lines
            .iter()
            .for_each(|(name, value)| fields.push(name, value.as_bytes()));
        fields
    }

    fn dump(fields: &Fields) -> String {
        fields
            .iter()
            .map(|l| format!("{}={};", l.name, String::from_utf8_lossy(l.value)))
            .collect()
    }

    #[test]
    fn names_compare_without_case_and_keep_their_own() {
        let fields = fields(&[("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "c")]);
        assert_eq!(fields.all("SET-COOKIE").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(dump(&fields), "Set-Cookie=a;set-cookie=b;X=c;");
    }

    #[test]
    fn set_leaves_one_line_in_the_first_ones_place() {
        let mut fields = fields(&[("A", "1"), ("B", "2"), ("a", "3")]);
        fields.set("a", b"9");
        assert_eq!(dump(&fields), "A=9;B=2;");
        fields.set("c", b"4");
        assert_eq!(dump(&fields), "A=9;B=2;c=4;");
        fields.remove("A");
        assert_eq!(dump(&fields), "B=2;c=4;");
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
        assert_eq!(dump(&fields), "x=2;s=three;");
    }

    #[test]
    fn tokens_are_split_trimmed_and_compared_without_case() {
        let fields = fields(&[("Connection", "close , X-A"), ("connection", ",Upgrade")]);
        assert!(fields.has_token("connection", "upgrade"));
        assert_eq!(fields.tokens("connection").count(), 3);
        assert!(!fields.has_token("connection", "x"));
    }
}
