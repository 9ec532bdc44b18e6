//! Percent-decoding, once and until nothing is left to decode.

use super::TargetError;

/// Decodes every escape; one that is broken is an error.
pub(super) fn once(bytes: &[u8]) -> Result<Vec<u8>, TargetError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let (byte, tail) = escape(tail).ok_or(TargetError::BrokenEscape)?;
            out.push(byte);
            rest = tail;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    Ok(out)
}

/// The byte that two hexadecimal digits at the front of `digits` name, and what follows.
pub(super) fn escape(digits: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = digits else {
        return None;
    };
    let byte = hex(*high)? << 4 | hex(*low)?;
    Some((byte, rest))
}

/// Decodes until no escape is left, as a chain of servers that each decode once would.
/// What is no escape stays. Linear: each decoded escape shortens the output by two.
///
/// ```text
/// %25252e | out: %  %2  %25 -> %   %2  %25 -> %   %2  %2e -> .
/// ```
pub(super) fn fully(bytes: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        out.push(byte);
        while let [.., b'%', high, low] = out[..]
            && let Some(decoded) = hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low)
        {
            out.truncate(out.len() - 3);
            out.push(decoded);
        }
    }
    out
}

/// Whether `bytes` hold an ASCII character in more bytes than it needs: what a careless
/// decoder takes for `.` or `/`.
pub(super) fn has_overlong(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    bytes.iter().any(|byte| matches!(byte, 0xc0 | 0xc1))
        || pairs.into_iter().any(|(&lead, &next)| match lead {
            0xe0 => (0x80..0xa0).contains(&next),
            0xf0 => (0x80..0x90).contains(&next),
            _ => false,
        })
}

/// Appends `%XX` in upper case.
pub(super) fn push_escaped(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// RFC 3986 section 2.3.
pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3, without the percent sign.
pub(super) fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_decoding_refuses_broken_escapes() {
        assert_eq!(once(b"a%2Fb%252e").unwrap(), b"a/b%2e");
        for broken in [&b"%"[..], b"%2", b"%zz", b"%u0061", b"a%2g", b"%%41"] {
            assert_eq!(once(broken), Err(TargetError::BrokenEscape));
        }
    }

    #[test]
    fn full_decoding_ends_where_repeated_decoding_ends() {
        for (given, end) in [
            ("%252e%252E", ".."),
            ("%25252525252e", "."),
            ("%%341", "A"),
            ("%25%32%65", "."),
            ("100%", "100%"),
            ("%zz", "%zz"),
        ] {
            assert_eq!(fully(given.as_bytes()), end.as_bytes(), "{given}");
        }
    }

    #[test]
    fn overlong_forms_are_seen() {
        assert!(
            has_overlong(b"\xc0\xae")
                && has_overlong(b"\xe0\x80\xae")
                && has_overlong(b"\xf0\x80\x80\xae")
        );
        assert!(!has_overlong("ä€😀".as_bytes()));
    }
}
