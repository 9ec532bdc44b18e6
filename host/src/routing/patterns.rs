//! The regexes of one vhost's routes, tried together.
//!
//! Most patterns begin with a literal (`^/app/(.*)$`): one pass over the path finds those whose literal the path begins
//! with, and only they are tried. So a path costs what its own few patterns cost, however many there are. Patterns
//! that may begin with anything are tried with every path, a few hundred in one pass.

use aho_corasick::{
    AhoCorasick, Anchored, Input, MatchKind, StartKind, automaton::OverlappingState,
};
use regex::{RegexSet, RegexSetBuilder};
use regex_syntax::hir::{
    Look,
    literal::{ExtractKind, Extractor},
};
use smallvec::SmallVec;

use super::routes::Hits;

/// Patterns tried in one pass over the path, of those that may begin with anything.
const LOOSE: usize = 256;
/// Of the others: those with neighbouring literals are tried together.
const NEAR: usize = 64;
/// Compiled size for each pattern that a pass has room for, bytes, and of its lazily built automaton in each thread.
const EACH_SIZE: usize = 128 << 10;
const EACH_CACHE: usize = 4 << 10;
/// A literal that tells too little: every path begins with `/`.
const SHORTEST: usize = 2;

/// See the module's doc.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Tried with every path.
    loose: Vec<Set>,
    near: Vec<Set>,
    /// The literals that patterns of `near` begin with.
    literals: Option<AhoCorasick>,
    /// For each of them the index of its set.
    set_of: Vec<usize>,
}

#[derive(Debug)]
struct Set {
    patterns: RegexSet,
    /// Their routes' indices.
    routes: Vec<usize>,
}

impl Patterns {
    /// Of routes' indices, rising, and their patterns, each of which compiles.
    pub(super) fn new(all: &[(usize, &str)]) -> Result<Self, Box<regex::Error>> {
        let mut loose = Vec::new();
        let mut near = Vec::new();
        for &(route, pattern) in all {
            match literals(pattern) {
                Some(literals) => near.push((literals, route, pattern)),
                None => loose.push((route, pattern)),
            }
        }
        near.sort();
        let mut patterns = Self::default();
        for chunk in loose.chunks(LOOSE) {
            patterns.loose.push(Set::new(LOOSE, chunk.iter().copied())?);
        }
        let mut words: Vec<&[u8]> = Vec::new();
        for chunk in near.chunks(NEAR) {
            for literal in chunk.iter().flat_map(|(literals, ..)| literals) {
                words.push(literal);
                patterns.set_of.push(patterns.near.len());
            }
            let own = chunk.iter().map(|(_, route, pattern)| (*route, *pattern));
            patterns.near.push(Set::new(NEAR, own)?);
        }
        if !words.is_empty() {
            let built = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .start_kind(StartKind::Anchored)
                .build(&words);
            match built {
                Ok(literals) => patterns.literals = Some(literals),
                // More than its numbers can count: slow, but the same.
                Err(_) => patterns.loose.append(&mut patterns.near),
            }
        }
        Ok(patterns)
    }

    /// The routes before `bound` whose pattern takes `path`, in file order.
    pub(super) fn matching(&self, path: &str, bound: usize) -> Hits {
        let mut hits = Hits::new();
        for set in &self.loose {
            set.matching(path, bound, &mut hits);
        }
        for set in self.begun_by(path) {
            self.near[set].matching(path, bound, &mut hits);
        }
        hits.sort_unstable();
        hits
    }

