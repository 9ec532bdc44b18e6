//! Where a route leads when it does not forward: files, or elsewhere.

use super::{
    super::{
        read::{Either, Node},
        source::{OneOrMany, RedirectTable},
    },
    context::{Context, each},
    pattern::Pattern,
};
use crate::snapshot::{Redirect, StaticFiles};

/// Files below a folder; a folder that is not there yet is a warning.
pub fn files(
    root: &Node<String>,
    index: Option<&Node<OneOrMany<String>>>,
    prefix: &str,
    context: &mut Context<'_>,
) -> StaticFiles {
    let path = context.path(root);
    if !path.is_dir() {
        let message = format!("{} is not a folder", path.display());
        context.out.warn(
            &root.place,
            message,
            "create it or correct the path; until then the answer is 404",
        );
    }
    let index = index.map_or_else(Vec::new, each);
    for node in &index {
        if node.value.is_empty()
            || node.value.contains(['/', '\\', '\0'])
            || node.value.starts_with('.')
        {
            context.out.error(
                &node.place,
                format!("{:?} is not a file's name", node.value),
                "write a name without folders",
            );
        }
    }
    let index = match index.is_empty() {
        true => vec!["index.html".to_owned()],
        false => index.into_iter().map(|n| n.value).collect(),
    };
    StaticFiles {
        beneath: context.beneath(),
        root: path,
        prefix: prefix.to_owned(),
        index,
    }
}

/// A redirect; `None` where it names no place.
pub fn redirect(
    node: &Node<Either<String, RedirectTable>>,
    pattern: Option<&Pattern>,
    context: &mut Context<'_>,
) -> Option<Redirect> {
    let (to, status) = match &node.value {
        Either::Left(to) => (
            Node {
                value: to.clone(),
                place: node.place.clone(),
            },
            None,
        ),
        Either::Right(table) => match &table.to {
            Some(to) => (to.clone(), table.status.as_ref()),
            None => {
                context
                    .out
                    .missing(&node.place, "to", "write to = \"https://host/path\"");
                return None;
            }
        },
    };
    if !is_destination(&to.value) {
        let message = format!("{:?} is no place to send clients to", to.value);
        let remedy = "write an http or https URL, or a path that starts with one /; blanks as %20";
        context.out.error(&to.place, message, remedy);
    }
    if let Some(groups) = pattern.and_then(|p| p.groups)
        && let Some(group) = highest_group(&to.value).filter(|group| *group >= groups)
    {
        let message = format!("${group} stands for a group that the regex does not have");
        let remedy = match groups {
            1 => "put the part that is meant into round brackets".to_owned(),
            _ => format!("use $0 to ${}", groups - 1),
        };
        context.out.error(&to.place, message, remedy);
    }
    let status = status.map_or(302, |node| {
        if ![301, 302, 303, 307, 308].contains(&node.value) {
            let message = format!("{} is no redirect", node.value);
            context
                .out
                .error(&node.place, message, "use 301, 302, 303, 307 or 308");
        }
        u16::try_from(node.value).unwrap_or(302)
    });
    let prefix = pattern.map_or_else(String::new, |p| p.prefix.clone());
    Some(Redirect {
        status,
        to: to.value,
        prefix,
    })
}

/// An http URL or a local path. `//host` would be another host, and what a Location cannot hold is refused.
fn is_destination(to: &str) -> bool {
    let http = url::Url::parse(to).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let absolute = http && to.contains("://");
    let local = to.starts_with('/') && !to.starts_with("//");
    (absolute || local) && to.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
}

/// The largest n of `$n` in a redirect's target: one digit, and `$$` is a dollar sign.
fn highest_group(to: &str) -> Option<usize> {
    let mut highest = None;
    let mut chars = to.chars();
    while let Some(c) = chars.next() {
        if c == '$' {
            let group = chars
                .next()
                .and_then(|c| c.to_digit(10))
                .map(|digit| digit as usize);
            highest = highest.max(group);
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_one_digit_and_dollars_are_escaped() {
        assert_eq!(highest_group("/a/$1/$12?x=$3"), Some(3));
        assert_eq!(highest_group("/price/$$5/$"), None);
        assert_eq!(highest_group("/$0"), Some(0));
    }

    #[test]
    fn destinations_stay_on_the_web() {
        for to in ["https://example.com", "http://h:81/x?y#z", "/", "/a/$1"] {
            assert!(is_destination(to), "{to}");
        }
        for to in [
            "",
            "a",
            "//evil.example",
            "ftp://h/",
            "javascript:alert(1)",
            "http:x",
            "/a b",
            "/a\r\nX: y",
            "/ü",
            "/\\evil",
        ] {
            assert!(!is_destination(to), "{to}");
        }
    }
}
