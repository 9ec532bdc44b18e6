//! Attribute values as the browser reads them, with the way back to their bytes.

use std::borrow::Cow;
use std::ops::Range;

/// A value with character references undone. Only references to ASCII are: nothing
/// else can be part of what the scanners look for.
#[derive(Debug)]
pub(super) struct Text<'a> {
    /// What scanners look at.
    pub(super) bytes: Cow<'a, [u8]>,
    /// For every byte of `bytes`, and for its end, where it starts in the document's bytes; `None`
    /// when both are the same.
    starts: Option<Vec<usize>>,
}

impl<'a> Text<'a> {
    /// From the value's bytes in the document.
    pub(super) fn from_attribute(raw: &'a [u8]) -> Self {
        if !raw.contains(&b'&') {
            return Self {
                bytes: Cow::Borrowed(raw),
                starts: None,
            };
        }
        let (mut bytes, mut starts, mut at) = (
            Vec::with_capacity(raw.len()),
            Vec::with_capacity(raw.len() + 1),
            0,
        );
        while let Some(&byte) = raw.get(at) {
            starts.push(at);
            let (byte, len) = if byte == b'&' {
                reference(&raw[at..]).unwrap_or((byte, 1))
            } else {
                (byte, 1)
            };
            bytes.push(byte);
            at += len;
        }
        starts.push(at);
        Self {
            bytes: Cow::Owned(bytes),
            starts: Some(starts),
        }
    }

    /// Where a range of `bytes` stands in the document's bytes.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        match &self.starts {
            None => range,
            Some(starts) => {
                let at = |index: usize| {
                    starts
                        .get(index)
                        .or(starts.last())
                        .copied()
                        .unwrap_or_default()
                };
                at(range.start)..at(range.end)
            }
        }
    }
}

/// The ASCII character that a reference at the start of `raw` stands for, and the reference's length.
fn reference(raw: &[u8]) -> Option<(u8, usize)> {
    let body = raw.strip_prefix(b"&")?;
    if let Some(number) = body.strip_prefix(b"#") {
        let (digits, radix, skip) = match number.first() {
            Some(b'x' | b'X') => (&number[1..], 16, 3),
            _ => (number, 10, 2),
        };
        let len = digits
            .iter()
            .take_while(|digit| char::from(**digit).is_digit(radix))
            .count();
        let value = std::str::from_utf8(&digits[..len]).ok()?;
        let byte = u8::try_from(u32::from_str_radix(value, radix).ok()?)
            .ok()
            .filter(u8::is_ascii)?;
        let semicolon = usize::from(digits.get(len) == Some(&b';'));
        return (byte != 0).then_some((byte, skip + len + semicolon));
    }
    let len = body
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    let closed = body.get(len) == Some(&b';');
    let name = &body[..len];
    let is_it = |(known, _): &&(&str, u8)| known.as_bytes() == name;
    if closed && let Some((_, byte)) = OLD.iter().chain(NAMED).find(is_it) {
        return Some((*byte, len + 2));
    }
    // Without a semicolon only these old names count, and in attributes not before `=` or a letter or digit.
    let old = OLD.iter().find(is_it)?;
    (body.get(len) != Some(&b'=')).then_some((old.1, len + 1))
}

/// Names that count without a semicolon too.
const OLD: &[(&str, u8)] = &[
    ("amp", b'&'),
    ("AMP", b'&'),
    ("lt", b'<'),
    ("LT", b'<'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("quot", b'"'),
    ("QUOT", b'"'),
];

/// The other named references to ASCII characters (HTML living standard, section 13.5).
const NAMED: &[(&str, u8)] = &[
    ("apos", b'\''),
    ("Tab", b'\t'),
    ("NewLine", b'\n'),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("equals", b'='),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("lowbar", b'_'),
    ("UnderBar", b'_'),
    ("grave", b'`'),
    ("DiacriticalGrave", b'`'),
    ("lcub", b'{'),
    ("lbrace", b'{'),
    ("verbar", b'|'),
    ("vert", b'|'),
    ("VerticalLine", b'|'),
    ("rcub", b'}'),
    ("rbrace", b'}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_references_are_undone_and_others_stay() {
        let table: &[(&str, &str)] = &[
            ("/a", "/a"),
            ("a&amp;b", "a&b"),
            ("&#47;a&#x2f;b&#X2F;c", "/a/b/c"),
            ("&#47a", "/a"),
            ("&sol;a&colon;b", "/a:b"),
            ("?x&amp=1", "?x&amp=1"),
            ("?x&ampy=1", "?x&ampy=1"),
            ("?x&amp-1", "?x&-1"),
            ("?x&copy=1&y", "?x&copy=1&y"),
            ("&eacute;", "&eacute;"),
            ("&#233;", "&#233;"),
            ("&#0;&#;&#x;&;", "&#0;&#;&#x;&;"),
            ("&#99999999999999999999;", "&#99999999999999999999;"),
            ("&", "&"),
        ];
        for (raw, expected) in table {
            let text = Text::from_attribute(raw.as_bytes());
            assert_eq!(String::from_utf8_lossy(&text.bytes), *expected, "{raw}");
        }
    }

    #[test]
    fn ranges_lead_back_to_the_document() {
        let text = Text::from_attribute(b"x&#47;a&amp;b");
        assert_eq!(text.bytes.as_ref(), b"x/a&b");
        assert_eq!(text.source(1..3), 1..7);
        assert_eq!(text.source(3..5), 7..13);
        assert_eq!(text.source(0..0), 0..0);
    }
}
