//! Answers of the gateway's own: errors, redirects, files.

use std::{
    cell::RefCell,
    fs::File,
    io::{Read, Seek, SeekFrom},
    time::{Duration, SystemTime},
};

use tokio::task::spawn_blocking;

use super::{downstream::Downstream, record::Trace};
use crate::{
    http1::{self, Fields, Framing, NameSet, RequestHead, Version},
    members::moment,
    response::files::{FileAnswer, FileBody},
    snapshot::Vhost,
};

/// How an answer goes out.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// The request was HEAD: no body, whatever the head says.
    pub head_only: bool,
    /// The connection is kept afterwards.
    pub keep: bool,
    /// Of the client.
    pub version: Version,
    /// For taking bytes.
    pub patience: Duration,
}

impl Manner {
    /// What `Connection` says.
    pub fn connection(&self) -> Option<&'static str> {
        match (self.keep, self.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        }
    }
}

/// What `Allow` says of the gateway itself: members may know fewer, or more.
pub const METHODS: &[u8] = b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";

/// The answer could not be delivered whole.
#[derive(Debug)]
pub struct Undelivered;

/// Sends a small answer in one write.
pub async fn send(
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    manner: Manner,
    status: u16,
    mut fields: Fields,
    body: &[u8],
) -> Result<(), Undelivered> {
    let mut manner = manner;
    let connection = down.part(&mut manner);
    date(&mut fields);
    let mut out = Vec::with_capacity(512 + body.len());
    let bodiless = matches!(status, 204 | 304);
    let framing = if bodiless {
        Framing::None
    } else {
        Framing::Length(body.len() as u64)
    };
    http1::response_head(&mut out, status, &fields, framing, connection);
    begin(trace, status, out.len());
    trace.response = fields;
    if !manner.head_only && !bodiless {
        out.extend_from_slice(body);
        trace.body_bytes = body.len() as u64;
    }
    down.write(&out, manner.patience)
        .await
        .map_err(|_| Undelivered)
}

fn begin(trace: &mut Trace<'_>, status: u16, head_bytes: usize) {
    trace.status = status;
    trace.answering = true;
    trace.head_bytes = head_bytes as u64;
}

/// Adds `Date` where the answer has none (RFC 9110 6.6.1).
pub fn date(fields: &mut Fields) {
    if !fields.contains("date") {
        TODAY.with_borrow_mut(|today| fields.push("Date", today.at(moment::calendar()).as_bytes()));
    }
}

thread_local! {
    static TODAY: RefCell<Today> = const { RefCell::new(Today { second: 0, text: String::new() }) };
}

/// The date as it was written last; good for the rest of its second.
struct Today {
    second: u64,
    text: String,
}

impl Today {
    fn at(&mut self, now: SystemTime) -> &str {
        let second = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        if self.second != second || self.text.is_empty() {
            self.text = httpdate::fmt_http_date(now);
            self.second = second;
        }
        &self.text
    }
}

/// What the gateway's own errors say beside their text.
pub fn advice(status: u16) -> Fields {
    let mut fields = Fields::new();
    match status {
        405 => fields.push("Allow", METHODS),
        // A member may be back as soon as its `retry` is over.
        503 => fields.push("Retry-After", b"5"),
        _ => {}
    }
    fields
}

/// Fields of a member's error that clients act on, whatever the page says: to log in, to keep a
/// session, to know what else to try and when.
static ACTED_ON: NameSet =
    NameSet::new(&["www-authenticate", "set-cookie", "allow", "retry-after"]);

/// What is left of a member's fields where its error gets the operator's page.
pub fn keep_acted_on(fields: &mut Fields) {
    fields.retain(|line| line.is_in(&ACTED_ON));
}

/// Sends an error: the vhost's page for it, or a plain one.
pub async fn error(
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    manner: Manner,
    vhost: Option<&Vhost>,
    status: u16,
    what: &str,
    mut fields: Fields,
) -> Result<(), Undelivered> {
    if let Some(page) = vhost.and_then(|vhost| page_for(vhost, status)) {
        fields.push("Content-Type", page.content_type.as_bytes());
        return send(down, trace, manner, status, fields, &page.body).await;
    }
    fields.push("Content-Type", b"text/html; charset=utf-8");
    let reason = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason())
        .unwrap_or("Error");
    let body = format!(
        "<!DOCTYPE html>\n<html><head><title>{status} {reason}</title></head>\n<body><h1>{status} {reason}</h1><p>{}</p></body></html>\n",
        escaped(what)
    );
    send(down, trace, manner, status, fields, body.as_bytes()).await
}

