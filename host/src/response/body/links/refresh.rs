//! The URL of `<meta http-equiv=refresh content="5; url=…">`.

use std::ops::Range;

/// Where the URL stands (HTML living standard, "shared declarative refresh steps").
pub(super) fn url(content: &[u8]) -> Option<Range<usize>> {
    let skip = |at: usize, is: &dyn Fn(&u8) -> bool| {
        at + content
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| is(byte))
            .count()
    };
    let space = |byte: &u8| byte.is_ascii_whitespace();
    let start = skip(0, &space);
    let time = skip(start, &|byte| byte.is_ascii_digit() || *byte == b'.');
    if time == start {
        return None;
    }
    let mut at = skip(time, &space);
    match content.get(at) {
        Some(b';' | b',') => at = skip(at + 1, &space),
        Some(_) if at > time => {}
        _ => return None,
    }
    let named = content
        .get(at..at + 3)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"url"));
    if named {
        let equals = skip(at + 3, &space);
        if content.get(equals) == Some(&b'=') {
            at = skip(equals + 1, &space);
        }
    }
    let quote = content
        .get(at)
        .copied()
        .filter(|byte| matches!(byte, b'"' | b'\''));
    let end = match quote {
        Some(quote) => {
            at += 1;
            skip(at, &|byte| *byte != quote)
        }
        None => content.len(),
    };
    (at < end).then_some(at..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_found_in_every_spelling() {
        let table: &[(&str, Option<&str>)] = &[
            ("5; url=/a", Some("/a")),
            ("5;URL=/a", Some("/a")),
            ("5,url=/a", Some("/a")),
            ("5 url=/a", Some("/a")),
            (" 0 ; Url = '/a' x", Some("/a")),
            ("0;url=\"/a", Some("/a")),
            ("1.5; /a", Some("/a")),
            ("5; urls", Some("urls")),
            ("5", None),
            ("5;", None),
            ("5; url=", None),
            ("5; url=''", None),
            ("5x url=/a", None),
            ("url=/a", None),
            ("", None),
        ];
        for (content, expected) in table {
            assert_eq!(
                url(content.as_bytes()).map(|range| &content[range]),
                *expected,
                "{content:?}"
            );
        }
    }
}
