//! What would be done with a request, in words.

use std::{fmt::Write as _, net::IpAddr, sync::Arc};

use super::{
    explain_phrases::{access, bindings, chosen_by, named, pin, status, vhost, why},
    explain_request::Asked,
};
use crate::{
    generation::{Forward, Generation},
    http1::{Bounds, Framing, RequestHead},
    policy::Attempt,
    proxy::{self, Addressed, Ends, Exchange, ProxyError},
    response::files::{self, FileRequest},
    routing::{self, CanonicalPath, Found, Target},
    snapshot::{Action, Route, StaticFiles},
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

/// Tenants of whom nothing was looked at, and why: what is theirs is explained as if they were not there.
pub(super) fn left_out(problems: &[String]) -> String {
    let mut told = Told(String::new());
    for problem in problems.iter().flat_map(|problem| problem.lines()) {
        told.line("left out", problem);
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
        let head = RequestHead::parse(&asked.head, bounds)?;
        let ends = Ends {
            peer: asked.peer(),
            client: asked.peer(),
            // Nobody reads it of a request with a Host.
            local: asked.peer(),
        };
        let addressed = Addressed::of(&head, ends, &live.snapshot)?;
        proxy::expects_continue(&head)?;
        let Some(path) = &addressed.path else {
            self.line("answer", "204 No Content: OPTIONS * asks about the gateway");
            return Ok(());
        };
        let client = addressed.client;
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
        let found = addressed.find(live, path)?;
        self.line("vhost", vhost(&found, addressed.host()));
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
                let exchange = addressed.rehearsed(live, &head, path, found.vhost, route);
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
        mut exchange: Exchange<'_>,
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
            self.line(
                "rewriters",
                bindings(forward.rewriters.iter().map(|post| &post.binding)),
            );
        }
        proxy::plan(0, forward, &mut exchange).await?;
        if let Some(planned) = &exchange.planned {
            self.line("planned", format!("path {}", planned.target()));
        }
        if let Some(planned) = &exchange.planned_authority {
            self.line("planned", format!("host {}", planned.as_str()));
        }
        let last = selector.last_resort.iter();
        let last = last.filter(|last| {
            !selector
                .chain
                .iter()
                .any(|post| Arc::ptr_eq(&post.binding, last))
        });
        let chain = selector.chain.iter().map(|post| &post.binding);
        self.line("policies", bindings(chain.chain(last)));
        let session = selector.locate(0, &exchange).await;
        let affinity = match selector.affinity.is_empty() {
            true => "none: every request is placed afresh".to_owned(),
            false => {
                let held = selector.affinity.iter().map(|post| &post.binding);
                format!("{}: {}", bindings(held), pin(session.hold()))
            }
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
