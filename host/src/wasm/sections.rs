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
pub(super) fn sections(wasm: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let mut rest = wasm.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (id, after) = rest.split_first()?;
        let (size, body) = leb(after)?;
        let (body, next) = body.split_at_checked(size)?;
        rest = next;
        Some(Section { id: *id, body })
    })
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
}
