//! The sections of a module or component, walked without parsing what is in them.

/// Bytes of a file before its first section.
const HEADER: usize = 8;

/// One section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Section<'a> {
    /// 0 = custom; in a component 1 is a module and 4 a component.
    pub(super) id: u8,
    pub(super) body: &'a [u8],
}

impl<'a> Section<'a> {
    /// Name and content of a custom section.
    pub(super) fn custom(self) -> Option<(&'a [u8], &'a [u8])> {
        let (length, rest) = leb(self.body).filter(|_| self.id == 0)?;
        rest.split_at_checked(length)
    }
}

/// Every section that is whole, in order.
pub(super) fn sections(wasm: &[u8]) -> Sections<'_> {
    Sections {
        rest: wasm.get(HEADER..).unwrap_or_default(),
    }
}

/// See [`sections`].
#[derive(Debug)]
pub(super) struct Sections<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        let (id, after) = self.rest.split_first()?;
        let (size, body) = leb(after)?;
        let (body, next) = body.split_at_checked(size)?;
        self.rest = next;
        Some(Section { id: *id, body })
    }
}

/// How many bytes at least are missing from a file that ends within its header or a section.
///
/// One that was cut between two sections looks whole to whoever does not parse them.
pub(super) fn missing(wasm: &[u8]) -> Option<usize> {
    if wasm.len() < HEADER {
        return Some(HEADER - wasm.len());
    }
    let mut sections = sections(wasm);
    sections.by_ref().for_each(drop);
    let (_, after) = sections.rest.split_first()?;
    match leb(after) {
        Some((size, body)) => size.checked_sub(body.len()),
        // Of a size's five bytes the last one ends it; more are no size, whatever follows.
        None => (after.len() < 5).then_some(1),
    }
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_walked_up_to_the_first_that_is_not_whole() {
        let wasm = b"\0asm\x01\0\0\0\x00\x05\x04name\x01\xff\xff\xff\xff\x0f";
        // The second claims four gibibytes.
        let found: Vec<_> = sections(wasm).map(|s| (s.id, s.body)).collect();
        assert_eq!(found, [(0, &b"\x04name"[..])]);
        let wasm = b"\0asm\x01\0\0\0\x00\x06\x04namex\x01\x01a";
        let custom: Vec<_> = sections(wasm).map(Section::custom).collect();
        assert_eq!(custom, [Some((&b"name"[..], &b"x"[..])), None]);
        assert_eq!(sections(b"\0as").count(), 0);
    }

    #[test]
    fn a_file_that_ends_within_a_section_lacks_something() {
        let whole = b"\0asm\x01\0\0\0\x00\x06\x04namex\x01\x01a";
        let lacking: Vec<_> = (0..=whole.len()).map(|at| missing(&whole[..at])).collect();
        let header = [8, 7, 6, 5, 4, 3, 2, 1].map(Some);
        let first = [
            None,
            Some(1),
            Some(6),
            Some(5),
            Some(4),
            Some(3),
            Some(2),
            Some(1),
        ];
        let second = [None, Some(1), Some(1), None];
        assert_eq!(lacking, [&header[..], &first, &second].concat());
        let no_size = b"\0asm\x01\0\0\0\x00\xff\xff\xff\xff\xff\xff";
        assert_eq!(missing(no_size), None, "broken, not cut");
    }
}
