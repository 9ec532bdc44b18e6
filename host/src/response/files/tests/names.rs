//! Which names lead to a file, and what the others get.

use std::{
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
};

use super::{GET, ask, field, files, folder, sent};
use crate::{response::files::FileRequest, snapshot::StaticFiles};

#[test]
fn other_methods_are_not_allowed() {
    let outer = folder();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", ""] {
        let answer = ask(&files(&outer), "/a.txt", FileRequest { method, ..GET });
        assert_eq!(
            (answer.status, field(&answer, "Allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
}

#[test]
fn what_is_not_there_or_not_for_clients_is_refused() {
    let outer = folder();
    let files = files(&outer);
    let root = &files.root;
    symlink("../secret.txt", root.join("out.txt")).unwrap();
    symlink("a.txt", root.join("in.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let fifo = std::ffi::CString::new(root.join("fifo").to_str().unwrap()).unwrap();
    // SAFETY: the path is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    for (target, status) in [
        ("/none", 404),
        ("/a.txt/", 404),
        ("/a.txt/x", 404),
        ("/docs/none/", 404),
        ("/docs%2Findex.html", 404),
        ("/docs/empty/", 403),
        ("/", 403),
        ("/.htaccess", 403),
        ("/.HTpasswd", 403),
        ("/.hta/x", 403),
        ("/out.txt", 403),
        ("/up/secret.txt", 403),
        ("/in.txt", 200),
        ("/socket", 403),
        ("/fifo", 403),
    ] {
        assert_eq!(ask(&files, target, GET).status, status, "{target}");
    }
    let long = format!("/{}", "x".repeat(5000));
    assert_eq!(ask(&files, &long, GET).status, 404);
    let gone = StaticFiles {
        root: root.join("gone"),
        ..files
    };
    assert_eq!(ask(&gone, "/", GET).status, 404);
}

#[test]
fn a_device_is_not_served() {
    let files = StaticFiles {
        beneath: None,
        root: Path::new("/dev").to_owned(),
        prefix: String::new(),
        index: Vec::new(),
    };
    for target in ["/null", "/zero"] {
        assert_eq!(ask(&files, target, GET).status, 403, "{target}");
    }
}

#[test]
fn folders_are_sent_to_their_slash_with_the_query() {
    let outer = folder();
    let files = files(&outer);
    for (target, location) in [
        ("/docs", "/docs/"),
        ("/docs?q=1&r", "/docs/?q=1&r"),
        ("/docs;jsessionid=1?q", "/docs/?q"),
        ("//docs", "/docs/"),
        ("/docs/empty", "/docs/empty/"),
    ] {
        let answer = ask(&files, target, GET);
        assert_eq!(
            (answer.status, field(&answer, "Location")),
            (301, Some(location)),
            "{target}"
        );
    }
}

#[test]
fn a_prefix_is_cut_off_at_a_segment() {
    let outer = folder();
    let files = StaticFiles {
        prefix: "/images".to_owned(),
        ..files(&outer)
    };
    for (target, status) in [
        ("/images/a.txt", 200),
        ("/images;v=1/a.txt", 200),
        ("/images/docs/", 200),
        ("/images", 301),
        ("/images/", 403),
        ("/imagesa.txt", 404),
        ("/a.txt", 404),
        ("/images/images/a.txt", 404),
    ] {
        assert_eq!(ask(&files, target, GET).status, status, "{target}");
    }
    assert_eq!(
        field(&ask(&files, "/images?q", GET), "Location"),
        Some("/images/?q")
    );
}

#[test]
fn the_first_index_that_is_a_file_is_served() {
    let outer = folder();
    let mut files = files(&outer);
    files.index = ["none.html", "empty", "b c.css", "index.html"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(sent(&ask(&files, "/docs/", GET)), "p{}");
    files.index = vec!["../secret.txt".to_owned(), "none".to_owned()];
    assert_eq!(ask(&files, "/docs/", GET).status, 403);
}
