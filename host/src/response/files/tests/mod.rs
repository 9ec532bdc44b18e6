//! Whole answers from real folders.

mod content;
mod names;

use std::{fs, os::unix::fs::FileExt};

use tempfile::TempDir;

use super::{FileAnswer, FileBody, FileRequest, Part, serve};
use crate::{routing::CanonicalPath, snapshot::StaticFiles};

const GET: FileRequest<'static> = FileRequest {
    method: "GET",
    range: None,
    if_range: None,
    if_none_match: None,
    if_modified_since: None,
    if_match: None,
    if_unmodified_since: None,
};

fn folder() -> TempDir {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("secret.txt"), "secret").unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("docs/empty")).unwrap();
    for (name, text) in [
        ("a.txt", "0123456789"),
        ("docs/index.html", "<p>docs"),
        ("docs/b c.css", "p{}"),
        ("empty.bin", ""),
        (".htaccess", "secret"),
        (".well-known", "x"),
        ("100%.txt", "100"),
        ("ä.js", "js"),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
    outer
}

fn files(outer: &TempDir) -> StaticFiles {
    StaticFiles {
        beneath: None,
        root: outer.path().join("root"),
        prefix: String::new(),
        index: vec!["index.html".to_owned()],
    }
}

fn ask(files: &StaticFiles, target: &str, request: FileRequest<'_>) -> FileAnswer {
    let path =
        CanonicalPath::parse(target.as_bytes()).unwrap_or_else(|error| panic!("{target}: {error}"));
    serve(files, &path, request)
}

fn field<'a>(answer: &'a FileAnswer, name: &str) -> Option<&'a str> {
    answer
        .fields
        .iter()
        .find(|(field, _)| *field == name)
        .map(|(_, value)| value.as_str())
}

/// What the caller would send.
fn sent(answer: &FileAnswer) -> String {
    let read = |file: &fs::File, offset, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    let bytes = match &answer.body {
        FileBody::Empty => Vec::new(),
        FileBody::File {
            file,
            offset,
            length,
        } => read(file, *offset, *length),
        FileBody::Parts { file, parts, end } => {
            let piece =
                |part: &Part| [part.head.clone(), read(file, part.offset, part.length)].concat();
            [parts.iter().flat_map(piece).collect(), end.clone()].concat()
        }
    };
    String::from_utf8(bytes).unwrap()
}
