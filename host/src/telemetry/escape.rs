//! Values made harmless: no client can end a line, a quoted value or an escape of a terminal.

use std::borrow::Cow;

/// As httpd's `ap_escape_logitem`: quotes and backslashes get a backslash, everything that is not
/// printable ASCII becomes `\n`, `\t`, … or `\xhh`. Reversible.
pub(super) fn httpd(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x0b => out.extend_from_slice(b"\\v"),
            _ => out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]),
        }
    }
}

/// Text without control characters: no line may look like two, or talk to a terminal.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    let speaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(speaks) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match speaks(character) {
            true => out.extend(character.escape_default()),
            false => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// A JSON string with its quotes (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD.
pub(super) fn json(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            json_character(out, character);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn json_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        // Also DEL and C1, and the two separators that some readers of JSON lines break at.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let code = character as u16;
            out.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                out.push(hex((code >> shift & 15) as u8));
            }
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 15)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(with: fn(&mut Vec<u8>, &[u8]), value: &[u8]) -> String {
        let mut out = Vec::new();
        with(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn controls_quotes_and_bytes_beyond_ascii_are_escaped_as_httpd_does() {
        for (value, expected) in [
            (&b"plain /path?a=b"[..], "plain /path?a=b"),
            (b"a\"b\\c", r#"a\"b\\c"#),
            (b"a\r\nGET", r"a\r\nGET"),
            (b"\x1b[31m\x00\x7f", r"\x1b[31m\x00\x7f"),
            ("ä".as_bytes(), r"\xc3\xa4"),
        ] {
            assert_eq!(escaped(httpd, value), expected);
        }
    }

    proptest! {
        #[test]
        fn httpd_escapes_leave_one_line_of_printable_ascii(value: Vec<u8>) {
            let out = escaped(httpd, &value);
            prop_assert!(out.bytes().all(|b| (b' '..=b'~').contains(&b)));
            // A quote never stands alone: it would end the quoted value it is in.
            prop_assert!(!out.replace(r"\\", "").replace(r#"\""#, "").contains('"'));
        }

        #[test]
        fn json_escapes_read_back_and_hold_no_line_break(value: Vec<u8>) {
            let out = escaped(json, &value);
            prop_assert!(!out.contains(char::is_control));
            let back: String = serde_json::from_str(&out).unwrap();
            let chunks = value.utf8_chunks();
            let expected: String = chunks
                .map(|c| format!("{}{}", c.valid(), if c.invalid().is_empty() { "" } else { "\u{fffd}" }))
                .collect();
            prop_assert_eq!(back, expected);
        }
    }
}
