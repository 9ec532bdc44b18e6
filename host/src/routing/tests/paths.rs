//! Paths that are accepted, and what becomes of them.

use crate::routing::CanonicalPath;

#[test]
fn accepted_targets_have_one_reading() {
    for (target, canonical, forward) in [
        ("/", "/", "/"),
        ("//", "/", "/"),
        ("/.", "/", "/"),
        ("/app", "/app", "/app"),
        ("/app/", "/app/", "/app/"),
        ("//app///x//", "/app/x/", "/app/x/"),
        ("/app/./x", "/app/x", "/app/x"),
        ("/app/.", "/app/", "/app/"),
        ("/app/x/..", "/app/", "/app/"),
        ("/a/../admin/x", "/admin/x", "/admin/x"),
        ("/a//../b", "/b", "/b"),
        ("/a;p=1/../b", "/b", "/b"),
        ("/...", "/...", "/..."),
        ("/.well-known/x", "/.well-known/x", "/.well-known/x"),
        ("/admin./x", "/admin./x", "/admin./x"),
        ("/ADMIN/x", "/ADMIN/x", "/ADMIN/x"),
        ("/%61dmin/x", "/admin/x", "/admin/x"),
        ("/a%2eb", "/a.b", "/a.b"),
        ("/app;jsessionid=1", "/app", "/app;jsessionid=1"),
        ("/app;v=1/x;w", "/app/x", "/app;v=1/x;w"),
        ("/app/;jsessionid=1", "/app/", "/app/;jsessionid=1"),
        ("/;jsessionid=1", "/", "/;jsessionid=1"),
        ("/app;a=%7E%2c", "/app", "/app;a=%7E%2c"),
        ("/files/a%2Fb%20c", "/files/a%2Fb c", "/files/a%2Fb%20c"),
        ("/files/a%2fb", "/files/a%2Fb", "/files/a%2fb"),
        ("/a%3Bb", "/a;b", "/a%3Bb"),
        ("/a%25b", "/a%b", "/a%25b"),
        ("/a%3Fb%23c", "/a?b#c", "/a%3Fb%23c"),
        ("/a%26b%3a", "/a&b:", "/a%26b%3a"),
        ("/ä", "/ä", "/%C3%A4"),
        ("/%c3%a4", "/ä", "/%c3%a4"),
        (
            "/a\"<>^`{|}[]",
            "/a\"<>^`{|}[]",
            "/a%22%3C%3E%5E%60%7B%7C%7D%5B%5D",
        ),
        ("/app;x=\"ä", "/app", "/app;x=%22%C3%A4"),
    ] {
        let path = CanonicalPath::parse(target.as_bytes())
            .unwrap_or_else(|error| panic!("{target}: {error}"));
        assert_eq!(
            (path.as_str(), path.forward(), path.query()),
            (canonical, forward, None),
            "{target}"
        );
    }
}

#[test]
fn queries_are_kept_as_sent_where_that_is_legal() {
    for (target, query) in [
        ("/x", None),
        ("/x?", Some("")),
        ("/x?a=1&b=%zz%", Some("a=1&b=%zz%")),
        ("/x?a=/../?b", Some("a=/../?b")),
        ("/x?y=%0d%0aX-Inj:%201", Some("y=%0d%0aX-Inj:%201")),
        (
            "/x?a[]=\"<>^`{|}\\ä",
            Some("a%5B%5D=%22%3C%3E%5E%60%7B%7C%7D%5C%C3%A4"),
        ),
    ] {
        let path = CanonicalPath::parse(target.as_bytes()).unwrap();
        assert_eq!(path.query(), query, "{target}");
        assert_eq!(path.forward(), "/x");
    }
}
