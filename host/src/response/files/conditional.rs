//! Validators of a file and the fields that ask about them (RFC 9110 section 13).

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::FileRequest;

/// What identifies one state of a file.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// Strong, with its quotes.
    pub(super) etag: String,
    /// In whole seconds, never later than now (RFC 9110 section 8.8.2.1).
    modified: SystemTime,
    now: SystemTime,
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Serve it.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

impl Validators {
    /// `now` bounds what `Last-Modified` may say.
    pub(super) fn of(metadata: &Metadata, now: SystemTime) -> Validators {
        let nanos =
            i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        let etag = format!("\"{:x}-{:x}-{:x}\"", metadata.ino(), metadata.size(), nanos);
        // Dates before 1970 cannot be written by `httpdate`.
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        let modified = UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .map_or(now, |modified| modified.min(now));
        Validators {
            etag,
            modified: whole_seconds(modified),
            now,
        }
    }

    /// The value of `Last-Modified`.
    pub(super) fn last_modified(&self) -> String {
        httpdate::fmt_http_date(self.modified)
    }

    /// Goes through the conditions in the order of section 13.2.2. The method is `GET` or `HEAD`.
    pub(super) fn judge(&self, request: &FileRequest<'_>) -> Verdict {
        if let Some(tags) = request.if_match {
            if !self.is_listed(tags, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if request
            .if_unmodified_since
            .and_then(date)
            .is_some_and(|since| self.modified > since)
        {
            return Verdict::Failed;
        }
        let is_current = match request.if_none_match {
            Some(tags) => self.is_listed(tags, Comparison::Weak),
            None => request
                .if_modified_since
                .and_then(date)
                .is_some_and(|since| self.modified <= since),
        };
        if is_current {
            Verdict::NotModified
        } else {
            Verdict::Proceed
        }
    }

    /// Whether `Range` counts, given `If-Range`.
    pub(super) fn allow_range(&self, if_range: Option<&str>) -> bool {
        // Section 8.8.2.2: a date is strong once a second has passed after it.
        let is_strong = || {
            self.now
                .duration_since(self.modified)
                .is_ok_and(|age| age >= Duration::from_secs(1))
        };
        match if_range.map(str::trim) {
            None => true,
            Some(tag) if tag.starts_with('"') => tag == self.etag,
            Some(text) => date(text) == Some(self.modified) && is_strong(),
        }
    }

    fn is_listed(&self, tags: &str, comparison: Comparison) -> bool {
        if tags.trim() == "*" {
            return true;
        }
        let mut rest = tags;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let is_weak = rest.starts_with("W/");
            let Some(opened) = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"') else {
                return false;
            };
            let Some(end) = opened.find('"') else {
                return false;
            };
            let is_same = opened[..end] == self.etag[1..self.etag.len() - 1];
            if is_same && (comparison == Comparison::Weak || !is_weak) {
                return true;
            }
            rest = &opened[end + 1..];
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";

    fn validators(age: u64) -> Validators {
        let modified = date(AT).unwrap();
        Validators {
            etag: "\"a-1\"".to_owned(),
            modified,
            now: modified + Duration::from_secs(age),
        }
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        use Verdict::*;
        let none = FileRequest {
            method: "GET",
            ..FileRequest::default()
        };
        let if_match = |tags| FileRequest {
            if_match: Some(tags),
            ..none
        };
        let if_none_match = |tags| FileRequest {
            if_none_match: Some(tags),
            ..none
        };
        let modified = |since| FileRequest {
            if_modified_since: Some(since),
            ..none
        };
        let unmodified = |since| FileRequest {
            if_unmodified_since: Some(since),
            ..none
        };
        for (request, verdict) in [
            (none, Proceed),
            (if_match("\"a-1\""), Proceed),
            (if_match("*"), Proceed),
            (if_match("\"x\", \"a-1\""), Proceed),
            (if_match("W/\"a-1\""), Failed),
            (if_match("\"x\""), Failed),
            (if_match("a-1"), Failed),
            (if_match("\"a-1"), Failed),
            (if_match(""), Failed),
            (
                FileRequest {
                    if_unmodified_since: Some(BEFORE),
                    ..if_match("\"a-1\"")
                },
                Proceed,
            ),
            (unmodified(BEFORE), Failed),
            (unmodified(AT), Proceed),
            (unmodified(AFTER), Proceed),
            (unmodified("yesterday"), Proceed),
            (if_none_match("\"a-1\""), NotModified),
            (if_none_match("W/\"a-1\""), NotModified),
            (if_none_match("*"), NotModified),
            (if_none_match("\"x,y\" ,W/\"a-1\""), NotModified),
            (if_none_match("\"x, \"a-1\""), Proceed),
            (if_none_match("\"x\""), Proceed),
            (
                FileRequest {
                    if_modified_since: Some(AFTER),
                    ..if_none_match("\"x\"")
                },
                Proceed,
            ),
            (
                FileRequest {
                    if_modified_since: Some(BEFORE),
                    ..if_none_match("\"a-1\"")
                },
                NotModified,
            ),
            (
                FileRequest {
                    if_none_match: Some("*"),
                    ..if_match("\"x\"")
                },
                Failed,
            ),
            (modified(BEFORE), Proceed),
            (modified(AT), NotModified),
            (modified(AFTER), NotModified),
            (modified("tomorrow"), Proceed),
        ] {
            assert_eq!(validators(60).judge(&request), verdict, "{request:?}");
        }
    }

    #[test]
    fn ranges_count_while_the_file_is_the_same_one() {
        for (if_range, age, counts) in [
            (None, 0, true),
            (Some("\"a-1\""), 0, true),
            (Some("\"x\""), 0, false),
            (Some("W/\"a-1\""), 0, false),
            (Some(AT), 60, true),
            (Some(AT), 0, false),
            (Some(BEFORE), 60, false),
            (Some(AFTER), 60, false),
            (Some("yesterday"), 60, false),
        ] {
            assert_eq!(
                validators(age).allow_range(if_range),
                counts,
                "{if_range:?}"
            );
        }
    }
}
