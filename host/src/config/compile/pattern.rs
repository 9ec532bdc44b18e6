//! What a route matches.

use regex::{Regex, RegexBuilder};

use super::{
    super::{problems::Place, source::RouteTable},
    bounds::readable,
    context::Context,
};
use crate::snapshot::PathPattern;

/// Compiled size of one pattern, bytes: the bound of `routing`, a tenth of which people use.
const REGEX_SIZE: usize = 1 << 20;

/// Likewise in a tenant's files.
const TENANTS_REGEX_SIZE: usize = 128 << 10;

/// Regular expressions of a tenant: compiled they are a hundred times as large as they are written.
const TENANTS_REGEXES: usize = 64;

/// What a route matches, with what its action needs of it.
pub struct Pattern {
    /// For the snapshot.
    pub path: PathPattern,
    /// As written: the route's name unless it has one.
    pub text: String,
    /// Cut off before something else is put in front; empty for the root and for regexes.
    pub prefix: String,
    /// Of a regex, the whole match included.
    pub groups: Option<usize>,
}

impl Pattern {
    /// The path that clients see in front of what members know; empty for regexes.
    pub fn front(&self) -> &str {
        match &self.path {
            PathPattern::Prefix(path) if path.len() > 1 => path.trim_end_matches('/'),
            PathPattern::Prefix(path) => path,
            PathPattern::Regex(_) => "",
        }
    }
}

/// The pattern of a route; `None`, and noted, where it has none that can be used.
pub fn pattern(table: &RouteTable, place: &Place, context: &mut Context<'_>) -> Option<Pattern> {
    match (&table.path, &table.regex) {
        (Some(path), None) => {
            if let Err((message, remedy)) = check(&path.value) {
                context.out.error(&path.place, message, remedy);
                return None;
            }
            let text = path.value.clone();
            // The root leaves the whole path: `/x` below it stays `/x`.
            let prefix = if text == "/" {
                String::new()
            } else {
                text.clone()
            };
            let path = PathPattern::Prefix(text.clone());
            Some(Pattern {
                path,
                text,
                prefix,
                groups: None,
            })
        }
        (None, Some(regex)) => {
            let size = match &context.bounds {
                None => REGEX_SIZE,
                Some(_) => TENANTS_REGEX_SIZE,
            };
            context.regexes += 1;
            if context.bounds.is_some() && context.regexes > TENANTS_REGEXES {
                let message = format!(
                    "more regular expressions than the {TENANTS_REGEXES} that a tenant may have"
                );
                let remedy = "use paths, or one regular expression for several";
                context.out.error(&regex.place, message, remedy);
                return None;
            }
            match RegexBuilder::new(&regex.value).size_limit(size).build() {
                Ok(compiled) => Some(by_regex(&regex.value, &compiled)),
                Err(error) => {
                    let remedy = "correct the regular expression (syntax: docs.rs/regex)";
                    context
                        .out
                        .error(&regex.place, reason(&error, size), remedy);
                    None
                }
            }
        }
        (Some(_), Some(regex)) => {
            let message = "a route has a path or a regex, not both";
            context
                .out
                .error(&regex.place, message, "remove one of the two");
            None
        }
        (None, None) => {
            if !context.out.mentions(&place.child("regex", 0..0).key) {
                context
                    .out
                    .missing(place, "path", "write path = \"/\" or another path");
            }
            None
        }
    }
}

fn by_regex(text: &str, compiled: &Regex) -> Pattern {
    Pattern {
        path: PathPattern::Regex(text.to_owned()),
        text: text.to_owned(),
        prefix: String::new(),
        groups: Some(compiled.captures_len()),
    }
}

/// The parser draws its message over several lines; the last one says what is wrong.
fn reason(error: &regex::Error, most: usize) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        let most = readable(most as u64);
        return format!("the regular expression needs more than {most} when compiled");
    }
    let text = error.to_string();
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.unwrap_or("not a regular expression");
    last.trim().trim_start_matches("error: ").to_owned()
}

/// Whether requests' canonical paths can lie under a path: nothing encoded, no parameters,
/// no empty or dot segments. A slash at the end is httpd's way to leave out the folder itself.
fn check(text: &str) -> Result<(), (String, &'static str)> {
    let refuse = |message: &str, remedy| Err((format!("{text:?} {message}"), remedy));
    if !text.starts_with('/') {
        return refuse("is not a path", "start it with /");
    }
    if let Some(bad) = text
        .chars()
        .find(|c| "?#;%\\".contains(*c) || c.is_control())
    {
        let message = format!("holds {bad:?}, which no path has that routes are compared with");
        let remedy = match bad {
            '%' => "write the character itself: routes are compared with the decoded path",
            '?' => "remove the query; routes look at the path alone",
            ';' => "remove the parameter; routes look at paths without them",
            _ => "remove it",
        };
        return refuse(&message, remedy);
    }
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    if trimmed
        .split('/')
        .skip(1)
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        let message = "has empty or dot segments, which no request has that reaches a route";
        return refuse(message, "remove them");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_requests_can_have_are_taken() {
        for text in ["/", "/app", "/app/", "/a b/ü", "/.well-known", "/a:b@c"] {
            assert_eq!(check(text), Ok(()));
        }
    }

    #[test]
    fn paths_that_no_canonical_path_has_are_refused() {
        for text in [
            "", "app", "//", "/a//b", "/a//", "/a/../b", "/./a", "/a;v=1", "/a?b", "/%41", "/a\\b",
            "/a\0",
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_large_regex_is_refused_in_words() {
        let error = RegexBuilder::new(r"\w{1000}{100}")
            .size_limit(REGEX_SIZE)
            .build();
        let told = reason(&error.expect_err("too large"), REGEX_SIZE);
        assert!(told.contains("1MiB"), "{told}");
    }
}
