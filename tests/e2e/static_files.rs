//! Files from disk.

use std::os::unix::fs::symlink;

use switchyard_tests::{Gateway, Request, Setup};

use crate::conf::site;

/// `/files` from a folder with a few files; a secret lies beside it.
fn files() -> Gateway {
    let setup = Setup::new("")
        .file("secret.txt", "secret")
        .file("root/index.html", "<h1>index</h1>")
        .file("root/logo.txt", "0123456789")
        .file("root/style.css", "a {}")
        .file("root/pic.svg", "<svg/>")
        .file("root/app.js", "x")
        .file("root/data.unknown-kind", "?")
        .file("root/.hidden", "hidden")
        .file("root/sub dir/ä.html", "ä")
        .file("root/empty/nothing.txt", "");
    let root = setup.dir().join("root");
    symlink(setup.dir().join("secret.txt"), root.join("leak.txt")).unwrap();
    symlink(setup.dir(), root.join("leakdir")).unwrap();
    symlink("logo.txt", root.join("alias.txt")).unwrap();
    let text = site(&[(
        "/files",
        &format!("static = {:?}", root.display().to_string()),
    )]);
    setup.body(text).start()
}

#[test]
fn files_are_served_with_their_types() {
    let gateway = files();
    for (path, kind, body) in [
        ("/files/logo.txt", "text/plain", "0123456789"),
        ("/files/style.css", "text/css", "a {}"),
        ("/files/pic.svg", "image/svg+xml", "<svg/>"),
        ("/files/index.html", "text/html", "<h1>index</h1>"),
        ("/files/sub%20dir/%C3%A4.html", "text/html", "ä"),
    ] {
        let response = gateway.get(path);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, body),
            "{path}"
        );
        assert!(
            response.field("content-type").unwrap().starts_with(kind),
            "{path}: {response:?}"
        );
        assert_eq!(
            response.field("content-length"),
            Some(body.len().to_string().as_str()),
            "{path}"
        );
    }
    assert!(
        gateway
            .get("/files/app.js")
            .field("content-type")
            .unwrap()
            .contains("javascript")
    );
    assert_eq!(gateway.get("/files/data.unknown-kind").status, 200);
    assert_eq!(gateway.get("/files/empty/nothing.txt").body, b"");
}

#[test]
fn a_folder_is_answered_by_its_index_and_needs_its_slash() {
    let gateway = files();
    assert_eq!(gateway.get("/files/").text(), "<h1>index</h1>");
    let bare = gateway.get("/files");
    assert!(
        bare.text() == "<h1>index</h1>"
            || bare
                .field("location")
                .is_some_and(|l| l.ends_with("/files/")),
        "relative links of the index must work: {bare:?}"
    );
    let folder = gateway.get("/files/sub%20dir");
    assert!(
        matches!(folder.status, 301 | 302 | 307 | 308 | 403 | 404),
        "{folder:?}"
    );
    let listing = gateway.get("/files/empty/");
    assert!(
        matches!(listing.status, 403 | 404),
        "nothing is listed: {listing:?}"
    );
}

#[test]
fn head_gives_the_fields_without_the_body() {
    let gateway = files();
    let mut client = gateway.connect();
    let head = client.ask(&Request::new("HEAD", "/files/logo.txt"));
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some("10"))
    );
    assert_eq!(
        client.get("/files/logo.txt").text(),
        "0123456789",
        "the connection is in step"
    );
}

#[test]
fn other_methods_are_not_allowed() {
    let gateway = files();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let response =
            gateway.ask(&Request::new(method, "/files/logo.txt").field("Content-Length", "0"));
        assert_eq!(response.status, 405, "{method}");
        let allow = response.field("allow").unwrap_or_default();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
}

