//! The `Location` of a redirect.

use super::{
    CanonicalPath,
    decode::{is_pchar, is_unreserved, push_escaped},
};
use crate::snapshot::{PathPattern, Redirect, Route};

/// Where `redirect` sends a request for `path`.
///
/// For a prefix route the rest of the path is appended to the path of `to`, for a regex
/// `$0` to `$9` stand for `captures` and `$$` for a dollar sign. The client's query is
/// kept where `to` has none of its own. Nothing the client sent can change the host:
/// a Location that starts with one slash in `to` starts with one slash only.
pub fn redirect_location(
    route: &Route,
    redirect: &Redirect,
    path: &CanonicalPath,
    captures: &[String],
) -> String {
    let (to, fragment) = match redirect.to.split_once('#') {
        Some((to, fragment)) => (to, Some(fragment)),
        None => (redirect.to.as_str(), None),
    };
    let (to, query) = match to.split_once('?') {
        Some((to, query)) => (to, Some(query)),
        None => (to, None),
    };
    let mut out = String::with_capacity(redirect.to.len() + path.target().len());
    match route.path {
        PathPattern::Prefix(_) => push_rest(&mut out, to, path.below(&redirect.prefix)),
        PathPattern::Regex(_) => expand(&mut out, to, captures, push_in_path),
    }
    keep_host(&mut out, to);
    if let Some(query) = query {
        out.push('?');
        match route.path {
            PathPattern::Prefix(_) => out.push_str(query),
            PathPattern::Regex(_) => expand(&mut out, query, captures, push_in_query),
        }
    } else if let Some(query) = path.query() {
        out.push('?');
        out.push_str(query);
    }
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    out
}

fn push_rest(out: &mut String, to: &str, rest: &str) {
    out.push_str(if rest.starts_with('/') {
        to.strip_suffix('/').unwrap_or(to)
    } else {
        to
    });
    // Parameters right behind a host would become part of it.
    let has_path = to
        .split_once("://")
        .map_or(to, |(_, after)| after)
        .contains('/');
    if !rest.is_empty() && !rest.starts_with('/') && !has_path {
        out.push('/');
    }
    out.push_str(rest);
}

/// Copies `template` with groups put in.
fn expand(out: &mut String, template: &str, captures: &[String], push: fn(&mut String, &str)) {
    let mut chars = template.chars().peekable();
    while let Some(char) = chars.next() {
        let group = chars.peek().and_then(|next| next.to_digit(10));
        match (char, group, chars.peek()) {
            ('$', Some(group), _) => {
                chars.next();
                let group = usize::try_from(group)
                    .ok()
                    .and_then(|group| captures.get(group));
                push(out, group.map_or("", String::as_str));
            }
            ('$', None, Some('$')) => {
                chars.next();
                out.push('$');
            }
            _ => out.push(char),
        }
    }
}

/// Groups come from the decoded path, where `%2F` alone is still encoded.
fn push_in_path(out: &mut String, group: &str) {
    for (at, part) in group.split("%2F").enumerate() {
        if at > 0 {
            out.push_str("%2F");
        }
        for byte in part.bytes() {
            match byte {
                b'/' => out.push('/'),
                b';' => out.push_str("%3B"),
                _ if is_pchar(byte) => out.push(char::from(byte)),
                _ => push_escaped(out, byte),
            }
        }
    }
}

fn push_in_query(out: &mut String, group: &str) {
    for byte in group.bytes() {
        if is_unreserved(byte) || byte == b'/' {
            out.push(char::from(byte));
        } else {
            push_escaped(out, byte);
        }
    }
}

/// `/$1` with a group of `/evil.test` must not become `//evil.test`, a host.
fn keep_host(out: &mut String, to: &str) {
    if to.starts_with('/') && !to.starts_with("//") {
        let slashes = out.bytes().take_while(|&byte| byte == b'/').count();
        out.replace_range(1..slashes, "");
    }
}
