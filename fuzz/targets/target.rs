//! An authority and a path are read once: what is sent on reads as what was decided about.
//! The input's first line is the authority, the rest the request-target.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::{
    decision::path_parameter,
    routing::{Authority, CanonicalPath},
};

fuzz_target!(|bytes: &[u8]| {
    let line = bytes.iter().position(|&byte| byte == b'\n');
    let (authority, target) = match line {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b"h"[..], bytes),
    };
    if let Ok(read) = Authority::parse(authority) {
        let again = Authority::parse(read.host().as_bytes()).expect("a host is an authority");
        assert_eq!(again.host(), read.host());
        assert_eq!(read.as_str().as_bytes(), authority);
        assert_eq!(read.host(), read.host().to_ascii_lowercase());
    }
    let Ok(read) = CanonicalPath::parse(target) else {
        return;
    };
    let sent = read.target().as_bytes();
    assert!(sent.iter().all(|byte| (0x21..=0x7e).contains(byte)));
    let canonical = read.as_str();
    assert!(canonical.starts_with('/') && !canonical.contains("//"));
    let climbs = |segment: &str| matches!(segment, "." | "..");
    assert!(!canonical.split('/').any(climbs), "{canonical}");

    let again = CanonicalPath::parse(sent).expect("what is sent on is well-formed");
    assert_eq!(again.as_str(), canonical);
    assert_eq!(again.target(), read.target());
    assert_eq!(again.query(), read.query());
    assert_eq!(again.alternates(), read.alternates());

    for prefix in ["/", "/a", "/a/", "/a/b", "/;", ""] {
        let mapped = read.mapped(prefix, "/base");
        assert!(mapped.starts_with('/'), "{mapped} of {prefix}");
        let _ = read.mapped(prefix, "");
    }
    let _ = path_parameter(read.forward(), "jsessionid");
});