#[test]
fn ranges_are_served() {
    let gateway = files();
    let ask = |range: &str| gateway.ask(&Request::get("/files/logo.txt").field("Range", range));
    for (range, content_range, body) in [
        ("bytes=0-3", "bytes 0-3/10", "0123"),
        ("bytes=5-", "bytes 5-9/10", "56789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=8-100", "bytes 8-9/10", "89"),
    ] {
        let response = ask(range);
        assert_eq!(
            (response.status, response.text().as_str()),
            (206, body),
            "{range}"
        );
        assert_eq!(response.field("content-range"), Some(content_range));
    }
    let beyond = ask("bytes=10-");
    assert_eq!(
        (beyond.status, beyond.field("content-range")),
        (416, Some("bytes */10"))
    );
    for nonsense in ["bytes=3-1", "bytes=x-y", "lines=1-2"] {
        let response = ask(nonsense);
        assert_eq!(
            (response.status, response.body.len()),
            (200, 10),
            "{nonsense}: what is no range is ignored"
        );
    }
    let full = gateway.get("/files/logo.txt");
    assert_eq!(full.field("accept-ranges"), Some("bytes"));
}

#[test]
fn conditions_spare_the_body() {
    let gateway = files();
    let full = gateway.get("/files/logo.txt");
    let (etag, modified) = (
        full.field("etag").unwrap().to_owned(),
        full.field("last-modified").unwrap().to_owned(),
    );
    for (name, value, status) in [
        ("If-None-Match", etag.as_str(), 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"other\", W/\"more\"", 200),
        ("If-Modified-Since", modified.as_str(), 304),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 412),
    ] {
        let response = gateway.ask(&Request::get("/files/logo.txt").field(name, value));
        assert_eq!(response.status, status, "{name}: {value}");
        assert_eq!(
            response.body.len(),
            if status == 200 {
                10
            } else {
                response.body.len()
            }
        );
        if status == 304 {
            assert!(response.body.is_empty());
            assert_eq!(response.field("etag"), Some(etag.as_str()));
        }
    }
    let changed = Request::get("/files/logo.txt")
        .field("Range", "bytes=0-3")
        .field("If-Range", "\"other\"");
    assert_eq!(
        gateway.ask(&changed).status,
        200,
        "a part of another version would not fit"
    );
    let same = Request::get("/files/logo.txt")
        .field("Range", "bytes=0-3")
        .field("If-Range", &etag);
    // A weak validator never matches for ranges (RFC 9110 13.1.5).
    assert_eq!(
        gateway.ask(&same).status,
        if etag.starts_with("W/") { 200 } else { 206 }
    );
}

#[test]
fn a_changed_file_has_another_tag() {
    let gateway = files();
    let before = gateway
        .get("/files/logo.txt")
        .field("etag")
        .unwrap()
        .to_owned();
    gateway.replace_file("root/logo.txt", "another length");
    let after = gateway.get("/files/logo.txt");
    assert_eq!(after.text(), "another length");
    assert_ne!(after.field("etag"), Some(before.as_str()));
}

#[test]
fn nothing_outside_the_root_is_served() {
    let gateway = files();
    for path in [
        "/files/../secret.txt",
        "/files/..%2fsecret.txt",
        "/files/%2e%2e/secret.txt",
        "/files/..;/secret.txt",
        "/files/sub%20dir/../../secret.txt",
        "/files/..%5csecret.txt",
        "/files/%2e%2e%2fsecret.txt",
        "/files//../secret.txt",
        "/files/..%252fsecret.txt",
        "/files/secret.txt%00.txt",
        "/files/leak.txt",
        "/files/leakdir/secret.txt",
        "/files/leakdir/root/../secret.txt",
        "/files//etc/passwd",
        "/files/%2fetc/passwd",
    ] {
        let response = gateway.get(path);
        assert!(
            matches!(response.status, 400 | 403 | 404),
            "{path}: {response:?}"
        );
        assert!(!response.text().contains("secret"), "{path}");
    }
    assert_eq!(
        gateway.get("/files/alias.txt").text(),
        "0123456789",
        "a link within the root is fine"
    );
}

