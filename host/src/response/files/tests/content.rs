//! Fields, conditions and ranges of a file that was found.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use super::{GET, ask, field, files, folder, sent};
use crate::response::files::{FileBody, FileRequest};

#[test]
fn files_are_served_with_type_and_validators() {
    let outer = folder();
    let files = files(&outer);
    for (target, text, content_type) in [
        ("/a.txt", "0123456789", "text/plain; charset=utf-8"),
        (
            "/a.txt;jsessionid=1?q",
            "0123456789",
            "text/plain; charset=utf-8",
        ),
        ("/docs/../a.txt", "0123456789", "text/plain; charset=utf-8"),
        ("/docs/", "<p>docs", "text/html; charset=utf-8"),
        ("/docs/b%20c.css", "p{}", "text/css; charset=utf-8"),
        ("/%C3%A4.js", "js", "text/javascript; charset=utf-8"),
        ("/100%25.txt", "100", "text/plain; charset=utf-8"),
        ("/empty.bin", "", "application/octet-stream"),
        ("/.well-known", "x", "application/octet-stream"),
    ] {
        let answer = ask(&files, target, GET);
        assert_eq!(
            (answer.status, sent(&answer).as_str()),
            (200, text),
            "{target}"
        );
        assert_eq!(
            field(&answer, "Content-Type"),
            Some(content_type),
            "{target}"
        );
        assert_eq!(answer.content_length, Some(text.len() as u64));
        assert_eq!(field(&answer, "Accept-Ranges"), Some("bytes"));
        assert!(
            field(&answer, "ETag").is_some_and(|tag| tag.starts_with('"') && tag.ends_with('"'))
        );
        assert!(
            field(&answer, "Last-Modified")
                .is_some_and(|date| httpdate::parse_http_date(date).is_ok())
        );
    }
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let outer = folder();
    let files = files(&outer);
    let get = ask(&files, "/a.txt", GET);
    let head = ask(
        &files,
        "/a.txt",
        FileRequest {
            method: "HEAD",
            range: Some("bytes=0-1"),
            ..GET
        },
    );
    assert_eq!(
        (head.status, &head.fields, head.content_length),
        (200, &get.fields, Some(10))
    );
    assert!(matches!(head.body, FileBody::Empty));
}

#[test]
fn conditions_decide_between_200_304_and_412() {
    let outer = folder();
    let files = files(&outer);
    let first = ask(&files, "/a.txt", GET);
    let tag = field(&first, "ETag").unwrap();
    let date = field(&first, "Last-Modified").unwrap();
    for (request, status) in [
        (
            FileRequest {
                if_none_match: Some(tag),
                ..GET
            },
            304,
        ),
        (
            FileRequest {
                if_none_match: Some(tag),
                method: "HEAD",
                ..GET
            },
            304,
        ),
        (
            FileRequest {
                if_none_match: Some("\"x\""),
                if_modified_since: Some(date),
                ..GET
            },
            200,
        ),
        (
            FileRequest {
                if_modified_since: Some(date),
                ..GET
            },
            304,
        ),
        (
            FileRequest {
                if_match: Some(tag),
                ..GET
            },
            200,
        ),
        (
            FileRequest {
                if_match: Some("\"x\""),
                ..GET
            },
            412,
        ),
        (
            FileRequest {
                if_unmodified_since: Some("Sun, 06 Nov 1994 08:49:37 GMT"),
                ..GET
            },
            412,
        ),
        (
            FileRequest {
                if_none_match: Some(tag),
                range: Some("bytes=0-1"),
                ..GET
            },
            304,
        ),
    ] {
        let answer = ask(&files, "/a.txt", request);
        assert_eq!(answer.status, status, "{request:?}");
        if status != 200 {
            assert!(matches!(answer.body, FileBody::Empty) && answer.content_length.is_none());
            assert_eq!(field(&answer, "ETag"), Some(tag));
        }
    }
    let file = fs::OpenOptions::new()
        .append(true)
        .open(files.root.join("a.txt"))
        .unwrap();
    std::io::Write::write_all(&mut &file, b"!").unwrap();
    assert_eq!(
        ask(
            &files,
            "/a.txt",
            FileRequest {
                if_none_match: Some(tag),
                ..GET
            }
        )
        .status,
        200
    );
}