/// The operator's page for a status, if there is one.
pub fn page_for(vhost: &Vhost, status: u16) -> Option<&crate::snapshot::ErrorPage> {
    vhost
        .error_pages
        .iter()
        .find(|page| page.statuses.contains(&status))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Sends the client elsewhere.
pub async fn redirect(
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    manner: Manner,
    status: u16,
    location: &str,
) -> Result<(), Undelivered> {
    let mut fields = Fields::new();
    fields.push("Location", location.as_bytes());
    fields.push("Content-Type", b"text/html; charset=utf-8");
    let link = escaped(location).replace('"', "&quot;");
    let body = format!(
        "<!DOCTYPE html>\n<html><body><p><a href=\"{link}\">{link}</a></p></body></html>\n"
    );
    send(down, trace, manner, status, fields, body.as_bytes()).await
}

/// Bytes of a file read at once, off the worker.
const BLOCK: u64 = 256 * 1024;

/// Sends what `files` answered.
pub async fn file(
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    manner: Manner,
    request: &RequestHead,
    answer: FileAnswer,
) -> Result<(), Undelivered> {
    let mut manner = manner;
    let connection = down.part(&mut manner);
    let mut fields = Fields::new();
    for (name, value) in &answer.fields {
        fields.push(name, value.as_bytes());
    }
    date(&mut fields);
    let mut out = Vec::new();
    let framing = match answer.content_length {
        Some(length) if answer.status != 304 => Framing::Length(length),
        None if answer.status != 304 => Framing::Length(0),
        _ => Framing::None,
    };
    http1::response_head(&mut out, answer.status, &fields, framing, connection);
    begin(trace, answer.status, out.len());
    trace.response = fields;
    if request.method == http::Method::HEAD {
        return down
            .write(&out, manner.patience)
            .await
            .map_err(|_| Undelivered);
    }
    match answer.body {
        FileBody::Empty => down
            .write(&out, manner.patience)
            .await
            .map_err(|_| Undelivered),
        FileBody::File {
            file,
            offset,
            length,
        } => stream(down, trace, manner, file, out, offset, length)
            .await
            .map(|_| ()),
        FileBody::Parts {
            mut file,
            parts,
            end,
        } => {
            for part in parts {
                trace.body_bytes += part.head.len() as u64;
                out.extend_from_slice(&part.head);
                file = stream(
                    down,
                    trace,
                    manner,
                    file,
                    std::mem::take(&mut out),
                    part.offset,
                    part.length,
                )
                .await?;
            }
            trace.body_bytes += end.len() as u64;
            down.write(&end, manner.patience)
                .await
                .map_err(|_| Undelivered)
        }
    }
}

/// Sends `out`, then a piece of the file, which it gives back.
async fn stream(
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    manner: Manner,
    mut file: File,
    mut out: Vec<u8>,
    mut offset: u64,
    mut left: u64,
) -> Result<File, Undelivered> {
    loop {
        let want = left.min(BLOCK);
        let read = spawn_blocking(move || {
            let start = out.len();
            out.resize(start + want as usize, 0);
            let read = file
                .seek(SeekFrom::Start(offset))
                .and_then(|_| file.read_exact(&mut out[start..]));
            read.map(|()| (file, out))
        });
        // A file that shrank since its length was promised can only be broken off.
        let Ok(Ok((same, mut block))) = read.await else {
            return Err(Undelivered);
        };
        down.write(&block, manner.patience)
            .await
            .map_err(|_| Undelivered)?;
        trace.body_bytes += want;
        (offset, left) = (offset + want, left - want);
        if left == 0 {
            return Ok(same);
        }
        block.clear();
        (file, out) = (same, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_written_anew_with_every_second() {
        let mut today = Today {
            second: 0,
            text: String::new(),
        };
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        for (millis, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
        ] {
            assert_eq!(today.at(at(millis)), text);
        }
    }
}
