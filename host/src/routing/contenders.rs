//! Every route that takes a path, for people who wonder why theirs does not serve.

use std::cmp::Reverse;

use regex::RegexBuilder;

use super::{CanonicalPath, routes::REGEX_SIZE};
use crate::snapshot::{PathPattern, RouteOrder, Vhost};

/// The indices of all routes of `vhost` that take `path`, in the order in which they are asked.
///
/// The first whose action is not `Continue` serves, or the first that refuses the client; those
/// after it are shadowed. Walks every route: not for the request's path, which [`Table`](super::Table)
/// serves.
pub fn contenders(vhost: &Vhost, path: &CanonicalPath) -> Vec<usize> {
    let takes = |pattern: &PathPattern| match pattern {
        PathPattern::Prefix(prefix) => path.is_under(prefix),
        PathPattern::Regex(pattern) => {
            let regex = RegexBuilder::new(pattern).size_limit(REGEX_SIZE).build();
            // One that does not compile has kept the snapshot from being linked.
            regex.is_ok_and(|regex| regex.is_match(path.as_str()))
        }
    };
    let routes = vhost.routes.iter().enumerate();
    let mut found: Vec<usize> = routes
        .filter(|(_, route)| takes(&route.path))
        .map(|(index, _)| index)
        .collect();
    if vhost.order == RouteOrder::Longest {
        // Stable: the file's order decides what is left.
        found.sort_by_key(|&index| match &vhost.routes[index].path {
            PathPattern::Prefix(prefix) => {
                let segments = prefix.split('/').filter(|segment| !segment.is_empty());
                let length = segments.count();
                (0, Reverse((length, length > 0 && prefix.ends_with('/'))))
            }
            PathPattern::Regex(_) => (1, Reverse((0, false))),
        });
    }
    found
}
