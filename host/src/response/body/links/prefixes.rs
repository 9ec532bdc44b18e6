//! Which URLs begin with a configured prefix, and what they become.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use crate::decision::LinkPlan;

use super::super::error::BodyError;
use super::super::substitute::{PATTERN_LIMIT, automaton};
use super::table::{Prefix, Table};

/// A link plan made ready. The first prefix of the list that matches wins.
#[derive(Debug)]
pub(in super::super) struct Links {
    /// Those with an origin (scheme and authority), which compares without case (RFC 3986 section 6.2.2.1).
    origins: Table,
    /// All others, which compare as they are.
    paths: Table,
    /// Finds where prefixes may begin in scripts; `None` where scripts are left alone.
    finder: Option<AhoCorasick>,
    /// Bytes of the longest prefix.
    longest: usize,
}

/// A replacement in the spellings that the places for it need.
#[derive(Debug, Clone)]
pub(super) struct Replacement {
    /// For CSS and scripts.
    pub(super) plain: Arc<[u8]>,
    /// For attribute values: `&` is `&amp;`.
    pub(super) attribute: Arc<[u8]>,
    /// For JSON in scripts that writes `\/` for `/`.
    pub(super) json: Arc<[u8]>,
}

/// How much of a URL gives way to what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'a> {
    /// Bytes from the URL's start.
    pub(super) len: usize,
    pub(super) to: &'a Replacement,
}

impl Links {
    /// `None` when there is nothing to map.
    pub(in super::super) fn new(plan: &LinkPlan) -> Result<Option<Arc<Self>>, BodyError> {
        let urls: Vec<_> = plan
            .urls
            .iter()
            .filter(|url| !url.from.is_empty())
            .collect();
        let Some(longest) = urls.iter().map(|url| url.from.len()).max() else {
            return Ok(None);
        };
        let bytes = urls.iter().map(|url| url.from.len()).sum();
        if bytes > PATTERN_LIMIT {
            return Err(BodyError::PlanTooLarge {
                bytes,
                limit: PATTERN_LIMIT,
            });
        }
        let finder = plan.events.then(|| {
            let spellings = urls
                .iter()
                .flat_map(|url| [url.from.clone(), spell_slashes(&url.from)]);
            automaton(2 * bytes)
                .ascii_case_insensitive(true)
                .build(spellings)
        });
        let finder = finder.transpose().map_err(|_| BodyError::PlanTooLarge {
            bytes,
            limit: PATTERN_LIMIT,
        })?;
        let prefixes = urls.iter().enumerate().map(|(place, url)| {
            // What remains of an empty prefix is the root.
            let to = if url.to.is_empty() {
                b"/"
            } else {
                url.to.as_slice()
            };
            let origin = origin(&url.from);
            let mut key = url.from.clone();
            key[..origin].make_ascii_lowercase();
            let prefix = Prefix {
                key,
                place,
                shorter: None,
                to_ends_in_slash: to.ends_with(b"/"),
                to: Replacement::new(to),
            };
            (origin > 0, prefix)
        });
        let (origins, paths): (Vec<_>, Vec<_>) = prefixes.partition(|(has_origin, _)| *has_origin);
        let table = |part: Vec<(bool, Prefix)>| Table::new(part.into_iter().map(|(_, p)| p));
        Ok(Some(Arc::new(Self {
            origins: table(origins),
            paths: table(paths),
            finder,
            longest,
        })))
    }

    /// Bytes of a URL that suffice to decide: the longest prefix, the byte behind it and a slash to join.
    pub(super) fn reach(&self) -> usize {
        self.longest + 1
    }

    /// Finds where a prefix may begin, plain or with `\/` for `/`; `None` where scripts are left alone.
    pub(super) fn finder(&self) -> Option<&AhoCorasick> {
        self.finder.as_ref()
    }

    /// Matches at a boundary: behind the prefix comes the URL's end, `/`, `?`, `#`, `;` or what `ends` says; a
    /// prefix that ends in `/` matches all below it, but the bare `/` no `//host`.
    ///
    /// Slashes join: where one side of the replacement ends in a slash and the other does not, the result has
    /// exactly one, and an empty replacement is `/` (`http://m` to `/` turns `http://m/x` into `/x`, not `//x`, which would be another host).
    pub(super) fn find(&self, url: &[u8], ends: impl Fn(u8) -> bool) -> Option<Match<'_>> {
        let url = &url[..url.len().min(self.reach())];
        let path = self.paths.find(url, 0, &ends);
        // A URL without an origin begins with none.
        let origin = match origin(url) {
            0 => None,
            origin => self.origins.find(url, origin, &ends),
        };
        let found = path.into_iter().chain(origin);
        let first = found.min_by_key(|(place, _)| *place);
        first.map(|(_, found)| found)
    }
}

