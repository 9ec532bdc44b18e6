//! Prefixes in an order in which those that a URL begins with are found together.
//!
//! A plan may hold a thousand prefixes and a page thousands of URLs. Prefixes are sorted, and each names the longest
//! other one that it begins with. A binary search leads to the last one that does not come behind the URL in
//! that order; what the URL begins with is this one or among those that it begins with in turn:
//!
//!     prefixes: "/"  "/a"  "/a/b"  "/c"      URL: "/a/x"
//!     the last one before the URL is "/a/b"; it begins with "/a", which begins with "/"

use std::{cmp::Ordering, iter};

use super::prefixes::{Match, Replacement};

/// Prefixes, sorted by their keys, each key once.
#[derive(Debug)]
pub(super) struct Table(Vec<Prefix>);

/// One prefix and what it becomes.
#[derive(Debug)]
pub(super) struct Prefix {
    /// What URLs are compared with: its origin in lower case.
    pub(super) key: Vec<u8>,
    /// Its place in the plan.
    pub(super) place: usize,
    /// The longest other one that it begins with.
    pub(super) shorter: Option<usize>,
    pub(super) to: Replacement,
    pub(super) to_ends_in_slash: bool,
}

impl Table {
    pub(super) fn new(prefixes: impl Iterator<Item = Prefix>) -> Self {
        let mut sorted: Vec<_> = prefixes.collect();
        sorted.sort_by(|one, other| one.key.cmp(&other.key).then(one.place.cmp(&other.place)));
        // The first of the plan would win.
        sorted.dedup_by(|later, first| later.key == first.key);
        // Those that the latest one begins with, itself included, the longest last.
        let mut open: Vec<usize> = Vec::new();
        for at in 0..sorted.len() {
            while let Some(&last) = open.last()
                && !sorted[at].key.starts_with(&sorted[last].key)
            {
                open.pop();
            }
            sorted[at].shorter = open.last().copied();
            open.push(at);
        }
        Self(sorted)
    }

    /// What matches that comes first in the plan, with its place there. `origin`: bytes of the URL that count
    /// without case.
    pub(super) fn find(
        &self,
        url: &[u8],
        origin: usize,
        ends: impl Fn(u8) -> bool,
    ) -> Option<(usize, Match<'_>)> {
        let read = |(at, byte): (usize, &u8)| match at < origin {
            true => byte.to_ascii_lowercase(),
            false => *byte,
        };
        let bytes = || url.iter().enumerate().map(read);
        let behind = self.0.partition_point(|prefix| {
            let key = prefix.key.iter().copied();
            key.cmp(bytes()) != Ordering::Greater
        });
        let last = behind.checked_sub(1)?;
        let key = self.0[last].key.iter().copied();
        let common = key.zip(bytes()).take_while(|(one, other)| one == other);
        let common = common.count();
        let chain = iter::successors(Some(last), |at| self.0[*at].shorter);
        let begun = chain.map(|at| &self.0[at]);
        let begun = begun.filter(|prefix| prefix.key.len() <= common);
        let found =
            begun.filter_map(|prefix| Some((prefix.place, prefix.at_boundary(url, &ends)?)));
        found.min_by_key(|(place, _)| *place)
    }
}

impl Prefix {
    /// Of a URL that begins with it.
    fn at_boundary(&self, url: &[u8], ends: impl Fn(u8) -> bool) -> Option<Match<'_>> {
        let len = self.key.len();
        let behind = url.get(len).copied();
        if self.key.ends_with(b"/") {
            if self.key == b"/" && behind == Some(b'/') {
                return None;
            }
            let keep = usize::from(!self.to_ends_in_slash && !self.key.ends_with(b"//"));
            return Some(Match {
                len: len - keep,
                to: &self.to,
            });
        }
        let boundary =
            behind.is_none_or(|byte| matches!(byte, b'/' | b'?' | b'#' | b';') || ends(byte));
        let join = usize::from(self.to_ends_in_slash && behind == Some(b'/'));
        boundary.then_some(Match {
            len: len + join,
            to: &self.to,
        })
    }
}
