//! Routes: what they match, who may use them, what they do.

use std::sync::Arc;

use super::{
    super::{problems::Place, read::Node, source::RouteTable, units::Network},
    context::{Context, or},
    pattern::{Pattern, pattern},
    proxy, target,
};
use crate::snapshot::{Access, Action, PathPattern, Route};

/// One `[[vhost.route]]`; `None` where something of it cannot be used.
pub fn route(node: &Node<RouteTable>, vhost: &str, context: &mut Context<'_>) -> Option<Route> {
    let table = &node.value;
    let pattern = pattern(table, &node.place, context);
    let action = action(node, pattern.as_ref(), vhost, context);
    let access = access(table);
    let pattern = pattern?;
    if let (PathPattern::Prefix(path), Some(node)) = (&pattern.path, &table.path)
        && path.len() > 1
        && path.ends_with('/')
        && access != Access::default()
    {
        let message = format!(
            "the rule does not cover {:?} itself",
            path.trim_end_matches('/')
        );
        context
            .out
            .warn(&node.place, message, "remove the slash at the end");
    }
    Some(Route {
        name: table
            .name
            .as_ref()
            .map_or(pattern.text, |n| n.value.clone()),
        path: pattern.path,
        access,
        action: action?,
    })
}

fn access(table: &RouteTable) -> Access {
    let networks = |list: &Option<Node<Vec<Node<Network>>>>| {
        list.iter()
            .flat_map(|n| &n.value)
            .map(|n| n.value.0)
            .collect()
    };
    Access {
        deny: or(&table.deny, false),
        allow_from: networks(&table.allow_from),
        deny_from: networks(&table.deny_from),
    }
}

fn action(
    node: &Node<RouteTable>,
    pattern: Option<&Pattern>,
    vhost: &str,
    context: &mut Context<'_>,
) -> Option<Action> {
    let Node {
        value: table,
        place,
    } = node;
    let written = actions(table);
    for (key, place) in written.iter().skip(1) {
        let message = format!("{key} and {} cannot both be done", written[0].0);
        context.out.error(
            place,
            message,
            "give a route one action, or make two routes",
        );
    }
    check_strays(table, context);
    let prefix = pattern.map_or("", |p| &p.prefix);
    // All are compiled, so that all of them are checked.
    let files = table.r#static.as_ref();
    let files = files.map(|root| target::files(root, table.index.as_ref(), prefix, context));
    let redirect = table.redirect.as_ref();
    let redirect = redirect.and_then(|node| target::redirect(node, pattern, context));
    let proxy = proxy::proxy(table, pattern, vhost, context);
    match written.first().map(|(key, _)| *key) {
        Some("balancer" | "proxy") => proxy.map(|proxy| Action::Proxy(Arc::new(proxy))),
        Some("static") => files.map(Action::Static),
        Some("redirect") => redirect.map(Action::Redirect),
        Some("exclude") => Some(Action::Exclude),
        Some(_) => Some(Action::Continue),
        None => {
            check_purpose(table, place, context);
            Some(Action::Continue)
        }
    }
}

/// The actions that were written; one should be.
fn actions(table: &RouteTable) -> Vec<(&'static str, &Place)> {
    let all = [
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
    ];
    all.into_iter()
        .filter_map(|(key, place)| Some((key, place?)))
        .collect()
}

/// A route without an action must at least have access rules.
fn check_purpose(table: &RouteTable, place: &Place, context: &mut Context<'_>) {
    // An action that could not be read was noted then.
    let actions = [
        "balancer",
        "proxy",
        "static",
        "redirect",
        "exclude",
        "deny",
        "allow_from",
        "deny_from",
    ];
    let noted = actions
        .iter()
        .any(|key| context.out.mentions(&place.child(key, 0..0).key));
    if table.allow_from.is_none() && table.deny_from.is_none() && !noted {
        let message = "the route says what it matches, not what to do";
        let remedy = "add balancer, proxy, static, redirect, exclude = true or deny = true";
        context.out.error(place, message, remedy);
    }
}

/// Keys that belong to another action than the route's.
fn check_strays(table: &RouteTable, context: &mut Context<'_>) {
    let forwards = table.balancer.is_some() || table.proxy.is_some();
    let strays = [
        (
            "preserve_host",
            table.preserve_host.as_ref().map(|n| &n.place),
        ),
        ("upgrade", table.upgrade.as_ref().map(|n| &n.place)),
        ("reverse", table.reverse.as_ref().map(|n| &n.place)),
        ("rewrite", table.rewrite.as_ref().map(|n| &n.place)),
        ("shadow", table.shadow.as_ref().map(|n| &n.place)),
        ("canary", table.canary.as_ref().map(|n| &n.place)),
    ];
    let index = [("index", table.index.as_ref().map(|n| &n.place))];
    let strays = strays
        .into_iter()
        .map(|(key, place)| (key, place, forwards, "balancer or proxy"));
    let index = index
        .into_iter()
        .map(|(key, place)| (key, place, table.r#static.is_some(), "static"));
    for (key, place, fits, needed) in strays.chain(index) {
        if let (Some(place), false) = (place, fits) {
            let message = format!("{key} has no effect without {needed}");
            context
                .out
                .error(place, message, format!("add {needed}, or remove it"));
        }
    }
}
