//! What it costs to find where a request leads, among 10, 1,000 and 10,000 vhosts and routes.
//!
//! Look-ups go through all names in turn, so that what does not fit into the caches shows as well.

#![allow(missing_docs, reason = "criterion's macros make a public main")]

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use criterion::{Criterion, criterion_group, criterion_main};
use switchyard::{
    routing::{CanonicalPath, HostMatch, Table, Target},
    snapshot::{Access, Action, HostPattern, PathPattern, Proxy, Route, RouteOrder, Vhost},
};

const SIZES: [usize; 3] = [10, 1_000, 10_000];
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// Look-ups in a cycle; a prime, so that no stride repeats itself early.
const ASKED: usize = 997;

fn vhost(hosts: Vec<HostPattern>, routes: Vec<Route>) -> Arc<Vhost> {
    Arc::new(Vhost {
        tenant: Default::default(),
        name: "bench".to_owned(),
        hosts,
        default: false,
        order: RouteOrder::Longest,
        routes,
        document_root: None,
        error_pages: Vec::new(),
        replace_member_errors: false,
        log: None,
    })
}

fn route(path: PathPattern) -> Route {
    let prefix = match &path {
        PathPattern::Prefix(prefix) => prefix.clone(),
        PathPattern::Regex(_) => String::new(),
    };
    let proxy = Proxy {
        balancer: "bench".to_owned(),
        prefix,
        preserve_host: false,
        upgrade: Vec::new(),
        rewrite: Vec::new(),
        candidates: Default::default(),
    };
    Route {
        name: "bench".to_owned(),
        path,
        access: Access::default(),
        action: Action::Proxy(Arc::new(proxy)),
    }
}

fn path(text: &str) -> CanonicalPath {
    CanonicalPath::parse(text.as_bytes()).expect("a path of letters")
}

/// Spread over all of them, in no order of the table's.
fn asked(count: usize) -> impl Iterator<Item = usize> {
    (0..ASKED).map(move |n| n * 7_919 % count)
}

fn vhosts(c: &mut Criterion) {
    let mut group = c.benchmark_group("one of so many vhosts");
    for count in SIZES {
        let claims = |n| {
            vec![
                HostPattern::Exact(format!("h{n}.test")),
                HostPattern::Suffix(format!(".s{n}.test")),
                HostPattern::Glob(format!("a*.g{n}.test")),
            ]
        };
        let everything = || vec![route(PathPattern::Prefix("/".to_owned()))];
        let all: Vec<_> = (0..count).map(|n| vhost(claims(n), everything())).collect();
        let table = Table::of(&all).expect("no patterns to fail");
        let path = path("/app/index.html");
        for (kind, by, before, after) in [
            ("name", HostMatch::Exact, "h", ""),
            ("suffix", HostMatch::Wildcard, "x.y.s", ""),
            ("glob", HostMatch::Wildcard, "ab.g", ""),
            ("nobody's", HostMatch::Default, "www.n", ".example"),
        ] {
            let hosts: Vec<_> = asked(count)
                .map(|n| format!("{before}{n}{after}.test"))
                .collect();
            assert!(
                hosts
                    .iter()
                    .all(|host| table.find(host, &path, CLIENT).by == by)
            );
            let mut next = hosts.iter().cycle();
            group.bench_function(format!("{kind}, {count}"), |b| {
                b.iter(|| {
                    let host = next.next().map_or("", String::as_str);
                    black_box(&table).find(host, &path, CLIENT).vhost_index
                });
            });
        }
    }
    group.finish();
}

fn routes(c: &mut Criterion) {
    let mut group = c.benchmark_group("one of so many routes");
    for count in SIZES {
        for (kind, pattern) in [
            (
                "prefix",
                (|n| PathPattern::Prefix(format!("/app/r{n}/x"))) as fn(usize) -> PathPattern,
            ),
            ("regex", |n| {
                PathPattern::Regex(format!("^/app/r{n}/[a-z]+/"))
            }),
        ] {
            let routes = (0..count).map(|n| route(pattern(n))).collect();
            let all = [vhost(vec![HostPattern::Exact("h.test".to_owned())], routes)];
            let table = Table::of(&all).expect("patterns that compile");
            let paths: Vec<_> = asked(count)
                .map(|n| (n, path(&format!("/app/r{n}/x/index.html"))))
                .collect();
            for (expected, path) in &paths {
                let found = table.find("h.test", path, CLIENT).target;
                assert!(matches!(found, Target::Route { index, .. } if index == *expected));
            }
            let mut next = paths.iter().cycle();
            group.bench_function(format!("{kind}, {count}"), |b| {
                b.iter(|| {
                    let (_, path) = next.next().expect("a cycle has no end");
                    let found = black_box(&table).find("h.test", path, CLIENT);
                    matches!(found.target, Target::Route { .. })
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, vhosts, routes);
criterion_main!(benches);
