//! Routes: what they match, who may use them, what they do.

use std::sync::Arc;

use regex::Regex;

use super::{
    super::{
        read::{Either, Node, Place},
        source::{RedirectTable, RouteTable},
    },
    balancer,
    context::{Context, each, or, unknown_name},
    member, policy, reverse,
};
use crate::snapshot::{
    Access, Action, PathPattern, PolicyRef, Proxy, Redirect, Route, StaticFiles,
};

/// One `[[vhost.route]]`; `None` where it matches nothing that can be told.
pub fn route(node: &Node<RouteTable>, vhost: &str, context: &mut Context<'_>) -> Option<Route> {
    let table = &node.value;
    let matched = matched(table, &node.place, context);
    let prefix = match &matched {
        // The root leaves the whole path: `/x` below it stays `/x`.
        Some((PathPattern::Prefix(path), _)) if path != "/" => path.clone(),
        _ => String::new(),
    };
    let action = action(
        table,
        &node.place,
        matched.as_ref(),
        &prefix,
        vhost,
        context,
    );
    let networks = |list: &Option<Node<Vec<Node<super::super::units::Network>>>>| {
        list.iter()
            .flat_map(|n| &n.value)
            .map(|n| n.value.0)
            .collect()
    };
    let (path, written) = matched?;
    Some(Route {
        name: table.name.as_ref().map_or(written, |n| n.value.clone()),
        path,
        access: Access {
            deny: or(&table.deny, false),
            allow_from: networks(&table.allow_from),
            deny_from: networks(&table.deny_from),
        },
        action: action?,
    })
}

/// The pattern, and the text that names the route.
fn matched(
    table: &RouteTable,
    place: &Place,
    context: &mut Context<'_>,
) -> Option<(PathPattern, String)> {
    match (&table.path, &table.regex) {
        (Some(path), None) => match prefix(&path.value) {
            Ok(prefix) => Some((PathPattern::Prefix(prefix), path.value.clone())),
            Err((message, remedy)) => {
                context.out.error(&path.place, message, remedy);
                None
            }
        },
        (None, Some(regex)) => match Regex::new(&regex.value) {
            Ok(_) => Some((PathPattern::Regex(regex.value.clone()), regex.value.clone())),
            Err(error) => {
                context.out.error(
                    &regex.place,
                    reason(&error),
                    "correct the regular expression (syntax: docs.rs/regex)",
                );
                None
            }
        },
        (Some(_), Some(regex)) => {
            context.out.error(
                &regex.place,
                "a route has a path or a regex, not both",
                "remove one of the two",
            );
            None
        }
        (None, None) => {
            let mentions = |key: &str| context.out.mentions(&place.child(key, 0..0).key);
            if !mentions("path") && !mentions("regex") {
                context
                    .out
                    .missing(place, "path", "write path = \"/\" or another path");
            }
            None
        }
    }
}

/// The parser draws its message over several lines; the last one says what is wrong.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("not a regular expression");
    last.trim().trim_start_matches("error: ").to_owned()
}

/// A path as the router compares it: `/app/` is `/app`, so that a rule covers the folder itself too.
fn prefix(text: &str) -> Result<String, (String, String)> {
    let refuse =
        |message: &str, remedy: &str| Err((format!("{text:?} {message}"), remedy.to_owned()));
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
        return refuse(
            "has empty or dot segments, which no request has that reaches a route",
            "remove them",
        );
    }
    Ok(if trimmed.is_empty() {
        "/".to_owned()
    } else {
        trimmed.to_owned()
    })
}

