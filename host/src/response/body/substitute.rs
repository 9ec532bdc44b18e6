//! Byte strings replaced wherever they stand, also across chunks.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

use crate::decision::Substitution;

use super::error::BodyError;
use super::splice::{Edit, Splicer};

/// 64 KiB of patterns: an automaton of a megabyte, built in some milliseconds for one response.
pub(super) const PATTERN_LIMIT: usize = 64 * 1024;

/// Bytes of patterns up to which a table that is the fastest to search with is worth its size, a kilobyte for
/// each byte of a pattern: 64 KiB of them would be 64 MiB and 50 ms for one response.
const TABLE_LIMIT: usize = 512;

/// For patterns that have so many bytes together.
pub(super) fn automaton(bytes: usize) -> AhoCorasickBuilder {
    let mut builder = AhoCorasick::builder();
    if bytes > TABLE_LIMIT {
        builder.kind(Some(AhoCorasickKind::ContiguousNFA));
    }
    builder
}

/// Replaces byte strings. The match that starts first wins; of those that start at the same byte, the one
/// that stands first in the policy's list. What was put in is not looked at again.
pub(super) struct Substitute {
    patterns: AhoCorasick,
    replacements: Vec<Arc<[u8]>>,
    /// Bytes of the longest pattern.
    longest: usize,
    /// Absolute offset up to which all matches are known.
    searched: usize,
}

impl Substitute {
    /// `None` when there is nothing to look for.
    pub(super) fn new(list: &[Substitution]) -> Result<Option<Self>, BodyError> {
        let list: Vec<_> = list.iter().filter(|one| !one.from.is_empty()).collect();
        let Some(longest) = list.iter().map(|one| one.from.len()).max() else {
            return Ok(None);
        };
        let bytes = list.iter().map(|one| one.from.len()).sum();
        let too_large = BodyError::PlanTooLarge {
            bytes,
            limit: PATTERN_LIMIT,
        };
        if bytes > PATTERN_LIMIT {
            return Err(too_large);
        }
        let patterns = automaton(bytes)
            .match_kind(MatchKind::LeftmostFirst)
            .build(list.iter().map(|one| &one.from))
            .map_err(|_| too_large)?;
        let replacements = list.iter().map(|one| one.to.as_slice().into()).collect();
        Ok(Some(Self {
            patterns,
            replacements,
            longest,
            searched: 0,
        }))
    }

    /// Finds what can be decided with the bytes that `out` holds; `last` when no more follow.
    pub(super) fn scan(&mut self, out: &mut Splicer, last: bool) {
        let end = out.end();
        // A match is final only if every pattern that starts at the same byte would have fitted.
        let decided = if last {
            end
        } else {
            (end + 1).saturating_sub(self.longest)
        };
        let base = self.searched;
        let mut edits = Vec::new();
        for found in self.patterns.find_iter(out.waiting_from(base)) {
            let range = base + found.start()..base + found.end();
            if range.start >= decided {
                break;
            }
            self.searched = range.end;
            edits.push(Edit {
                range,
                with: Arc::clone(&self.replacements[found.pattern().as_usize()]),
            });
        }
        self.searched = self.searched.max(decided.max(base));
        for edit in edits {
            out.edit(edit);
        }
        out.hold((!last).then_some(self.searched));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(list: &[(&str, &str)]) -> Vec<Substitution> {
        list.iter()
            .map(|(from, to)| Substitution {
                from: from.as_bytes().into(),
                to: to.as_bytes().into(),
            })
            .collect()
    }

    fn run(list: &[(&str, &str)], chunks: &[&[u8]]) -> String {
        let mut scanner = Substitute::new(&rules(list)).unwrap().unwrap();
        let mut splicer = Splicer::default();
        let mut out = Vec::new();
        for chunk in chunks {
            splicer.push(chunk);
            scanner.scan(&mut splicer, false);
            while splicer.drain(&mut out, 7) {}
        }
        scanner.scan(&mut splicer, true);
        while splicer.drain(&mut out, 7) {}
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn first_in_the_list_wins_at_the_same_byte() {
        type Row = (
            &'static [(&'static str, &'static str)],
            &'static str,
            &'static str,
        );
        let table: &[Row] = &[
            (&[("ab", "1"), ("abc", "2")], "abcab", "1c1"),
            (&[("abc", "2"), ("ab", "1")], "abcab", "21"),
            (&[("bc", "1"), ("abc", "2")], "abc", "2"),
            (&[("a", "aa")], "aaa", "aaaaaa"),
            (&[("x", "")], "axbx", "ab"),
            (&[("", "never"), ("a", "b")], "aa", "bb"),
            (&[("aab", "!")], "aaaab", "aa!"),
        ];
        for (list, input, expected) in table {
            assert_eq!(run(list, &[input.as_bytes()]), *expected);
            let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
            assert_eq!(run(list, &bytes), *expected);
        }
    }

    #[test]
    fn empty_and_oversized_plans_are_told_apart() {
        assert!(Substitute::new(&rules(&[("", "x")])).unwrap().is_none());
        let huge = vec![Substitution {
            from: vec![b'a'; PATTERN_LIMIT + 1],
            to: Vec::new(),
        }];
        assert!(matches!(
            Substitute::new(&huge),
            Err(BodyError::PlanTooLarge { .. })
        ));
    }

    #[test]
    fn automaton_of_any_plan_that_is_taken_is_small() {
        for count in [1, 4, 64, 1024] {
            let length = PATTERN_LIMIT / count;
            let list: Vec<_> = (0..count)
                .map(|number| {
                    let mut chance = fastrand::Rng::with_seed(number as u64);
                    Substitution {
                        from: (0..length).map(|_| chance.u8(..)).collect(),
                        to: Vec::new(),
                    }
                })
                .collect();
            let made = Substitute::new(&list).unwrap().unwrap();
            let bytes = made.patterns.memory_usage();
            assert!(bytes < 4 << 20, "{count} patterns: {bytes} bytes");
        }
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(input in "[abc]{0,60}", cuts in proptest::collection::vec(1usize..7, 1..30)) {
            let list = [("abca", "1"), ("ab", "2"), ("cc", "33333333"), ("b", "")];
            let whole = run(&list, &[input.as_bytes()]);
            let mut rest = input.as_bytes();
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (head, tail) = rest.split_at((*cut).min(rest.len()));
                chunks.push(head);
                rest = tail;
            }
            prop_assert_eq!(run(&list, &chunks), whole);
        }
    }
}