#[test]
fn dates_of_files_never_lie_in_the_future_or_before_1970() {
    let outer = folder();
    let files = files(&outer);
    let file = fs::File::options()
        .write(true)
        .open(files.root.join("a.txt"))
        .unwrap();
    let year = Duration::from_secs(31_536_000);
    file.set_modified(SystemTime::now() + year * 30).unwrap();
    let future = ask(&files, "/a.txt", GET);
    let date = httpdate::parse_http_date(field(&future, "Last-Modified").unwrap()).unwrap();
    assert!(date <= SystemTime::now());
    file.set_modified(SystemTime::UNIX_EPOCH - year).unwrap();
    let past = ask(&files, "/a.txt", GET);
    assert_eq!(
        field(&past, "Last-Modified"),
        Some("Thu, 01 Jan 1970 00:00:00 GMT")
    );
    assert_ne!(field(&past, "ETag"), field(&future, "ETag"));
}

#[test]
fn one_range_is_sent_alone() {
    let outer = folder();
    let files = files(&outer);
    for (range, status, text, content_range) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=-1", 206, "9", Some("bytes 9-9/10")),
        ("bytes=0-5,3-9", 206, "0123456789", Some("bytes 0-9/10")),
        ("bytes=10-", 416, "", Some("bytes */10")),
        ("bytes=4-2", 200, "0123456789", None),
        ("pages=1", 200, "0123456789", None),
    ] {
        let answer = ask(
            &files,
            "/a.txt",
            FileRequest {
                range: Some(range),
                ..GET
            },
        );
        assert_eq!(
            (answer.status, sent(&answer).as_str()),
            (status, text),
            "{range}"
        );
        assert_eq!(field(&answer, "Content-Range"), content_range, "{range}");
        assert_eq!(
            answer.content_length,
            (status != 416).then_some(text.len() as u64)
        );
    }
}

#[test]
fn a_range_of_another_version_gets_the_whole_file() {
    let outer = folder();
    let files = files(&outer);
    let tag = field(&ask(&files, "/a.txt", GET), "ETag")
        .unwrap()
        .to_owned();
    for (if_range, status) in [
        (tag.as_str(), 206),
        ("\"x\"", 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ] {
        let request = FileRequest {
            range: Some("bytes=0-1"),
            if_range: Some(if_range),
            ..GET
        };
        assert_eq!(ask(&files, "/a.txt", request).status, status, "{if_range}");
    }
}

#[test]
fn several_ranges_are_sent_as_parts() {
    let outer = folder();
    let answer = ask(
        &files(&outer),
        "/a.txt",
        FileRequest {
            range: Some("bytes=7-8,0-1"),
            ..GET
        },
    );
    let boundary = field(&answer, "Content-Type")
        .unwrap()
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/10\r\n\r\n{text}\r\n"
        )
    };
    let expected = format!(
        "{}{}--{boundary}--\r\n",
        part("7-8", "78"),
        part("0-1", "01")
    );
    assert_eq!((answer.status, sent(&answer)), (206, expected.clone()));
    assert_eq!(answer.content_length, Some(expected.len() as u64));
    assert_eq!(field(&answer, "Content-Range"), None);
    let again = ask(
        &files(&outer),
        "/a.txt",
        FileRequest {
            range: Some("bytes=7-8,0-1"),
            ..GET
        },
    );
    assert_ne!(
        field(&again, "Content-Type"),
        field(&answer, "Content-Type")
    );
}

#[test]
fn an_empty_file_has_no_ranges() {
    let outer = folder();
    for (range, status) in [("bytes=0-", 416), ("bytes=-1", 200)] {
        let answer = ask(
            &files(&outer),
            "/empty.bin",
            FileRequest {
                range: Some(range),
                ..GET
            },
        );
        assert_eq!(answer.status, status, "{range}");
        assert!(matches!(answer.body, FileBody::Empty));
    }
}