fn action(
    table: &RouteTable,
    place: &Place,
    matched: Option<&(PathPattern, String)>,
    prefix: &str,
    vhost: &str,
    context: &mut Context<'_>,
) -> Option<Action> {
    let written: Vec<(&str, &Place)> = [
        ("balancer", table.balancer.as_ref().map(|n| &n.place)),
        ("proxy", table.proxy.as_ref().map(|n| &n.place)),
        ("static", table.r#static.as_ref().map(|n| &n.place)),
        ("redirect", table.redirect.as_ref().map(|n| &n.place)),
        (
            "exclude",
            table.exclude.as_ref().filter(|n| n.value).map(|n| &n.place),
        ),
        (
            "deny",
            table.deny.as_ref().filter(|n| n.value).map(|n| &n.place),
        ),
    ]
    .into_iter()
    .filter_map(|(key, place)| Some((key, place?)))
    .collect();
    for (key, place) in written.iter().skip(1) {
        let message = format!("{key} and {} cannot both be done", written[0].0);
        context.out.error(
            place,
            message,
            "give a route one action, or make two routes",
        );
    }
    check_strays(table, context);
    let files = table
        .r#static
        .as_ref()
        .map(|node| files(node, table.index.as_ref(), prefix, context));
    let redirect = table
        .redirect
        .as_ref()
        .and_then(|node| redirect(node, matched, prefix, context));
    let proxy = proxy(table, matched, prefix, vhost, context);
    match written.first().map(|(key, _)| *key) {
        Some("balancer" | "proxy") => proxy.map(|proxy| Action::Proxy(Arc::new(proxy))),
        Some("static") => files.map(Action::Static),
        Some("redirect") => redirect.map(Action::Redirect),
        Some("exclude") => Some(Action::Exclude),
        Some(_) => Some(Action::Continue),
        None => {
            let access = table.allow_from.is_some() || table.deny_from.is_some();
            let actions = ["balancer", "proxy", "static", "redirect", "exclude", "deny"];
            let noted = actions
                .iter()
                .any(|key| context.out.mentions(&place.child(key, 0..0).key));
            if !access && !noted {
                let remedy = "add balancer, proxy, static, redirect, exclude = true or deny = true";
                context.out.error(
                    place,
                    "the route says what it matches, not what to do",
                    remedy,
                );
            }
            Some(Action::Continue)
        }
    }
}

/// Keys that belong to another action than the route's.
fn check_strays(table: &RouteTable, context: &mut Context<'_>) {
    let forwards = table.balancer.is_some() || table.proxy.is_some();
    let strays = [
        (
            "preserve_host",
            "balancer or proxy",
            table.preserve_host.as_ref().map(|n| &n.place),
            forwards,
        ),
        (
            "upgrade",
            "balancer or proxy",
            table.upgrade.as_ref().map(|n| &n.place),
            forwards,
        ),
        (
            "reverse",
            "balancer or proxy",
            table.reverse.as_ref().map(|n| &n.place),
            forwards,
        ),
        (
            "rewrite",
            "balancer or proxy",
            table.rewrite.as_ref().map(|n| &n.place),
            forwards,
        ),
        (
            "index",
            "static",
            table.index.as_ref().map(|n| &n.place),
            table.r#static.is_some(),
        ),
    ];
    for (key, needed, place, fits) in strays {
        if let (Some(place), false) = (place, fits) {
            context.out.error(
                place,
                format!("{key} has no effect without {needed}"),
                format!("add {needed}, or remove it"),
            );
        }
    }
}

/// Files below a folder; a folder that is not there yet is a warning.
pub fn files(
    root: &Node<String>,
    index: Option<&Node<super::super::source::OneOrMany<String>>>,
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
        root: path,
        prefix: prefix.to_owned(),
        index,
    }
}

fn redirect(
    node: &Node<Either<String, RedirectTable>>,
    matched: Option<&(PathPattern, String)>,
    prefix: &str,
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
                if !context.out.mentions(&node.place.child("to", 0..0).key) {
                    context
                        .out
                        .missing(&node.place, "to", "write to = \"https://host/path\"");
                }
                return None;
            }
        },
    };
    let absolute =
        url::Url::parse(&to.value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let local = to.value.starts_with('/') && !to.value.starts_with("//");
    if !(absolute || local)
        || to
            .value
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || !c.is_ascii())
    {
        let remedy = "write an http or https URL, or a path that starts with one /; blanks as %20";
        context.out.error(
            &to.place,
            format!("{:?} is no place to send clients to", to.value),
            remedy,
        );
    }
    if let Some((PathPattern::Regex(pattern), _)) = matched
        && let Ok(regex) = Regex::new(pattern)
        && let Some(group) = highest_group(&to.value).filter(|group| *group >= regex.captures_len())
    {
        let message = format!("${group} stands for a group that the regex does not have");
        let remedy = format!(
            "it has {} groups: parts in round brackets",
            regex.captures_len() - 1
        );
        context.out.error(&to.place, message, remedy);
    }
    let status = status.map_or(302, |node| {
        if ![301, 302, 303, 307, 308].contains(&node.value) {
            context.out.error(
                &node.place,
                format!("{} is no redirect", node.value),
                "use 301, 302, 303, 307 or 308",
            );
        }
        u16::try_from(node.value).unwrap_or(302)
    });
    Some(Redirect {
        status,
        to: to.value,
        prefix: prefix.to_owned(),
    })
}