impl Replacement {
    /// Bytes that would end a string, a tag or a `url()`, and those that depend on the document's charset, are
    /// percent-encoded: no URL holds them bare (RFC 3986 section 2) but for `'` and parentheses, and the replacement then is safe in every place a link can stand.
    fn new(to: &[u8]) -> Self {
        let mut plain = Vec::with_capacity(to.len());
        for &byte in to {
            if byte <= b' ' || byte >= 0x7f || b"\"'`<>\\(){}^|".contains(&byte) {
                plain.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else {
                plain.push(byte);
            }
        }
        Self {
            attribute: escape_ampersands(&plain).into(),
            json: spell_slashes(&plain).into(),
            plain: plain.into(),
        }
    }
}

/// `&` as `&amp;`.
pub(super) fn escape_ampersands(bytes: &[u8]) -> Vec<u8> {
    replace(bytes, b'&', b"&amp;")
}

/// `/` as `\/`.
pub(super) fn spell_slashes(bytes: &[u8]) -> Vec<u8> {
    replace(bytes, b'/', b"\\/")
}

fn replace(bytes: &[u8], what: u8, with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if byte == what {
            out.extend_from_slice(with)
        } else {
            out.push(byte)
        }
    }
    out
}

/// Length of `scheme://authority` or `//authority`; 0 for a path.
fn origin(url: &[u8]) -> usize {
    let scheme = url
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
        .count();
    let slashes = match url.get(scheme) {
        Some(b':') if scheme > 0 => scheme + 1,
        _ => 0,
    };
    let Some(rest) = url.get(slashes..).and_then(|rest| rest.strip_prefix(b"//")) else {
        return 0;
    };
    let authority = rest
        .iter()
        .take_while(|byte| !b"/?#".contains(byte))
        .count();
    slashes + 2 + authority
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use crate::decision::Substitution;

    use super::*;

    /// A plan from pairs, for the tests of all scanners.
    pub(in super::super) fn links(list: &[(&str, &str)], events: bool) -> Arc<Links> {
        let urls = list
            .iter()
            .map(|(from, to)| Substitution {
                from: (*from).into(),
                to: (*to).into(),
            })
            .collect();
        Links::new(&LinkPlan { urls, events }).unwrap().unwrap()
    }

    /// As the rule says it: one after the other.
    fn one_by_one<'a>(
        list: &[(&str, &'a str)],
        url: &[u8],
        ends: impl Fn(u8) -> bool,
    ) -> Option<(usize, &'a str)> {
        list.iter().find_map(|&(from, to)| {
            let from = from.as_bytes();
            let (begins, path) = url.get(..from.len())?.split_at(origin(from));
            let same =
                path == &from[begins.len()..] && begins.eq_ignore_ascii_case(&from[..begins.len()]);
            if !same {
                return None;
            }
            let behind = url.get(from.len()).copied();
            let joined = to.is_empty() || to.ends_with('/');
            if from.ends_with(b"/") {
                let keep = usize::from(!joined && !from.ends_with(b"//"));
                let other_host = from == b"/" && behind == Some(b'/');
                return (!other_host).then_some((from.len() - keep, to));
            }
            let boundary = behind.is_none_or(|byte| b"/?#;".contains(&byte) || ends(byte));
            let join = usize::from(joined && behind == Some(b'/'));
            boundary.then_some((from.len() + join, to))
        })
    }

    fn pieces(most: usize) -> impl Strategy<Value = String> {
        const PIECES: [&str; 16] = [
            "/", "//", "/", "a", "b", "A", "http", "HTTP", ":", "m", "M", "?", "#", ";", ":80", "&",
        ];
        let piece = proptest::sample::select(&PIECES[..]);
        proptest::collection::vec(piece, 1..most).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_one_after_the_other_would_find(
            froms in proptest::collection::vec(pieces(6), 1..40),
            slashes in proptest::collection::vec(any::<bool>(), 40),
            urls in proptest::collection::vec(pieces(9), 1..20),
        ) {
            // Where they come from shows in what they become.
            let tos: Vec<_> = (0..froms.len())
                .map(|n| format!("/{n}{}", if slashes[n] { "/" } else { "" }))
                .collect();
            let list: Vec<_> = froms.iter().map(String::as_str).zip(tos.iter().map(String::as_str)).collect();
            let links = links(&list, false);
            for url in urls.iter().chain(&froms) {
                let ends = |byte| byte == b'&';
                let found = links.find(url.as_bytes(), ends);
                let found = found.map(|found| (found.len, std::str::from_utf8(&found.to.plain).unwrap()));
                prop_assert_eq!(found, one_by_one(&list, url.as_bytes(), ends), "{} in {:?}", url, list);
            }
        }
    }

    fn mapped(list: &[(&str, &str)], url: &str) -> String {
        let links = links(list, false);
        match links.find(url.as_bytes(), |_| false) {
            None => url.to_owned(),
            Some(found) => {
                let to = String::from_utf8(found.to.plain.to_vec()).unwrap();
                format!("{to}{}", &url[found.len..])
            }
        }
    }

    #[test]
    fn prefixes_match_at_boundaries_only() {
        let table: &[(&str, &str, &str, &str)] = &[
            ("/app", "/shop", "/app", "/shop"),
            ("/app", "", "/app", "/"),
            ("/app", "", "/app/x", "/x"),
            ("/app/", "", "/app/x", "/x"),
            ("http://m", "", "http://m?x", "/?x"),
            ("/app", "/shop", "/app/x", "/shop/x"),
            ("/app", "/shop", "/app?x", "/shop?x"),
            ("/app", "/shop", "/app#x", "/shop#x"),
            ("/app", "/shop", "/app;jsessionid=1", "/shop;jsessionid=1"),
            ("/app", "/shop", "/apple", "/apple"),
            ("/app", "/shop", "/App/x", "/App/x"),
            ("/app", "/shop", "app/x", "app/x"),
            ("/app", "/shop", "/app&x", "/app&x"),
            (
                "http://M.example:8080/app",
                "/shop",
                "HTTP://m.EXAMPLE:8080/app/x",
                "/shop/x",
            ),
            (
                "http://m:8080/app",
                "/shop",
                "http://m:8080/APP",
                "http://m:8080/APP",
            ),
            ("http://m:80", "", "http://m:8080/x", "http://m:8080/x"),
            ("http://m:80", "http://g", "http://m:80", "http://g"),
            ("//m/app", "/shop", "//M/app/x", "/shop/x"),
            ("/app/", "/shop/", "/app/x", "/shop/x"),
            ("/app/", "/shop/", "/app", "/app"),
            ("/", "/shop/", "/x", "/shop/x"),
            ("/", "/shop/", "//cdn/x", "//cdn/x"),
            ("/", "/shop", "/x", "/shop/x"),
            ("http://m", "/", "http://m/x", "/x"),
            ("http://", "https:", "http://m/x", "https:m/x"),
            ("//", "https://", "//m/x", "https://m/x"),
            ("http://m", "/", "http://m?x", "/?x"),
            ("http://m/", "http://g", "http://m/x", "http://g/x"),
        ];
        for (from, to, url, expected) in table {
            assert_eq!(mapped(&[(from, to)], url), *expected, "{from} in {url}");
        }
    }

    #[test]
    fn first_of_the_list_wins() {
        assert_eq!(mapped(&[("/a/b", "/1"), ("/a", "/2")], "/a/b/c"), "/1/c");
        assert_eq!(mapped(&[("/a", "/2"), ("/a/b", "/1")], "/a/b/c"), "/2/b/c");
    }

    #[test]
    fn replacements_are_safe_wherever_a_link_stands() {
        let to = Replacement::new("/a\"b' <c>(d)\\&e\u{e9}".as_bytes());
        assert_eq!(to.plain.as_ref(), b"/a%22b%27%20%3Cc%3E%28d%29%5C&e%C3%A9");
        assert_eq!(
            to.attribute.as_ref(),
            b"/a%22b%27%20%3Cc%3E%28d%29%5C&amp;e%C3%A9"
        );
        assert_eq!(to.json.as_ref(), b"\\/a%22b%27%20%3Cc%3E%28d%29%5C&e%C3%A9");
    }

    #[test]
    fn empty_plans_map_nothing() {
        assert!(Links::new(&LinkPlan::default()).unwrap().is_none());
    }
}
