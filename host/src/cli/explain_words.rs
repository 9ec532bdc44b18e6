//! What would be done with a request, in words.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use http::StatusCode;

use super::explain_request::Asked;
use crate::{
    decision::{Hold, Pin},
    generation::{Forward, Generation},
    http1::{Bounds, Fields, Framing, RequestHead},
    policy::{Attempt, Binding, Chosen, Decider, Digest, Session},
    proxy::{self, Addressed, Ends, Exchange, ProxyError},
    response::files::{self, FileRequest},
    routing::{self, CanonicalPath, Found, HostMatch, Target},
    snapshot::{Access, Action, HostPattern, PathPattern, Route, RouteOrder, StaticFiles, Vhost},
};

/// Explains a request from its first line to whom it would be sent to, or why it would not.
pub(super) async fn tell(live: &Generation, asked: &Asked) -> String {
    let mut told = Told(String::new());
    told.line(
        "request",
        format!("{} {}, from {}", asked.method, asked.url, asked.client),
    );
    if let Err(error) = told.all(live, asked).await {
        told.refusal(&error);
    }
    told.0
}

struct Told(String);

/// A route with its place in the vhost and what its regex captured.
type Taken<'a> = (usize, &'a Route, Vec<String>);

impl Told {
    fn line(&mut self, key: &str, text: impl AsRef<str>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{key:<10} {}", text.as_ref());
    }

    fn refusal(&mut self, error: &ProxyError) {
        self.line("answer", format!("{}: {error}", status(error.status())));
    }

    async fn all(&mut self, live: &Generation, asked: &Asked) -> Result<(), ProxyError> {
        let limits = &live.snapshot.limits;
        let bounds = Bounds {
            head_size: limits.head_size,
            field_count: limits.field_count,
        };
        let head = RequestHead::parse(&asked.head, bounds, Fields::new())?;
        let ends = Ends {
            peer: asked.peer(),
            client: asked.peer(),
            // Nobody reads it of a request with a Host.
            local: asked.peer(),
        };
        let addressed = Addressed::of(&head, ends)?;
        proxy::expects_continue(&head)?;
        let Some(path) = &addressed.path else {
            self.line("answer", "204 No Content: OPTIONS * asks about the gateway");
            return Ok(());
        };
        let client = addressed.client(&live.snapshot, &head.fields);
        if client != asked.client {
            self.line(
                "client",
                format!(
                    "{client}, by X-Forwarded-For: {} is a trusted proxy",
                    asked.client
                ),
            );
        }
        self.line(
            "path",
            format!(
                "{} (for routes and rules), {} as received",
                path.as_str(),
                path.target()
            ),
        );
        let found = addressed.find(live, path, &head.fields)?;
        self.line("vhost", vhost(&found, &addressed.host));
        let route = self.route(&found, path, client)?;
        let Some((index, route, captures)) = route else {
            let Some(root) = &found.vhost.document_root else {
                return Err(ProxyError::NotFound);
            };
            self.files(root, path, &head);
            return Ok(());
        };
        match &route.action {
            Action::Static(folder) => self.files(folder, path, &head),
            Action::Redirect(redirect) => {
                let location = routing::redirect_location(route, redirect, path, &captures);
                self.line("action", format!("redirects to {location}"));
                self.line("answer", status(redirect.status));
            }
            Action::Proxy(_) => {
                let forward = live.forward(found.vhost_index, index);
                let forward = forward
                    .ok_or_else(|| ProxyError::Internal("the route has no balancer".into()))?;
                let exchange = addressed.exchange(
                    &live.snapshot,
                    &head,
                    path.clone(),
                    found.vhost,
                    &route.name,
                );
                self.forwarded(forward, exchange).await?;
            }
            Action::Exclude | Action::Continue => return Err(ProxyError::NotFound),
        }
        Ok(())
    }