#[test]
fn what_is_no_file_is_not_found() {
    let gateway = files();
    for path in [
        "/files/none.txt",
        "/files/logo.txt/",
        "/files/logo.txt/more",
    ] {
        assert_eq!(gateway.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_fifo_hangs_nobody() {
    let gateway = files();
    let path =
        std::ffi::CString::new(gateway.dir().join("root/pipe.txt").display().to_string()).unwrap();
    // SAFETY: a valid, NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o644) }, 0);
    assert!(matches!(gateway.get("/files/pipe.txt").status, 403 | 404));
}

#[test]
fn error_pages_are_the_operators_own() {
    let dead = switchyard_tests::ReservedPort::new();
    let setup = Setup::new("")
        .file("pages/missing.html", "<p>ours: 404</p>")
        .file("pages/oops.txt", "ours: 5xx");
    let text = site(&[]).replace(
        "default = true",
        "default = true\nerror_page = { \"404\" = \"pages/missing.html\", \"5xx\" = \"pages/oops.txt\" }",
    ) + &format!("[[vhost.route]]\npath = \"/dead\"\nproxy = \"{}/\"\n", dead.url());
    let gateway = setup.body(text).start();
    let missing = gateway.get("/nothing");
    assert_eq!(
        (missing.status, missing.text().as_str()),
        (404, "<p>ours: 404</p>")
    );
    assert!(
        missing
            .field("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    let dead = gateway.get("/dead");
    assert!(dead.status >= 500);
    assert_eq!(dead.text(), "ours: 5xx");
}

#[test]
fn members_error_bodies_are_replaced_only_where_configured() {
    use switchyard_tests::{Member, scripts};

    use crate::conf::{balancer, entry};

    let a = Member::start(
        "a",
        scripts::answer(
            "404 Not Found",
            &[("X-Kept", "no matter")],
            "the member's own",
        ),
    );
    for (replace, expected) in [("false", "the member's own"), ("true", "ours")] {
        let text = site(&[("/", "balancer = \"cl\"")]).replace(
            "default = true",
            &format!("default = true\nerror_page = {{ \"404\" = \"404.html\" }}\nreplace_member_errors = {replace}"),
        );
        let gateway = Setup::new(text + &balancer("cl", "", &[entry(&a, "")]))
            .file("404.html", "ours")
            .start();
        let mut client = gateway.connect();
        for _ in 0..2 {
            let response = client.get("/");
            assert_eq!((response.status, response.text().as_str()), (404, expected));
        }
    }
}

#[test]
fn what_clients_act_on_survives_a_replaced_error_body() {
    use crate::{
        conf::{balancer, entry},
        mouth::Mouth,
    };

    let a = Mouth::start("a");
    let text = site(&[("/", "balancer = \"cl\"")]).replace(
        "default = true",
        "default = true\nerror_page = { \"4xx\" = \"sorry.html\", \"503\" = \"sorry.html\" }\nreplace_member_errors = true",
    );
    // Without a session cookie of the members, the gateway sets one of its own.
    let keys = "stickysession = \"ROUTEID\"\nroute_cookie = {}";
    let members = [entry(&a.member, "route = \"a\"")];
    let gateway = Setup::new(text + &balancer("cl", keys, &members))
        .file("sorry.html", "ours")
        .start();
    let mut client = gateway.connect();

    let login = [
        ("WWW-Authenticate", "Basic realm=\"x\""),
        ("WWW-Authenticate", "Negotiate"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Encoding", "gzip"),
        ("Content-Type", "application/x-own"),
    ];
    a.say(401, &login);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (401, "ours"));
    assert_eq!(
        answer.all("www-authenticate"),
        ["Basic realm=\"x\"", "Negotiate"]
    );
    let cookies = answer.all("set-cookie");
    assert_eq!(cookies[..2], ["a=1", "b=2"]);
    assert!(cookies[2].starts_with("ROUTEID="), "{cookies:?}");
    assert_eq!(
        answer.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(answer.field("content-encoding"), None);

    a.say(405, &[("Allow", "GET, REPORT")]);
    assert_eq!(client.get("/").all("allow"), ["GET, REPORT"]);
    a.say(503, &[("Retry-After", "120")]);
    assert_eq!(client.get("/").all("retry-after"), ["120"]);
    // Where a member says nothing, nothing is put into its mouth.
    a.say(405, &[]);
    let answer = client.get("/");
    assert_eq!((answer.status, answer.all("allow").len()), (405, 0));
}
