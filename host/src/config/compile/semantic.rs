//! What is legal and hardly meant: routes that never serve, things that nobody uses.

use std::sync::Arc;

use super::{
    super::{
        problems::{Place, Problems},
        source::Config,
    },
    context::Context,
};
use crate::{
    routing::{Table, TableError},
    snapshot::{Action, PathPattern, Route, RouteOrder, Vhost},
};

/// Routes that an earlier one keeps from ever serving.
pub fn shadowed(routes: &[(Route, &Place)], order: RouteOrder, context: &mut Context<'_>) {
    for (index, (route, place)) in routes.iter().enumerate() {
        let hides =
            |(other, _): &&(Route, &Place)| ends(other) && hides(&other.path, &route.path, order);
        if let Some((other, _)) = routes[..index].iter().find(hides) {
            let message = format!(
                "never serves: {:?} before it takes all its requests",
                other.name
            );
            let remedy = match order {
                RouteOrder::File => "move it up, or set order = \"longest\"",
                RouteOrder::Longest => "remove one of the two",
            };
            context.out.warn(place, message, remedy);
        } else if order == RouteOrder::Longest && matches!(route.path, PathPattern::Regex(_)) {
            let root = |(other, _): &&(Route, &Place)| ends(other) && takes_all(&other.path);
            if let Some((other, _)) = routes.iter().find(root) {
                let message = format!(
                    "never serves: regexes come after all paths, and {:?} takes every one",
                    other.name
                );
                context.out.warn(
                    place,
                    message,
                    "set order = \"file\" and move it up, or use a path",
                );
            }
        }
    }
}

/// Whether a request that it matches goes no further. Access rules alone let it pass.
fn ends(route: &Route) -> bool {
    route.access.deny || !matches!(route.action, Action::Continue)
}

fn takes_all(path: &PathPattern) -> bool {
    matches!(path, PathPattern::Prefix(prefix) if prefix == "/")
}

fn hides(earlier: &PathPattern, later: &PathPattern, order: RouteOrder) -> bool {
    match (earlier, later) {
        (PathPattern::Prefix(earlier), PathPattern::Prefix(later)) if order == RouteOrder::File => {
            // A slash at the end of `earlier` wants one in `later`, too.
            let below = later.strip_prefix(earlier.trim_end_matches('/'));
            below.is_some_and(|rest| {
                rest.starts_with('/') || rest.is_empty() && !earlier.ends_with('/')
            })
        }
        (PathPattern::Prefix(_), PathPattern::Regex(_)) if order == RouteOrder::File => {
            takes_all(earlier)
        }
        _ => earlier == later,
    }
}

/// What only shows when all routes of a vhost are put together: regexes that are too large in sum.
pub fn routable(vhosts: &[Arc<Vhost>], config: &Config, out: &mut Problems) {
    let Err(error) = Table::of(vhosts) else {
        return;
    };
    let name = match &error {
        TableError::NoVhost => "",
        TableError::Regex { vhost, .. } | TableError::RegexSet { vhost, .. } => vhost,
    };
    let mut vhosts = config.vhost.iter().flat_map(|n| &n.value);
    let named = vhosts.find(|node| node.value.name.as_ref().is_some_and(|n| n.value == name));
    let place = named.map_or_else(Place::default, |node| node.place.clone());
    let message = error.to_string().replace('\n', " ");
    out.error(
        &place,
        message,
        "use paths instead, simpler regexes, or several vhosts",
    );
}

/// Balancers and policies that nothing names.
pub fn unused(config: &Config, context: &mut Context<'_>) {
    for (name, node) in config.balancer.iter().flat_map(|n| &n.value.0) {
        if !context.used_balancers.contains(&name.to_ascii_lowercase()) {
            let remedy = format!("write balancer = \"{name}\" in a route, or remove it");
            context
                .out
                .warn(&node.place, "no route uses this balancer", remedy);
        }
    }
    for (name, node) in config.policy.iter().flat_map(|n| &n.value.0) {
        if !context.used_policies.contains(name) {
            let remedy = format!(
                "name it as \"policy:{name}\" in lbmethod, affinity or rewrite, or remove it"
            );
            context
                .out
                .warn(&node.place, "nothing uses this policy", remedy);
        }
    }
}