/// The largest n of `$n` in a redirect's target.
fn highest_group(to: &str) -> Option<usize> {
    let groups = to.split('$').skip(1).filter_map(|rest| {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..digits].parse::<usize>().ok()
    });
    groups.max()
}

fn proxy(
    table: &RouteTable,
    matched: Option<&(PathPattern, String)>,
    prefix: &str,
    vhost: &str,
    context: &mut Context<'_>,
) -> Option<Proxy> {
    let balancer = match (&table.balancer, &table.proxy) {
        (Some(name), _) => {
            let lower = name.value.to_ascii_lowercase();
            if !context.balancer_names.contains(&lower) {
                let define = format!("define it with [balancer.{}] and its members", name.value);
                unknown_name(
                    context.out,
                    &name.place,
                    "balancer",
                    &name.value,
                    &context.balancer_names,
                    &define,
                );
            }
            context.used_balancers.insert(lower.clone());
            lower
        }
        (None, Some(url)) => {
            let member = member::alone(url, context);
            anonymous(
                vhost,
                matched.map_or("", |(_, text)| text),
                member?,
                context,
            )
        }
        (None, None) => return None,
    };
    let front = match matched {
        Some((PathPattern::Prefix(path), _)) => path.as_str(),
        _ => "",
    };
    let mut rewrite: Vec<PolicyRef> = reverse::reverse(table.reverse.as_ref(), front, context)
        .into_iter()
        .collect();
    for node in table.rewrite.iter().flat_map(each) {
        match policy::named(&node, context) {
            Some(named) => rewrite.push(named),
            None if node.value == "reverse" => {
                context.out.error(
                    &node.place,
                    "the built-in reverse has a key of its own",
                    "write reverse = true instead",
                );
            }
            None => policy::not_a_policy(&node, &[], context),
        }
    }
    Some(Proxy {
        balancer,
        prefix: prefix.to_owned(),
        preserve_host: or(&table.preserve_host, false),
        upgrade: upgrade(table, context),
        rewrite,
    })
}

/// A balancer of one member, under a name no `[balancer.NAME]` can have.
fn anonymous(
    vhost: &str,
    path: &str,
    member: crate::snapshot::Member,
    context: &mut Context<'_>,
) -> String {
    let plain = format!("{vhost}/{}", path.trim_start_matches('/'));
    let numbered = (2..).map(|n| format!("{plain}#{n}"));
    let name = std::iter::once(plain.clone())
        .chain(numbered)
        .find(|name| !context.anonymous.contains_key(name));
    let name = name.expect("the numbers do not end before the routes do");
    context.anonymous.insert(
        name.clone(),
        Arc::new(balancer::anonymous(name.clone(), member)),
    );
    name
}

fn upgrade(table: &RouteTable, context: &mut Context<'_>) -> Vec<String> {
    let list = match table.upgrade.as_ref().map(|n| (&n.value, &n.place)) {
        None | Some((Either::Left(true), _)) => return vec!["websocket".to_owned()],
        Some((Either::Left(false), _)) => return vec![],
        Some((Either::Right(list), place)) => each(&Node {
            value: list.clone(),
            place: place.clone(),
        }),
    };
    for node in &list {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b);
        if node.value.is_empty() || !node.value.bytes().all(legal) {
            context.out.error(
                &node.place,
                format!("{:?} is not a protocol", node.value),
                "write \"websocket\"",
            );
        }
    }
    list.into_iter()
        .map(|n| n.value.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_lose_a_trailing_slash_but_the_root_stays() {
        for (text, expected) in [
            ("/", "/"),
            ("/app", "/app"),
            ("/app/", "/app"),
            ("/a b/ü", "/a b/ü"),
        ] {
            assert_eq!(prefix(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn prefixes_that_no_canonical_path_has_are_refused() {
        for text in [
            "", "app", "//", "/a//b", "/a/../b", "/./a", "/a;v=1", "/a?b", "/%41", "/a\\b", "/a\0",
        ] {
            assert!(prefix(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn highest_group_is_found() {
        assert_eq!(highest_group("/a/$1/$12?x=$3"), Some(12));
        assert_eq!(highest_group("/price/$"), None);
    }
}
