//! From a canonical path to a file's answer.

use std::{
    fs::{File, Metadata},
    hash::{BuildHasher, RandomState},
    time::SystemTime,
};

use super::{
    FileAnswer, FileBody, FileRequest, Part,
    conditional::{Validators, Verdict},
    open::{self, Opened},
    range::{self, Piece, Selected},
};
use crate::{routing::CanonicalPath, snapshot::StaticFiles};

/// Answers for the file that `path` names in `files`. Blocks on the file system.
pub fn serve(files: &StaticFiles, path: &CanonicalPath, request: FileRequest<'_>) -> FileAnswer {
    if !matches!(request.method, "GET" | "HEAD") {
        return FileAnswer::bare(405).with("Allow", "GET, HEAD");
    }
    // A file's name holds no slash, so an encoded one names nothing.
    let Some(rest) = below(files, path).filter(|rest| !rest.contains("%2F")) else {
        return FileAnswer::bare(404);
    };
    if rest.split('/').any(is_hidden) {
        return FileAnswer::bare(403);
    }
    let name = rest.strip_prefix('/').unwrap_or(rest);
    if name.ends_with('/') || name.is_empty() && !rest.is_empty() {
        return index(files, name, &request);
    }
    match open::beneath(files, name) {
        Opened::File(file, metadata) => deliver(file, &metadata, name, &request),
        Opened::Folder => FileAnswer::bare(301).with("Location", with_slash(path)),
        other => refuse(other),
    }
}

/// What `path` has after the route's prefix: empty, or starting with a slash.
fn below<'p>(files: &StaticFiles, path: &'p CanonicalPath) -> Option<&'p str> {
    let under = path.is_under(&files.prefix).then(|| path.as_str());
    under.and_then(|path| path.strip_prefix(files.prefix.trim_end_matches('/')))
}

/// `.htaccess`, `.htpasswd` and their like, which httpd's own configuration refuses too.
/// In any case of letters, for file systems that know no difference.
fn is_hidden(segment: &str) -> bool {
    segment
        .get(..3)
        .is_some_and(|start| start.eq_ignore_ascii_case(".ht"))
}

fn index(files: &StaticFiles, folder: &str, request: &FileRequest<'_>) -> FileAnswer {
    for index in &files.index {
        let name = format!("{folder}{index}");
        match open::beneath(files, &name) {
            Opened::File(file, metadata) => return deliver(file, &metadata, &name, request),
            Opened::Missing | Opened::Folder => {}
            other => return refuse(other),
        }
    }
    match open::beneath(files, folder) {
        Opened::Folder => FileAnswer::bare(403), // No listing.
        other => refuse(other),
    }
}

fn refuse(opened: Opened) -> FileAnswer {
    match opened {
        Opened::File(..) | Opened::Folder | Opened::Missing => FileAnswer::bare(404),
        Opened::Forbidden(None) => FileAnswer::bare(403),
        Opened::Forbidden(Some(cause)) => FileAnswer::bare(403).because(cause),
        Opened::Exhausted(cause) => FileAnswer::bare(503).because(cause),
        Opened::Failed(cause) => FileAnswer::bare(500).because(cause),
    }
}

/// The client's own path with a slash, so that relative links of the index work. It
/// starts with exactly one slash: it cannot name another host.
fn with_slash(path: &CanonicalPath) -> String {
    let forward = path.forward();
    let last = forward.rfind('/').unwrap_or(0);
    let name_end = forward[last..]
        .find(';')
        .map_or(forward.len(), |at| last + at);
    match path.query() {
        Some(query) => format!("{}/?{query}", &forward[..name_end]),
        None => format!("{}/", &forward[..name_end]),
    }
}

fn deliver(file: File, metadata: &Metadata, name: &str, request: &FileRequest<'_>) -> FileAnswer {
    let validators = Validators::of(metadata, SystemTime::now());
    let validated = |status| {
        FileAnswer::bare(status)
            .with("ETag", validators.etag.as_str())
            .with("Last-Modified", validators.last_modified())
    };
    match validators.judge(request) {
        Verdict::Proceed => {}
        Verdict::NotModified => return validated(304),
        Verdict::Failed => return validated(412),
    }
    let size = metadata.len();
    let range = request
        .range
        .filter(|_| request.method == "GET" && validators.allow_range(request.if_range));
    let selected = range.map_or(Selected::Whole, |range| range::select(range, size));
    let content_type = content_type(name);
    match selected {
        Selected::Nothing => FileAnswer::bare(416)
            .with("Accept-Ranges", "bytes")
            .with("Content-Range", format!("bytes */{size}")),
        Selected::Whole => {
            let answer = validated(200)
                .with("Accept-Ranges", "bytes")
                .with("Content-Type", content_type);
            let is_empty = size == 0 || request.method == "HEAD";
            let body = if is_empty {
                FileBody::Empty
            } else {
                FileBody::File {
                    file,
                    offset: 0,
                    length: size,
                }
            };
            FileAnswer {
                content_length: Some(size),
                body,
                ..answer
            }
        }
        Selected::Pieces(pieces) => match pieces[..] {
            [piece] => {
                let Piece { offset, length } = piece;
                let answer = validated(206)
                    .with("Accept-Ranges", "bytes")
                    .with("Content-Range", content_range(piece, size))
                    .with("Content-Type", content_type);
                FileAnswer {
                    content_length: Some(length),
                    body: FileBody::File {
                        file,
                        offset,
                        length,
                    },
                    ..answer
                }
            }
            _ => {
                let answer = validated(206).with("Accept-Ranges", "bytes");
                in_parts(answer, file, &pieces, size, &content_type)
            }
        },
    }
}

/// RFC 9110 section 14.6 and RFC 2046 section 5.1.
fn in_parts(
    answer: FileAnswer,
    file: File,
    pieces: &[Piece],
    size: u64,
    content_type: &str,
) -> FileAnswer {
    // Two keys of the system's randomness: nobody can write a file that holds it.
    let key = || RandomState::new().hash_one(size);
    let boundary = format!("{:016x}{:016x}", key(), key());
    let head = |(at, piece): (usize, &Piece)| {
        let line_end = if at == 0 { "" } else { "\r\n" };
        let range = content_range(*piece, size);
        format!("{line_end}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n").into_bytes()
    };
    let part = |(at, piece): (usize, &Piece)| Part {
        head: head((at, piece)),
        offset: piece.offset,
        length: piece.length,
    };
    let parts: Vec<Part> = pieces.iter().enumerate().map(part).collect();
    let end = format!("\r\n--{boundary}--\r\n").into_bytes();
    let length = |part: &Part| {
        u64::try_from(part.head.len())
            .unwrap_or(u64::MAX)
            .saturating_add(part.length)
    };
    let end_length = u64::try_from(end.len()).unwrap_or(u64::MAX);
    let content_length = parts
        .iter()
        .map(length)
        .fold(end_length, u64::saturating_add);
    let answer = answer.with(
        "Content-Type",
        format!("multipart/byteranges; boundary={boundary}"),
    );
    FileAnswer {
        content_length: Some(content_length),
        body: FileBody::Parts { file, parts, end },
        ..answer
    }
}

fn content_range(piece: Piece, size: u64) -> String {
    format!(
        "bytes {}-{}/{size}",
        piece.offset,
        piece.offset + piece.length - 1
    )
}

/// By the name's extension; text is taken for UTF-8.
fn content_type(name: &str) -> String {
    match mime_guess::from_path(name).first_raw() {
        Some(text) if text.starts_with("text/") || text == "application/javascript" => {
            format!("{text}; charset=utf-8")
        }
        Some(other) => other.to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}
