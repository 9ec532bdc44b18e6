//! Ten thousand vhosts and routes cost what ten cost.

use std::time::{Duration, Instant};

use super::fixture::{CLIENT, proxy, table, vhost};
use crate::{
    routing::{CanonicalPath, HostMatch, Table, Target},
    snapshot::{HostPattern, RouteOrder},
};

/// `count` vhosts with an exact name, a suffix and a glob each; the last has `count` routes.
fn sized(count: usize, order: RouteOrder) -> Table {
    let mut vhosts: Vec<_> = (0..count)
        .map(|n| {
            let mut vhost = vhost(&format!("h{n}.test"), order, Vec::new());
            vhost.hosts.push(HostPattern::Suffix(format!(".s{n}.test")));
            vhost.hosts.push(HostPattern::Glob(format!("a*.g{n}.test")));
            vhost
        })
        .collect();
    if let Some(last) = vhosts.last_mut() {
        last.routes = (0..count).map(|n| proxy(&format!("/app/r{n}/x"))).collect();
    }
    table(vhosts)
}

/// Finds the last vhost by each kind of claim, and its last route.
fn finds(table: &Table, count: usize) {
    let last = count - 1;
    let path = CanonicalPath::parse(format!("/app/r{last}/x/y/z").as_bytes()).unwrap();
    for (host, by) in [
        (format!("h{last}.test"), HostMatch::Exact),
        (format!("x.y.s{last}.test"), HostMatch::Wildcard),
        (format!("ab.g{last}.test"), HostMatch::Wildcard),
    ] {
        let found = table.find(&host, &path, CLIENT);
        assert_eq!((found.vhost_index, found.by), (last, by), "{host}");
        assert!(matches!(found.target, Target::Route { index, .. } if index == last));
    }
}

#[test]
fn the_cost_of_finding_does_not_grow_with_vhosts_and_routes() {
    const SMALL: usize = 10;
    const LARGE: usize = 10_000;
    for order in [RouteOrder::Longest, RouteOrder::File] {
        let tables = [(sized(SMALL, order), SMALL), (sized(LARGE, order), LARGE)];
        let mut best = [Duration::MAX; 2];
        // The least of interleaved rounds, so that a busy machine slows both alike.
        for _ in 0..10 {
            for ((table, count), best) in tables.iter().zip(&mut best) {
                let start = Instant::now();
                (0..200).for_each(|_| finds(table, *count));
                *best = start.elapsed().min(*best);
            }
        }
        // A linear walk would cost a thousand times as much; caches account for a few times.
        assert!(best[1] < best[0] * 50, "{best:?}");
    }
}
