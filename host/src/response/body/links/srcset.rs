//! The URLs of `srcset` and of lists of URLs.

use std::ops::Range;

/// Image candidates of a `srcset` (HTML living standard, section 4.8.4.2.2): a URL runs to the
/// next white space, so it may hold commas; a descriptor runs to the next comma outside parentheses.
pub(super) fn candidates(value: &[u8]) -> Vec<Range<usize>> {
    let (mut urls, mut at) = (Vec::new(), 0);
    loop {
        at += value[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace() || **byte == b',')
            .count();
        let len = value[at..]
            .iter()
            .take_while(|byte| !byte.is_ascii_whitespace())
            .count();
        if len == 0 {
            return urls;
        }
        let commas = value[at..at + len]
            .iter()
            .rev()
            .take_while(|byte| **byte == b',')
            .count();
        urls.push(at..at + len - commas);
        at += len;
        if commas == 0 {
            at += descriptors(&value[at..]);
        }
    }
}

/// Bytes up to the comma that ends a candidate.
fn descriptors(value: &[u8]) -> usize {
    let mut inside = false;
    let end = value.iter().position(|byte| {
        match byte {
            b'(' => inside = true,
            b')' => inside = false,
            _ => {}
        }
        *byte == b',' && !inside
    });
    end.unwrap_or(value.len())
}

/// The words between white space and `separator`.
pub(super) fn words(value: &[u8], separator: Option<u8>) -> Vec<Range<usize>> {
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || Some(*byte) == separator;
    let (mut words, mut at) = (Vec::new(), 0);
    loop {
        at += value[at..].iter().take_while(|byte| is_gap(byte)).count();
        let len = value[at..].iter().take_while(|byte| !is_gap(byte)).count();
        if len == 0 {
            return words;
        }
        words.push(at..at + len);
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: &str, ranges: Vec<Range<usize>>) -> Vec<&str> {
        ranges.into_iter().map(|range| &value[range]).collect()
    }

    #[test]
    fn candidates_are_split_as_browsers_do() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            (" , ,", &[]),
            ("/a", &["/a"]),
            ("/a 1x, /b 2x", &["/a", "/b"]),
            ("/a 1x,/b 2x", &["/a", "/b"]),
            ("/a, /b", &["/a", "/b"]),
            ("/a,/b", &["/a,/b"]),
            ("/a,,, /b", &["/a", "/b"]),
            (
                "data:image/png;base64,AA== 1x, /b 100w",
                &["data:image/png;base64,AA==", "/b"],
            ),
            ("/a calc(1,2) 3x, /b", &["/a", "/b"]),
            ("\n /a\t1x ,\n/b\n", &["/a", "/b"]),
        ];
        for (value, expected) in table {
            assert_eq!(
                texts(value, candidates(value.as_bytes())),
                *expected,
                "{value:?}"
            );
        }
    }

    #[test]
    fn words_are_split_at_space_and_separator() {
        assert_eq!(texts(" a  b,c ", words(b" a  b,c ", None)), ["a", "b,c"]);
        assert_eq!(
            texts("a, b,,c", words(b"a, b,,c", Some(b','))),
            ["a", "b", "c"]
        );
    }
}
