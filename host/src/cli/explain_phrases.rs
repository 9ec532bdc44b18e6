//! The phrases that an explanation is made of.

use std::{net::IpAddr, sync::Arc};

use http::StatusCode;

use crate::{
    decision::{Hold, Pin},
    policy::{Binding, Chosen, Decider, Digest, Session},
    routing::{Found, HostMatch},
    snapshot::{Access, HostPattern, PathPattern, Route, RouteOrder, Vhost},
};

pub(super) fn status(code: u16) -> String {
    let reason = StatusCode::from_u16(code).ok();
    let reason = reason.and_then(|code| code.canonical_reason());
    format!("{code} {}", reason.unwrap_or_default())
}

pub(super) fn vhost(found: &Found<'_>, host: &str) -> String {
    let name = &found.vhost.name;
    match found.by {
        HostMatch::Exact => format!("{name}, for it has the exact name {host}"),
        HostMatch::Wildcard => {
            let patterns = found
                .vhost
                .hosts
                .iter()
                .filter_map(|pattern| match pattern {
                    HostPattern::Exact(_) => None,
                    HostPattern::Suffix(suffix) => Some(format!("*{suffix}")),
                    HostPattern::Glob(glob) => Some(glob.clone()),
                });
            let patterns = patterns.collect::<Vec<_>>().join(", ");
            format!(
                "{name}, for no vhost has the exact name {host} and it has the wildcard {patterns}"
            )
        }
        HostMatch::Default => format!("{name}, the default: no vhost claims {host}"),
    }
}

/// The route's name, and its place in the file.
pub(super) fn named(route: &Route, index: usize) -> String {
    let kind = match &route.path {
        PathPattern::Prefix(prefix) if *prefix == route.name => String::new(),
        PathPattern::Prefix(prefix) => format!(" (prefix {prefix})"),
        PathPattern::Regex(pattern) => format!(" (regex {pattern})"),
    };
    format!("{}{kind} [route {}]", route.name, index + 1)
}

pub(super) fn why(vhost: &Vhost, route: &Route, contenders: usize) -> String {
    match (contenders, vhost.order, &route.path) {
        (..2, ..) => "the only one that takes the path".to_owned(),
        (n, RouteOrder::File, _) => format!("the first in the file of {n} that take the path"),
        (n, RouteOrder::Longest, PathPattern::Prefix(_)) => {
            format!("the longest prefix of {n} routes that take the path")
        }
        (n, RouteOrder::Longest, PathPattern::Regex(_)) => {
            format!("the first regex of {n} routes that take the path, for no prefix serves it")
        }
    }
}

pub(super) fn access(access: &Access, client: IpAddr) -> String {
    let client = client.to_canonical();
    let within = |nets: &[ipnet::IpNet]| nets.iter().find(|net| net.contains(&client)).copied();
    if access.deny {
        return "denied to everybody".to_owned();
    }
    if let Some(net) = within(&access.deny_from) {
        return format!("denied: {client} is in deny_from {net}");
    }
    match (access.allow_from.is_empty(), within(&access.allow_from)) {
        (true, _) if access.deny_from.is_empty() => "allowed to everybody".to_owned(),
        (true, _) => format!("allowed: {client} is not in deny_from"),
        (false, Some(net)) => format!("allowed: {client} is in allow_from {net}"),
        (false, None) => format!("denied: {client} is not in allow_from"),
    }
}

pub(super) fn pin(hold: Option<&Hold>) -> String {
    let Some(hold) = hold else {
        return "the request has no session".to_owned();
    };
    let pin = match &hold.pin {
        Pin::Route(route) => format!("the session is at route {route}"),
        Pin::Member(id) => format!("the session is at member {id}"),
        Pin::Key(key) => format!("the session is placed by its key {key:016x}"),
    };
    let strict = if hold.strict { " and may not move" } else { "" };
    format!("{pin}{strict}")
}

pub(super) fn chosen_by(chosen: &Chosen, session: &Session) -> String {
    let by = match &chosen.decided_by {
        Decider::Policy { name, digest } => format!("policy {name} {}", short(*digest)),
        Decider::Pin => "the session's pin".to_owned(),
        Decider::Trial => "the gateway, which tries a member that failed".to_owned(),
        Decider::Rotation => "the gateway's rotation, for no policy answered".to_owned(),
    };
    match (chosen.moved, chosen.pinned, session.hold()) {
        (true, true, _) => format!("{by}, moved by redirect"),
        (true, false, Some(_)) => format!("{by}; the pin leads to no usable member"),
        _ => by,
    }
}

pub(super) fn bindings<'a>(all: impl IntoIterator<Item = &'a Arc<Binding>>) -> String {
    let names: Vec<_> = all
        .into_iter()
        .map(|binding| binding_name(binding))
        .collect();
    names.join(", then ")
}

pub(super) fn binding_name(binding: &Binding) -> String {
    format!("{} {}", binding.policy(), short(binding.digest()))
}

/// As much of a digest as tells versions apart.
pub(super) fn short(digest: Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