    /// The sets that have a pattern whose literal `path` begins with.
    fn begun_by(&self, path: &str) -> SmallVec<[usize; 8]> {
        let mut sets = SmallVec::new();
        let Some(literals) = &self.literals else {
            return sets;
        };
        let input = Input::new(path).anchored(Anchored::Yes);
        let mut state = OverlappingState::start();
        while let Ok(()) = literals.try_find_overlapping(input.clone(), &mut state)
            && let Some(found) = state.get_match()
        {
            let set = self.set_of[found.pattern().as_usize()];
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        sets
    }
}

impl Set {
    fn new<'p>(
        room: usize,
        patterns: impl Iterator<Item = (usize, &'p str)> + Clone,
    ) -> Result<Self, Box<regex::Error>> {
        let set = RegexSetBuilder::new(patterns.clone().map(|(_, pattern)| pattern))
            .size_limit(room * EACH_SIZE)
            .dfa_size_limit(room * EACH_CACHE)
            .build();
        Ok(Self {
            patterns: set?,
            routes: patterns.map(|(route, _)| route).collect(),
        })
    }

    fn matching(&self, path: &str, bound: usize, hits: &mut Hits) {
        // In a set of those that begin with anything the routes rise.
        if self.routes.iter().all(|route| *route >= bound) {
            return;
        }
        let matched = self.patterns.matches(path);
        let routes = matched.into_iter().map(|at| self.routes[at]);
        hits.extend(routes.filter(|route| *route < bound));
    }
}

/// What every path that `pattern` takes begins with, one of these; `None` where that is not known or tells little.
fn literals(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    if !hir.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let found = Extractor::new().kind(ExtractKind::Prefix).extract(&hir);
    let literals = found.literals()?;
    let tells =
        |literal: &regex_syntax::hir::literal::Literal| literal.as_bytes().len() >= SHORTEST;
    let is_enough = !literals.is_empty() && literals.iter().all(tells);
    is_enough.then(|| {
        literals
            .iter()
            .map(|literal| literal.as_bytes().to_vec())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn literals_are_what_all_paths_begin_with() {
        for (pattern, expected) in [
            ("^/app/(.*)$", &["/app/"][..]),
            ("^/(?:a1|b2)/x", &["/a1/x", "/b2/x"]),
            (r"\A/a\.b$", &["/a.b"]),
            ("^(/a|/b)c?", &["/ac", "/a", "/bc", "/b"]),
            ("/app/", &[]),
            ("^/", &[]),
            ("^/(.*)", &[]),
            ("^/a|/b", &[]),
            ("(?m)^/app", &[]),
            (r"\.jsp$", &[]),
            ("", &[]),
            ("^$", &[]),
        ] {
            let found = literals(pattern).unwrap_or_default();
            let found: Vec<_> = found.iter().map(|l| String::from_utf8_lossy(l)).collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[abA/.]{1,3}",
            Just("(a|b/)".to_owned()),
            Just("[ab]*".to_owned()),
            Just("a?".to_owned()),
            Just("(?i:ab)".to_owned())
        ];
        let pieces = proptest::collection::vec(piece, 0..5);
        (
            prop_oneof![Just("^"), Just("^/"), Just(""), Just("(?m)^"), Just("^/|")],
            pieces,
            prop_oneof![Just(""), Just("$")],
        )
            .prop_map(|(start, pieces, end)| format!("{start}{}{end}", pieces.concat()))
    }

    proptest! {
        /// One after the other is what they are held to.
        #[test]
        fn together_they_find_what_each_finds(
            patterns in proptest::collection::vec(pattern(), 1..60),
            paths in proptest::collection::vec("/[abA/.]{0,8}", 1..8),
            bound in 0_usize..130,
        ) {
            let all: Vec<_> = patterns.iter().enumerate().map(|(at, p)| (at * 2, p.as_str())).collect();
            let together = Patterns::new(&all).unwrap();
            let each: Vec<_> = all.iter().map(|(route, p)| (*route, Regex::new(p).unwrap())).collect();
            for path in &paths {
                let expected: Vec<usize> = each.iter()
                    .filter(|(route, regex)| *route < bound && regex.is_match(path))
                    .map(|(route, _)| *route)
                    .collect();
                prop_assert_eq!(together.matching(path, bound).to_vec(), expected, "{}", path);
            }
        }
    }
}
