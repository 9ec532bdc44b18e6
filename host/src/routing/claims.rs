//! Which hosts two patterns have in common.

use super::hosts::matches;
use crate::snapshot::HostPattern;

/// Whether every host that `claim` matches is one that `wide` matches too, as far as that can be
/// told by looking.
pub fn covers(wide: &HostPattern, claim: &HostPattern) -> bool {
    use HostPattern::{Exact, Glob, Suffix};
    match (wide, claim) {
        (Suffix(wide), Exact(name)) => is_below(name, wide),
        (Suffix(wide), Suffix(narrow)) => narrow.ends_with(wide.as_str()),
        (Glob(glob), Exact(name)) => matches(glob, name),
        (wide, claim) => wide == claim,
    }
}

/// Whether some host may be matched by both. Two different globs are taken for strangers.
pub fn overlap(one: &HostPattern, other: &HostPattern) -> bool {
    covers(one, other) || covers(other, one)
}

/// Of the same host, who is more telling has it; see [`hosts`](super::hosts). A label must be left
/// in front of the suffix.
fn is_below(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_overlap_where_one_host_fits_both() {
        let exact = |s: &str| HostPattern::Exact(s.into());
        let suffix = |s: &str| HostPattern::Suffix(s.into());
        let glob = |s: &str| HostPattern::Glob(s.into());
        for (wide, claim, covered) in [
            (exact("a.test"), exact("a.test"), true),
            (exact("a.test"), exact("b.test"), false),
            (suffix(".a.test"), exact("x.a.test"), true),
            (suffix(".a.test"), exact("x.y.a.test"), true),
            (suffix(".a.test"), exact("a.test"), false),
            (suffix(".a.test"), exact("xa.test"), false),
            (suffix(".a.test"), suffix(".a.test"), true),
            (suffix(".a.test"), suffix(".b.a.test"), true),
            (suffix(".a.test"), suffix(".ba.test"), false),
            (glob("www.*"), exact("www.a"), true),
            (glob("www.*"), exact("a.www"), false),
            (glob("www.*"), glob("www.*"), true),
        ] {
            assert_eq!(covers(&wide, &claim), covered, "{wide:?} {claim:?}");
            assert_eq!(overlap(&claim, &wide), covered, "{wide:?} {claim:?}");
        }
        assert!(!covers(&exact("x.a.test"), &suffix(".a.test")));
    }
}
