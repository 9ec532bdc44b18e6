//! No accepted path is another path to a server behind.

use proptest::prelude::*;

use super::fixture::{CLIENT, deny, outcome, proxy, table, vhost};
use crate::{
    routing::{CanonicalPath, Table, Target},
    snapshot::RouteOrder,
};

fn guarded() -> Table {
    table(vec![vhost(
        "h.test",
        RouteOrder::Longest,
        vec![deny("/admin"), deny("/a/admin"), proxy("/")],
    )])
}

#[test]
fn known_tricks_are_refused_or_denied_and_look_alikes_pass() {
    let table = guarded();
    for (target, expected) in [
        ("/admin/x", "denied by /admin"),
        ("/a/../admin/x", "denied by /admin"),
        ("/a/..;/admin/x", "refused"),
        ("/a/..;x=y/admin/x", "refused"),
        ("/a/%2e%2e/admin/x", "refused"),
        ("/a/%2E%2E/admin/x", "refused"),
        ("/a/.%2e/admin/x", "refused"),
        ("/a/..%2fadmin/x", "refused"),
        ("/a%2f..%2fadmin/x", "refused"),
        ("//admin/x", "denied by /admin"),
        ("///admin/x", "denied by /admin"),
        ("/./admin/x", "denied by /admin"),
        ("/;/admin/x", "refused"),
        ("/admin;x/x", "denied by /admin"),
        ("/admin;jsessionid=1/x", "denied by /admin"),
        ("/%61dmin/x", "denied by /admin"),
        ("/adm%69n/x", "denied by /admin"),
        ("/a\\..\\admin/x", "refused"),
        ("/a%5c..%5cadmin/x", "refused"),
        ("/a/%252e%252e/admin/x", "refused"),
        ("/admin%00/x", "refused"),
        ("/a/..%3b/admin/x", "refused"),
        ("/a/%c0%ae%c0%ae/admin/x", "refused"),
        ("/%09admin/x", "refused"),
        ("/%2e/admin/x", "refused"),
        ("/%u0061dmin/x", "refused"),
        ("/admin#/x", "refused"),
        ("/admin%2f/x", "refused"),
        ("/admin%2fx", "ambiguous"),
        ("/admin%3b/x", "ambiguous"),
        ("/%2561dmin/x", "ambiguous"),
        ("/a%2fadmin/x", "ambiguous"),
        ("/admin%3f/x", "/"),
        ("/ADMIN/x", "/"),
        ("/admin./x", "/"),
        ("/files/a%2Fb%20c", "/"),
    ] {
        let seen = match CanonicalPath::parse(target.as_bytes()) {
            Ok(path) => outcome(&table.find("h.test", &path, CLIENT)),
            Err(_) => "refused".to_owned(),
        };
        assert_eq!(seen, expected, "{target}");
    }
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if path[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(path[at]);
                at += 1;
            }
        }
    }
    out
}

fn stripped(path: &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path
        .split(|&b| b == b'/')
        .map(|s| s.split(|&b| b == b';').next().unwrap_or_default())
        .collect();
    segments.join(&b'/')
}

fn normalised(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&b| b == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(out.pop()),
            _ => out.push(segment),
        }
    }
    [b"/", out.join(&b'/').as_slice()].concat()
}

/// Every path that some server may make of `path`: parameters cut off or not, before or
/// after decoding once or twice, a backslash as a slash or not, then dots resolved.
fn readings(path: &[u8]) -> Vec<Vec<u8>> {
    let slashed = |path: &[u8]| {
        path.iter()
            .map(|&b| if b == b'\\' { b'/' } else { b })
            .collect::<Vec<u8>>()
    };
    let mut readings = vec![path.to_vec()];
    for _ in 0..2 {
        let next = |path: &Vec<u8>| [path.clone(), stripped(path), decoded(path), slashed(path)];
        readings = readings
            .iter()
            .flat_map(next)
            .flat_map(|path| [stripped(&path), path])
            .collect();
        readings.sort();
        readings.dedup();
    }
    readings.iter().map(|path| normalised(path)).collect()
}

fn under(path: &[u8], prefix: &str) -> bool {
    path.strip_prefix(prefix.as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Targets made of what such tricks are made of.
fn tricky() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&'static [u8]] = &[
        b"/",
        b"/",
        b"/",
        b"admin",
        b"admin",
        b"a",
        b".",
        b"..",
        b"../",
        b"/..",
        b";",
        b";x=1",
        b"%2e",
        b"%2E",
        b"%2f",
        b"%2F",
        b"%3b",
        b"%3B",
        b"%25",
        b"%",
        b"2e",
        b"2f",
        b"3b",
        b"5c",
        b"%5c",
        b"\\",
        b"%61dmin",
        b"adm%69n",
        b"%61",
        b"%00",
        b"%20",
        b"%c0%ae",
        b"%c3%a4",
        b"\xc3\xa4",
        b"%ff",
        b"//",
        b"/;",
        b"/a/",
        b"\"",
        b"?",
        b"=",
        b"%3f",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..10)
        .prop_map(|pieces| [b"/".as_slice(), &pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_server_behind_sees_a_denied_path_in_one_that_passes(target in tricky()) {
        let table = guarded();
        let Ok(path) = CanonicalPath::parse(&target) else { return Ok(()) };
        if let Target::Route { .. } = table.find("h.test", &path, CLIENT).target {
            for reading in readings(path.forward().as_bytes()) {
                for denied in ["/admin", "/a/admin"] {
                    prop_assert!(
                        !under(&reading, denied),
                        "{} is sent as {} and read as {}",
                        target.escape_ascii(), path.forward(), reading.escape_ascii(),
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_sent_on_reads_the_same_again(target in tricky()) {
        let Ok(path) = CanonicalPath::parse(&target) else { return Ok(()) };
        let again = CanonicalPath::parse(path.target().as_bytes());
        prop_assert_eq!(again.as_ref(), Ok(&path), "{}", target.escape_ascii());
    }

    #[test]
    fn what_is_sent_on_is_a_legal_target(target in prop::collection::vec(any::<u8>(), 0..40)) {
        let target = [b"/".as_slice(), &target].concat();
        let Ok(path) = CanonicalPath::parse(&target) else { return Ok(()) };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
        prop_assert!(path.target().bytes().all(legal), "{}", path.target());
        prop_assert!(path.as_str().starts_with('/') && path.forward().starts_with('/'));
        prop_assert!(!path.as_str().contains("//") && !path.as_str().contains('\0'));
    }
}
