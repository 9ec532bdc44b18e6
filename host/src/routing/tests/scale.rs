//! Ten thousand vhosts and routes cost what ten cost.

use std::time::{Duration, Instant};

use super::fixture::{CLIENT, proxy, table, vhost};
use crate::{
    routing::{CanonicalPath, HostMatch, Table, Target},
    snapshot::{HostPattern, PathPattern, Route, RouteOrder},
};

/// `count` vhosts with an exact name, a suffix and a glob each; the last has `count` routes.
fn sized(count: usize, order: RouteOrder, route: fn(usize) -> Route) -> Table {
    let mut vhosts: Vec<_> = (0..count)
        .map(|n| {
            let mut vhost = vhost(&format!("h{n}.test"), order, Vec::new());
            vhost.hosts.push(HostPattern::Suffix(format!(".s{n}.test")));
            vhost.hosts.push(HostPattern::Glob(format!("a*.g{n}.test")));
            vhost
        })
        .collect();
    if let Some(last) = vhosts.last_mut() {
        last.routes = (0..count).map(route).collect();
    }
    table(vhosts)
}

fn by_prefix(n: usize) -> Route {
    proxy(&format!("/app/r{n}/x"))
}

fn by_regex(n: usize) -> Route {
    Route {
        path: PathPattern::Regex(format!("^/app/r{n}/x(/.*)?$")),
        ..by_prefix(n)
    }
}

/// What is asked of a table, and the vhost that is to be found.
struct Question {
    host: String,
    path: CanonicalPath,
    vhost: usize,
    by: HostMatch,
}

/// For the last vhost by each kind of claim, with its last route, and some others from all over.
fn questions(count: usize) -> Vec<Question> {
    let last = count - 1;
    let kinds = |n: usize| {
        [
            (format!("h{n}.test"), HostMatch::Exact),
            (format!("x.y.s{n}.test"), HostMatch::Wildcard),
            (format!("ab.g{n}.test"), HostMatch::Wildcard),
        ]
    };
    let path = CanonicalPath::parse(format!("/app/r{last}/x/y/z").as_bytes()).unwrap();
    let spread = (0..9).map(|n| n * 7_919 % count).chain([last]);
    spread
        .flat_map(|n| kinds(n).map(|(host, by)| (n, host, by)))
        .map(|(vhost, host, by)| Question {
            host,
            path: path.clone(),
            vhost,
            by,
        })
        .collect()
}

fn asks(table: &Table, questions: &[Question], last: usize) {
    for question in questions {
        let found = table.find(&question.host, &question.path, CLIENT);
        assert_eq!(
            (found.vhost_index, found.by),
            (question.vhost, question.by),
            "{}",
            question.host
        );
        match found.target {
            Target::Route { index, .. } => assert_eq!((index, found.vhost_index), (last, last)),
            _ => assert_ne!(found.vhost_index, last),
        }
    }
}

fn holds(large: usize, order: RouteOrder, route: fn(usize) -> Route) {
    let tables = [10, large].map(|count| (sized(count, order, route), questions(count), count - 1));
    let mut best = [Duration::MAX; 2];
    // The least of many short, interleaved rounds: some of them nobody disturbs, however busy the machine.
    for _ in 0..300 {
        for ((table, questions, last), best) in tables.iter().zip(&mut best) {
            let start = Instant::now();
            (0..5).for_each(|_| asks(table, questions, *last));
            *best = start.elapsed().min(*best);
        }
    }
    // A linear walk would cost a thousand times as much; caches account for the rest.
    assert!(best[1] < best[0] * 3, "{order:?}: {best:?}");
}

#[test]
fn the_cost_of_finding_does_not_grow_with_vhosts_and_routes() {
    for order in [RouteOrder::Longest, RouteOrder::File] {
        holds(10_000, order, by_prefix);
    }
}

#[test]
fn nor_with_patterns_that_begin_with_something() {
    holds(10_000, RouteOrder::Longest, by_regex);
}
