//! Comparing field names without looking at all of their bytes.

/// Length, first, middle and last letter of a name, without case: what differs here is another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u32);

impl Tag {
    /// Of this name.
    pub(super) const fn of(name: &[u8]) -> Self {
        let length = name.len();
        if length == 0 {
            return Self(0);
        }
        // A set bit makes letters lower case. What it does to other bytes it does to both sides of a comparison.
        let letters = [
            name[0] | 0x20,
            name[length / 2] | 0x20,
            name[length - 1] | 0x20,
        ];
        Self(u32::from_le_bytes([
            length as u8,
            letters[0],
            letters[1],
            letters[2],
        ]))
    }

    /// One of 64 bits, well spread.
    pub(super) const fn mask(self) -> u64 {
        1 << (self.bit() >> 2)
    }

    /// One of 256, well spread.
    const fn bit(self) -> u8 {
        (self.0.wrapping_mul(0x9e37_79b1) >> 24) as u8
    }
}

/// One of 64 bits, the same for a name in any case: names with different bits differ.
pub fn name_bit(name: &str) -> u64 {
    Tag::of(name.as_bytes()).mask()
}

/// Names that something is done about. Whether another one is among them is mostly told by one bit.
#[derive(Debug)]
pub struct NameSet {
    names: &'static [&'static str],
    bits: [u64; 4],
}

impl NameSet {
    /// Of these names, in any case.
    pub const fn new(names: &'static [&'static str]) -> Self {
        let mut bits = [0; 4];
        let mut at = 0;
        while at < names.len() {
            let bit = Tag::of(names[at].as_bytes()).bit();
            bits[bit as usize / 64] |= 1 << (bit % 64);
            at += 1;
        }
        Self { names, bits }
    }

    /// Whether `name` is one of them, compared without case.
    pub fn contains(&self, name: &str) -> bool {
        self.has(Tag::of(name.as_bytes()), name)
    }

    /// Likewise, of a name with this tag.
    pub(super) fn has(&self, tag: Tag, name: &str) -> bool {
        let bit = tag.bit();
        self.bits[usize::from(bit / 64)] >> (bit % 64) & 1 == 1
            && self
                .names
                .iter()
                .any(|other| name.eq_ignore_ascii_case(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SET: NameSet = NameSet::new(&["connection", "te", "x-forwarded-for", "x"]);

    #[test]
    fn a_set_holds_its_names_in_any_case_and_no_others() {
        for (name, held) in [
            ("connection", true),
            ("CONNECTION", true),
            ("Te", true),
            ("X-Forwarded-For", true),
            ("X", true),
            ("", false),
            ("connectiom", false),
            ("connectioN ", false),
            // Its first, middle and last letters are those of `te`, without a look at case bits.
            ("T\u{45}", true),
            ("T\u{25}", false),
            ("x_forwarded_for", false),
        ] {
            assert_eq!(SET.contains(name), held, "{name}");
        }
    }

    #[test]
    fn tags_ignore_case() {
        assert_eq!(Tag::of(b"Set-Cookie"), Tag::of(b"sET-cOOKIE"));
        assert_ne!(Tag::of(b"Set-Cookie"), Tag::of(b"Set-Cookies"));
        assert_ne!(Tag::of(b""), Tag::of(b"a"));
    }
}
