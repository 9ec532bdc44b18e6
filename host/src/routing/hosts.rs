//! Which vhost claims a host.
//!
//! The most telling claim wins, whatever its place in the file: the exact name, then
//! the longest `*.suffix`, then globs in file order. httpd takes the first vhost that
//! matches in any way, so that a wildcard there hides every name after it.

use std::sync::Arc;

use super::HashMap;
use crate::snapshot::{HostPattern, Vhost};

/// How a vhost came to serve a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostMatch {
    /// By its name or an alias without wildcards.
    Exact,
    /// By an alias with wildcards.
    Wildcard,
    /// Nobody claims the host.
    Default,
}

/// All claims, indexed so that finding one costs a few look-ups for each label of the host.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<String, usize>,
    /// With the leading dot.
    suffixes: HashMap<String, usize>,
    /// By what follows their last wildcard, from its first dot on.
    globs_by_tail: HashMap<String, Vec<Glob>>,
    /// Those without such a tail, by their first label.
    globs_by_head: HashMap<String, Vec<Glob>>,
    /// Those without either; each is tried.
    globs: Vec<Glob>,
    default: usize,
}

#[derive(Debug)]
struct Glob {
    pattern: String,
    vhost: usize,
}

impl Hosts {
    /// Where two vhosts claim the same pattern the first has it.
    pub(super) fn new(vhosts: &[Arc<Vhost>]) -> Hosts {
        let mut hosts = Hosts {
            exact: HashMap::default(),
            suffixes: HashMap::default(),
            globs_by_tail: HashMap::default(),
            globs_by_head: HashMap::default(),
            globs: Vec::new(),
            default: vhosts.iter().position(|vhost| vhost.default).unwrap_or(0),
        };
        for (index, vhost) in vhosts.iter().enumerate() {
            for pattern in &vhost.hosts {
                hosts.add(pattern, index);
            }
        }
        hosts
    }

    fn add(&mut self, pattern: &HostPattern, vhost: usize) {
        match pattern {
            HostPattern::Exact(name) => {
                self.exact.entry(name.to_ascii_lowercase()).or_insert(vhost);
            }
            HostPattern::Suffix(suffix) => {
                self.suffixes
                    .entry(suffix.to_ascii_lowercase())
                    .or_insert(vhost);
            }
            HostPattern::Glob(pattern) => {
                let glob = Glob {
                    pattern: pattern.to_ascii_lowercase(),
                    vhost,
                };
                let pattern = &glob.pattern;
                let after = pattern.rfind(is_wildcard).map_or(0, |at| at + 1);
                let tail = pattern[after..]
                    .find('.')
                    .map(|dot| pattern[after + dot..].to_owned());
                let head = pattern
                    .split('.')
                    .next()
                    .filter(|head| head.len() < pattern.len() && !head.contains(is_wildcard));
                match (tail, head.map(str::to_owned)) {
                    (Some(tail), _) => self.globs_by_tail.entry(tail).or_default().push(glob),
                    (None, Some(head)) => self.globs_by_head.entry(head).or_default().push(glob),
                    (None, None) => self.globs.push(glob),
                }
            }
        }
    }

    /// `host` as `Authority::host` gives it.
    pub(super) fn find(&self, host: &str) -> (usize, HostMatch) {
        if let Some(&vhost) = self.exact.get(host) {
            return (vhost, HostMatch::Exact);
        }
        let wildcard = self.by_suffix(host).or_else(|| self.by_glob(host));
        match wildcard {
            Some(vhost) => (vhost, HostMatch::Wildcard),
            None => (self.default, HostMatch::Default),
        }
    }

    fn by_suffix(&self, host: &str) -> Option<usize> {
        if self.suffixes.is_empty() {
            return None;
        }
        tails(host).find_map(|tail| self.suffixes.get(tail).copied())
    }

    fn by_glob(&self, host: &str) -> Option<usize> {
        let by_tail = tails(host).filter_map(|tail| self.globs_by_tail.get(tail));
        let by_head = host
            .split('.')
            .next()
            .and_then(|head| self.globs_by_head.get(head));
        by_tail
            .chain(by_head)
            .flatten()
            .chain(&self.globs)
            .filter(|glob| matches(&glob.pattern, host))
            .map(|glob| glob.vhost)
            .min()
    }
}

/// `.b.c`, `.c` of `a.b.c`: there is a label in front of each.
fn tails(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.')
        .filter(|(at, _)| *at > 0)
        .map(|(at, _)| &host[at..])
}

fn is_wildcard(char: char) -> bool {
    matches!(char, '*' | '?')
}

/// `*` stands for any text, `?` for one character. On a mismatch only the last `*` takes
/// one character more, so the cost is bounded by the product of both lengths.
pub(super) fn matches(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.as_bytes(), host.as_bytes());
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < host.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == host[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                seen = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_like_file_names() {
        for (pattern, host, matched) in [
            ("www.*.test", "www.a.test", true),
            ("www.*.test", "www.a.b.test", true),
            ("www.*.test", "www..test", true),
            ("www.*.test", "www.test", false),
            ("h?.test", "h1.test", true),
            ("h?.test", "h.test", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, host), matched, "{pattern} {host}");
        }
    }

    #[test]
    fn a_hostile_glob_costs_no_more_than_a_product() {
        let host = "a".repeat(255);
        assert!(!matches(&format!("{}b", "*a".repeat(100)), &host));
    }
}
