//! Links in scripts: prefixes that stand where a URL may begin.
//!
//! A script's language is not parsed. A path prefix counts right behind a quote or
//! in a `url(`, so that neither a division nor a regular expression is taken for
//! one; an absolute URL counts wherever it does not continue a word.

use std::sync::Arc;

use aho_corasick::Input;

use super::super::splice::Edit;
use super::prefixes::{Links, Match};

/// Bytes in front of a prefix that decide whether it counts: `url(`.
const BEHIND: usize = 4;

/// A script's text, in pieces.
pub(super) struct Script {
    links: Arc<Links>,
    /// The undecided end of what was seen, and `BEHIND` bytes in front of it.
    text: Vec<u8>,
    /// Absolute offset of `text[0]`.
    base: usize,
    /// Bytes of `text` that are decided.
    decided: usize,
}

impl Script {
    pub(super) fn new(links: Arc<Links>) -> Self {
        Self {
            links,
            text: Vec::new(),
            base: 0,
            decided: 0,
        }
    }

    /// Looks at the bytes that start at the absolute offset `base` and follow those seen before.
    pub(super) fn scan(&mut self, bytes: &[u8], base: usize, emit: &mut dyn FnMut(Edit)) {
        if self.text.is_empty() {
            self.base = base;
        }
        self.text.extend_from_slice(bytes);
        // Every byte of the prefix may be written as two.
        let decidable = self.text.len().saturating_sub(2 * self.links.reach());
        self.search(decidable, emit);
        let gone = self.decided.saturating_sub(BEHIND);
        self.text.drain(..gone);
        self.base += gone;
        self.decided -= gone;
    }

    /// No more bytes of this script.
    pub(super) fn end(&mut self, emit: &mut dyn FnMut(Edit)) {
        self.search(self.text.len(), emit);
        self.text.clear();
        self.decided = 0;
    }

    /// The absolute offset from which bytes must be kept.
    pub(super) fn hold(&self) -> Option<usize> {
        (self.decided < self.text.len()).then_some(self.base + self.decided)
    }

    fn search(&mut self, decidable: usize, emit: &mut dyn FnMut(Edit)) {
        let Some(finder) = self.links.finder() else {
            return;
        };
        while self.decided < decidable {
            let found = finder.find(Input::new(&self.text).range(self.decided..));
            let Some(start) = found
                .map(|found| found.start())
                .filter(|start| *start < decidable)
            else {
                break;
            };
            match self.at(start) {
                Some((len, with)) => {
                    emit(Edit {
                        range: self.base + start..self.base + start + len,
                        with,
                    });
                    self.decided = start + len.max(1);
                }
                None => self.decided = start + 1,
            }
        }
        self.decided = self.decided.max(decidable);
    }

    /// The bytes to replace at a place where a prefix may begin.
    fn at(&self, start: usize) -> Option<(usize, Arc<[u8]>)> {
        let (before, rest) = self.text.split_at(start);
        if !may_begin(before, rest) {
            return None;
        }
        let (mut url, mut ends, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(&byte) = rest.get(at).filter(|_| url.len() < self.links.reach()) {
            let spelled = byte == b'\\' && rest.get(at + 1) == Some(&b'/');
            at += if spelled { 2 } else { 1 };
            url.push(if spelled { b'/' } else { byte });
            ends.push(at);
        }
        let Match { len, to } = self.links.find(&url, is_end)?;
        let len = len
            .checked_sub(1)
            .and_then(|last| ends.get(last))
            .copied()
            .unwrap_or_default();
        let json = rest[..len.max(2).min(rest.len())]
            .windows(2)
            .any(|pair| pair == b"\\/");
        Some((len, Arc::clone(if json { &to.json } else { &to.plain })))
    }
}

/// Whether a URL may begin between these two.
fn may_begin(before: &[u8], rest: &[u8]) -> bool {
    let last = before.last().copied();
    if matches!(rest.first(), Some(b'/' | b'\\')) {
        return matches!(last, Some(b'"' | b'\'' | b'`'))
            || before[before.len().saturating_sub(BEHIND)..].eq_ignore_ascii_case(b"url(");
    }
    !last.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// Whether a URL ends before this byte.
fn is_end(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\"'`)]},<>\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::super::prefixes::tests::links;
    use super::*;

    fn rewrite(script: &str, chunk: usize) -> String {
        let links = links(
            &[
                ("http://m:1/app", "/shop"),
                ("/app", "/shop"),
                ("//m:1/app", "/shop"),
                ("/d/", "/e"),
            ],
            true,
        );
        let mut scanner = Script::new(links);
        let mut edits = Vec::new();
        for (index, bytes) in script.as_bytes().chunks(chunk).enumerate() {
            scanner.scan(bytes, 100 + index * chunk, &mut |edit| edits.push(edit));
        }
        scanner.end(&mut |edit| edits.push(edit));
        let mut out = script.as_bytes().to_vec();
        for edit in edits.into_iter().rev() {
            out.splice(
                edit.range.start - 100..edit.range.end - 100,
                edit.with.iter().copied(),
            );
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prefixes_count_where_a_url_may_begin() {
        let table: &[(&str, &str)] = &[
            ("go('/app/x')", "go('/shop/x')"),
            ("go(\"/app\")", "go(\"/shop\")"),
            ("go(`/app/${x}`)", "go(`/shop/${x}`)"),
            ("go('/apple')", "go('/apple')"),
            ("go('/app' + x)", "go('/shop' + x)"),
            ("x = a /app/ 2", "x = a /app/ 2"),
            ("s.match(/app/)", "s.match(/app/)"),
            ("'http://other/app/x'", "'http://other/app/x'"),
            ("'HTTP://M:1/app/x'", "'/shop/x'"),
            ("'http://m:1/app'", "'/shop'"),
            ("'http://m:1/App'", "'http://m:1/App'"),
            ("'see http://m:1/app, or'", "'see /shop, or'"),
            ("'xhttp://m:1/app'", "'xhttp://m:1/app'"),
            ("'//m:1/app/'", "'/shop/'"),
            ("// m:1/app", "// m:1/app"),
            (r#"{"u":"http:\/\/m:1\/app\/x"}"#, r#"{"u":"\/shop\/x"}"#),
            (r#"{"u":"\/app\/x"}"#, r#"{"u":"\/shop\/x"}"#),
            (r#"{"u":"\/app"}"#, r#"{"u":"\/shop"}"#),
            ("b = \"URL(/app/i.png)\"", "b = \"URL(/shop/i.png)\""),
            ("'/d/x'", "'/e/x'"),
            (r"'\/d\/x'", r"'\/e\/x'"),
            ("/app", "/app"),
            ("'/app", "'/shop"),
        ];
        for (script, expected) in table {
            for chunk in [1, 2, 3, 1000] {
                assert_eq!(rewrite(script, chunk), *expected, "{script} by {chunk}");
            }
        }
    }
}
