//! A request's path and query after the one reading that everything relies on.

use super::{TargetError, parse};

/// One reading of an origin-form request-target.
///
/// `as_str` is what routes, rules and files look at, `forward` is what members get.
/// Both have the same segments in the same order, which is what [`mapped`](Self::mapped)
/// relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath {
    /// Path and query as they are sent on.
    pub(super) target: String,
    /// Where the path ends in `target`.
    pub(super) path_len: usize,
    /// `None` where it is the same as the forwarded path.
    pub(super) canonical: Option<String>,
    /// What a server might make of an encoded slash, semicolon or percent sign;
    /// empty for all but odd requests.
    pub(super) alternates: Vec<String>,
}

impl CanonicalPath {
    /// Reads path and query as the client sent them. An empty path of an absolute-form
    /// target must have been made `/` before.
    pub fn parse(target: &[u8]) -> Result<CanonicalPath, TargetError> {
        parse::target(target)
    }

    /// For routes, rules and files: percent-decoded, dot segments resolved, runs of `/`
    /// merged, parameters cut off. Starts with `/`. An encoded slash stays `%2F`, and
    /// nothing else reads `%2F` here, since `%252F` is refused.
    pub fn as_str(&self) -> &str {
        self.canonical.as_deref().unwrap_or_else(|| self.forward())
    }

    /// For members: the same segments with their parameters. Escapes of unreserved
    /// characters are decoded (RFC 3986 section 6.2.2.2), all others are as sent, and
    /// what must not be raw is encoded.
    pub fn forward(&self) -> &str {
        &self.target[..self.path_len]
    }

    /// Without the `?`; empty for a bare trailing `?`. Escapes are as sent.
    pub fn query(&self) -> Option<&str> {
        self.target.get(self.path_len + 1..)
    }

    /// `forward` and the query: what is sent where nothing is mapped.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Other readings of the path that some server might have.
    pub fn alternates(&self) -> &[String] {
        &self.alternates
    }

    /// Whether the path lies under `prefix` by whole segments. One with a trailing slash
    /// wants something after its last segment, if only a slash.
    pub fn is_under(&self, prefix: &str) -> bool {
        let rest = match self.as_str().strip_prefix(prefix.trim_end_matches('/')) {
            Some(rest) => rest,
            None => return false,
        };
        rest.starts_with('/') || rest.is_empty() && !prefix.ends_with('/')
    }

    /// Path and query with `prefix` replaced by `base`, which is empty or like `/Test`:
    /// `/app;jsessionid=1` with `/app` and `/Test` gives `/Test;jsessionid=1`. Parameters
    /// of earlier segments of the prefix go with them. Where the path is not under
    /// `prefix` nothing is cut off.
    pub fn mapped(&self, prefix: &str, base: &str) -> String {
        let rest = self.below(prefix);
        let base = if rest.starts_with('/') {
            base.trim_end_matches('/')
        } else {
            base
        };
        let mut out =
            String::with_capacity(base.len() + 1 + rest.len() + self.target.len() - self.path_len);
        out.push_str(base);
        if base.is_empty() && !rest.starts_with('/') {
            out.push('/');
        }
        out.push_str(rest);
        out.push_str(&self.target[self.path_len..]);
        out
    }

    /// What `forward` has after the segments of `prefix`: empty, or starting with `/` or `;`.
    pub(super) fn below(&self, prefix: &str) -> &str {
        let forward = self.forward();
        let segments = prefix
            .split('/')
            .filter(|segment| !segment.is_empty())
            .count();
        if segments == 0 || !self.is_under(prefix) {
            return forward;
        }
        let mut starts = forward
            .match_indices('/')
            .map(|(at, _)| at)
            .skip(segments - 1);
        let last = starts.next().unwrap_or(forward.len());
        let end = starts.next().unwrap_or(forward.len());
        let parameters = forward[last..end].find(';').map_or(end, |at| last + at);
        &forward[parameters..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> CanonicalPath {
        CanonicalPath::parse(target.as_bytes()).unwrap()
    }

    #[test]
    fn prefixes_end_at_segments() {
        for (target, prefix, under) in [
            ("/app", "/app", true),
            ("/app/", "/app", true),
            ("/app/x", "/app", true),
            ("/app;jsessionid=1", "/app", true),
            ("/apple", "/app", false),
            ("/App", "/app", false),
            ("/app", "/app/", false),
            ("/app/", "/app/", true),
            ("/app/x", "/app/", true),
            ("/", "/", true),
            ("/x", "/", true),
            ("/x", "", true),
        ] {
            assert_eq!(
                path(target).is_under(prefix),
                under,
                "{target} under {prefix}"
            );
        }
    }

    #[test]
    fn mapping_replaces_segments_and_keeps_parameters_and_query() {
        for (target, prefix, base, mapped) in [
            ("/app", "/app", "/Test", "/Test"),
            ("/app;jsessionid=1", "/app", "/Test", "/Test;jsessionid=1"),
            ("/app;jsessionid=1", "/app", "", "/;jsessionid=1"),
            ("/app/;jsessionid=1", "/app", "/Test", "/Test/;jsessionid=1"),
            ("/app/x?q=1", "/app", "/Test", "/Test/x?q=1"),
            ("/app?", "/app", "/Test", "/Test?"),
            ("/app", "/app", "", "/"),
            ("/app/", "/app", "/Test", "/Test/"),
            ("/app/x", "/app/", "/Test", "/Test/x"),
            ("/app/x", "/app/", "/Test/", "/Test/x"),
            ("/", "/", "/Test", "/Test/"),
            ("/x", "", "/Test", "/Test/x"),
            ("/a;p=1/b;q=2/c", "/a/b", "/z", "/z;q=2/c"),
            ("/%61pp/x", "/app", "/Test", "/Test/x"),
            ("/a%20b/c%2Fd", "/a b", "", "/c%2Fd"),
            ("/other", "/app", "/Test", "/Test/other"),
        ] {
            assert_eq!(
                path(target).mapped(prefix, base),
                mapped,
                "{target} from {prefix} to {base}"
            );
        }
    }
}