    /// Which route and why; `None` = the document root, if there is one.
    fn route<'a>(
        &mut self,
        found: &Found<'a>,
        path: &CanonicalPath,
        client: IpAddr,
    ) -> Result<Option<Taken<'a>>, ProxyError> {
        let contenders = routing::contenders(found.vhost, path);
        let routes = &found.vhost.routes;
        let place = |route: &Route| routes.iter().position(|other| std::ptr::eq(other, route));
        let (decisive, outcome) = match &found.target {
            Target::Ambiguous => {
                let readings = path.alternates().join(", ");
                self.line(
                    "route",
                    format!("none: some servers would read the path as {readings}, and that leads elsewhere"),
                );
                return Err(ProxyError::AmbiguousPath);
            }
            Target::Route {
                index,
                route,
                captures,
            } => (Some(*index), Ok(Some((*index, *route, captures.clone())))),
            Target::Denied { route } => (place(route), Err(ProxyError::Denied)),
            Target::DocumentRoot | Target::NotFound => {
                let mut excluding = contenders.iter().copied();
                let excluding = excluding.find(|&index| routes[index].action == Action::Exclude);
                (excluding, Ok(None))
            }
        };
        let at = decisive.and_then(|index| contenders.iter().position(|&other| other == index));
        let passed = &contenders[..at.unwrap_or(contenders.len())];
        for &index in passed {
            let rules = access(&routes[index].access, client);
            self.line(
                "passed",
                format!("{}: {rules}", named(&routes[index], index)),
            );
        }
        let Some(index) = decisive else {
            self.line("route", "none takes the path");
            return outcome;
        };
        let route = &routes[index];
        let why = why(found.vhost, route, contenders.len());
        self.line("route", format!("{}, {why}", named(route, index)));
        let shadowed = at.map_or(&[][..], |at| &contenders[at + 1..]);
        if !shadowed.is_empty() {
            let names = shadowed.iter().map(|&index| named(&routes[index], index));
            self.line("shadows", names.collect::<Vec<_>>().join(", "));
        }
        self.line("access", access(&route.access, client));
        if route.action == Action::Exclude {
            self.line("action", "leaves the path to the vhost's document root");
        }
        outcome
    }

    fn files(&mut self, folder: &StaticFiles, path: &CanonicalPath, head: &RequestHead) {
        self.line(
            "action",
            format!("serves files below {}", folder.root.display()),
        );
        let request = FileRequest {
            method: head.method.as_str(),
            range: None,
            if_range: None,
            if_none_match: None,
            if_modified_since: None,
            if_match: None,
            if_unmodified_since: None,
        };
        let answer = files::serve(folder, path, request);
        let cause = answer.cause.map(|cause| format!(": {cause}"));
        self.line(
            "answer",
            format!("{}{}", status(answer.status), cause.unwrap_or_default()),
        );
    }

    async fn forwarded(
        &mut self,
        forward: &Forward,
        mut exchange: Exchange,
    ) -> Result<(), ProxyError> {
        let selector = &forward.selector;
        let balancer = &forward.proxy.balancer;
        let count = selector.pool.current().endpoints.len();
        let members = if count == 1 { "member" } else { "members" };
        self.line(
            "action",
            format!("forwards to balancer {balancer} ({count} {members})"),
        );
        if !forward.rewriters.is_empty() {
            self.line("rewriters", bindings(&forward.rewriters));
        }
        proxy::plan(0, forward, &mut exchange).await?;
        if let Some(planned) = &exchange.planned {
            self.line("planned", format!("path {}", planned.target()));
        }
        if let Some(planned) = &exchange.planned_authority {
            self.line("planned", format!("host {}", planned.as_str()));
        }
        let last = selector.last_resort.iter();
        let last = last.filter(|last| !selector.chain.iter().any(|b| Arc::ptr_eq(b, last)));
        self.line("policies", bindings(selector.chain.iter().chain(last)));
        let session = selector.locate(0, &exchange).await;
        let affinity = match &selector.affinity {
            None => "none: every request is placed afresh".to_owned(),
            Some(binding) => format!("{}: {}", binding_name(binding), pin(session.hold())),
        };
        self.line("affinity", affinity);
        let attempt = Attempt {
            worker: 0,
            request: &exchange,
            number: 0,
            tried: &[],
            trial_ok: exchange.is_idempotent() && exchange.framing == Framing::None,
        };
        let chosen = selector.select(attempt, &session).await?;
        let member = chosen.in_flight.settings();
        let route = match member.route.as_str() {
            "" => String::new(),
            route => format!(" (route {route})"),
        };
        let by = chosen_by(&chosen, &session);
        self.line(
            "member",
            format!("{}{route}, on a fresh start; chosen by {by}", member.id),
        );
        let target = exchange.target_at(&forward.proxy, member);
        let host = match (member.host.contains(':'), &member.host) {
            (true, host) => format!("[{host}]"),
            (false, host) => host.clone(),
        };
        let method = &exchange.method;
        self.line(
            "sends",
            format!("{method} http://{host}:{}{target}", member.port),
        );
        self.line("host", exchange.host_at(&forward.proxy, member));
        Ok(())
    }
}

fn status(code: u16) -> String {
    let reason = StatusCode::from_u16(code).ok();
    let reason = reason.and_then(|code| code.canonical_reason());
    format!("{code} {}", reason.unwrap_or_default())
}

fn vhost(found: &Found<'_>, host: &str) -> String {
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
fn named(route: &Route, index: usize) -> String {
    let kind = match &route.path {
        PathPattern::Prefix(prefix) if *prefix == route.name => String::new(),
        PathPattern::Prefix(prefix) => format!(" (prefix {prefix})"),
        PathPattern::Regex(pattern) => format!(" (regex {pattern})"),
    };
    format!("{}{kind} [route {}]", route.name, index + 1)
}

fn why(vhost: &Vhost, route: &Route, contenders: usize) -> String {
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

fn access(access: &Access, client: IpAddr) -> String {
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

fn pin(hold: Option<&Hold>) -> String {
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

fn chosen_by(chosen: &Chosen, session: &Session) -> String {
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

fn bindings<'a>(all: impl IntoIterator<Item = &'a Arc<Binding>>) -> String {
    let names: Vec<_> = all
        .into_iter()
        .map(|binding| binding_name(binding))
        .collect();
    names.join(", then ")
}

fn binding_name(binding: &Binding) -> String {
    format!("{} {}", binding.policy(), short(binding.digest()))
}

/// As much of a digest as tells versions apart.
fn short(digest: Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
