//! The routes of one vhost, indexed.
//!
//! Prefixes form a trie of segments, so a path costs one look-up for each of its
//! segments however many routes there are. Regexes are tried together (`patterns`), and
//! only where no prefix has settled the matter.

use std::net::IpAddr;

use regex::{Regex, RegexBuilder};
use smallvec::SmallVec;

use super::{HashMap, TableError, patterns::Patterns};
use crate::snapshot::{Access, Action, PathPattern, Route, RouteOrder, Vhost};

/// Compiled size of one pattern, bytes. The largest that people write take a tenth of it.
pub(super) const REGEX_SIZE: usize = 1 << 20;
/// Of its lazily built automaton in each thread, bytes.
const REGEX_CACHE: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Routes {
    order: RouteOrder,
    has_document_root: bool,
    /// The first is the root.
    nodes: Vec<Node>,
    patterns: Patterns,
    /// Of redirects that use groups, by the route's index.
    captures: HashMap<usize, Regex>,
}

/// A segment on the way from the root. The lists hold routes in file order, up to the
/// first that does not pass a request on: the ones after it could never be reached.
#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, usize>,
    /// Routes for this very path and what is below.
    here: Vec<usize>,
    /// Routes that were written with a trailing slash: only for what is below.
    below: Vec<usize>,
}

/// What the routes say of one reading of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The route's index.
    Route(usize),
    /// The index of the route whose access rules refuse the client.
    Denied(usize),
    /// No route, or one that excludes the path.
    DocumentRoot,
    /// As above, and there is no document root.
    NotFound,
}

pub(super) type Hits = SmallVec<[usize; 8]>;

impl Routes {
    pub(super) fn new(vhost: &Vhost) -> Result<Routes, TableError> {
        let mut routes = Routes {
            order: vhost.order,
            has_document_root: vhost.document_root.is_some(),
            nodes: vec![Node::default()],
            patterns: Patterns::default(),
            captures: HashMap::default(),
        };
        let mut patterns: Vec<(usize, &str)> = Vec::new();
        for (index, route) in vhost.routes.iter().enumerate() {
            match &route.path {
                PathPattern::Prefix(prefix) => routes.add_prefix(prefix, index, &vhost.routes),
                PathPattern::Regex(pattern) => {
                    routes.add_regex(vhost, route, pattern, index)?;
                    patterns.push((index, pattern));
                }
            }
        }
        let patterns = Patterns::new(&patterns);
        routes.patterns = patterns.map_err(|cause| TableError::RegexSet {
            vhost: vhost.name.clone(),
            cause,
        })?;
        Ok(routes)
    }

    fn add_prefix(&mut self, prefix: &str, index: usize, all: &[Route]) {
        let mut node = 0;
        for segment in prefix.split('/').filter(|segment| !segment.is_empty()) {
            let next = self.nodes.len();
            node = *self.nodes[node]
                .children
                .entry(segment.into())
                .or_insert(next);
            if node == next {
                self.nodes.push(Node::default());
            }
        }
        let wants_more = node != 0 && prefix.ends_with('/');
        let node = &mut self.nodes[node];
        let list = if wants_more {
            &mut node.below
        } else {
            &mut node.here
        };
        let passes_on = |&last: &usize| all[last].action == Action::Continue;
        if list.last().is_none_or(passes_on) {
            list.push(index);
        }
    }

    fn add_regex(
        &mut self,
        vhost: &Vhost,
        route: &Route,
        pattern: &str,
        index: usize,
    ) -> Result<(), TableError> {
        let regex = RegexBuilder::new(pattern)
            .size_limit(REGEX_SIZE)
            .dfa_size_limit(REGEX_CACHE)
            .build();
        let regex = regex.map_err(|cause| TableError::Regex {
            vhost: vhost.name.clone(),
            route: route.name.clone(),
            pattern: pattern.to_owned(),
            cause: Box::new(cause),
        })?;
        if matches!(&route.action, Action::Redirect(redirect) if redirect.to.contains('$')) {
            self.captures.insert(index, regex);
        }
        Ok(())
    }

    /// Decides about one reading of a path. `all` are the routes this was made of.
    pub(super) fn settle(&self, all: &[Route], path: &str, client: IpAddr) -> Settled {
        let step = |&index: &usize| {
            self.step(index, &all[index], client)
                .map(|settled| (index, settled))
        };
        let mut hits = self.prefixes(path);
        let settled = match self.order {
            RouteOrder::Longest => {
                let by_prefix = hits.iter().find_map(step);
                let by_regex = || {
                    self.patterns
                        .matching(path, usize::MAX)
                        .iter()
                        .find_map(step)
                };
                by_prefix.or_else(by_regex)
            }
            RouteOrder::File => {
                hits.sort_unstable();
                let by_prefix = hits.iter().find_map(step);
                let bound = by_prefix.map_or(usize::MAX, |(index, _)| index);
                self.patterns
                    .matching(path, bound)
                    .iter()
                    .find_map(step)
                    .or(by_prefix)
            }
        };
        settled.map_or_else(|| self.nobody(), |(_, settled)| settled)
    }

    /// `None`: the client passed and the search goes on.
    fn step(&self, index: usize, route: &Route, client: IpAddr) -> Option<Settled> {
        if refuses(&route.access, client) {
            return Some(Settled::Denied(index));
        }
        match route.action {
            Action::Continue => None,
            Action::Exclude => Some(self.nobody()),
            Action::Proxy(_) | Action::Static(_) | Action::Redirect(_) => {
                Some(Settled::Route(index))
            }
        }
    }

    fn nobody(&self) -> Settled {
        if self.has_document_root {
            Settled::DocumentRoot
        } else {
            Settled::NotFound
        }
    }

    /// Prefix routes that take `path`, longest first, in file order where equally long.
    fn prefixes(&self, path: &str) -> Hits {
        let mut trail: SmallVec<[&[usize]; 16]> = SmallVec::new();
        let mut node = &self.nodes[0];
        trail.push(&node.here);
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
        while let Some(segment) = segments.next() {
            let Some(&child) = node.children.get(segment) else {
                break;
            };
            node = &self.nodes[child];
            trail.push(&node.here);
            if segments.peek().is_some() {
                trail.push(&node.below);
            }
        }
        trail.into_iter().rev().flatten().copied().collect()
    }

    /// The groups of a redirect's regex, the whole match first; empty where the redirect
    /// uses none. A group that took no part is empty.
    pub(super) fn captures<'p>(&self, index: usize, path: &'p str) -> Vec<&'p str> {
        let captures = self
            .captures
            .get(&index)
            .and_then(|regex| regex.captures(path));
        captures.map_or_else(Vec::new, |captures| {
            captures
                .iter()
                .map(|group| group.map_or("", |group| group.as_str()))
                .collect()
        })
    }
}

/// An IPv4 client may come in on an IPv6 socket: `::ffff:10.0.0.1` is 10.0.0.1.
fn refuses(access: &Access, client: IpAddr) -> bool {
    let client = client.to_canonical();
    access.deny
        || access.deny_from.iter().any(|net| net.contains(&client))
        || !access.allow_from.is_empty()
            && !access.allow_from.iter().any(|net| net.contains(&client))
}
