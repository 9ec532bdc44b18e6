//! The inside of a request: what it is for, and what answers it.

use std::{borrow::Cow, net::IpAddr};

use http::Method;
use tokio::time::Instant;

use super::{
    answer::{self, Manner, Undelivered},
    attempt::Sender,
    downstream::Downstream,
    edits,
    error::ProxyError,
    exchange::Exchange,
    forwarded::{self, Asker},
    handle::Gateway,
    record::Trace,
    reply::{self, Delivery},
    upload::Upload,
};
use crate::{
    generation::{Forward, Generation},
    http1::{Fields, Framing, RequestHead, Target, Version},
    response::{
        body,
        files::{self, FileRequest},
    },
    routing::{self, Authority, CanonicalPath, HostMatch, TargetError},
    snapshot::{Action, StaticFiles},
};

/// How an answered request leaves the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Fit for the next request.
    Kept,
    /// To be closed.
    Closed,
    /// To be broken off.
    Aborted,
}

impl Ended {
    fn of(sent: Result<(), Undelivered>, manner: Manner) -> Self {
        match sent {
            Err(Undelivered) => Self::Aborted,
            Ok(()) if manner.keep => Self::Kept,
            Ok(()) => Self::Closed,
        }
    }
}

/// Carries one request from its head to the end of its answer.
pub async fn run(
    gateway: &Gateway,
    live: &Generation,
    down: &mut Downstream<'_>,
    head: &mut RequestHead,
    upload: &mut Upload,
    trace: &mut Trace,
    mut manner: Manner,
) -> Result<Ended, ProxyError> {
    let snapshot = &live.snapshot;
    let addressed = addressed(head, down)?;
    let expects = expectation(head)?;
    if snapshot.limits.body_size != 0
        && matches!(head.framing, Framing::Length(length) if length > snapshot.limits.body_size)
    {
        return Err(ProxyError::BodyTooLarge);
    }
    let Some(path) = addressed.path.filter(|_| !is_last_hop(head)) else {
        // `OPTIONS *` asks about the gateway itself (RFC 9110 9.3.7).
        let mut fields = Fields::new();
        fields.push("Allow", b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
        return Ok(Ended::of(
            answer::send(down, trace, manner, 204, fields, b"").await,
            manner,
        ));
    };
    let trusted = |address: IpAddr| {
        snapshot
            .trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
    };
    let client = forwarded::client_of(&head.fields, down.client.ip().to_canonical(), trusted);
    let found = live.table.find(&addressed.host, &path, client);
    if addressed.absolute && matches!(found.by, HostMatch::Default) {
        return Err(ProxyError::ForeignHost);
    }
    trace.vhost.clone_from(&found.vhost.name);
    trace.vhost_index = Some(found.vhost_index);
    // A body that waits for a 100 is not read for an answer of our own.
    let own = Manner {
        keep: manner.keep && (!expects || upload.is_received()),
        ..manner
    };
    let (index, route, captures) = match found.target {
        routing::Target::Denied { route } => {
            trace.route.clone_from(&route.name);
            return Err(ProxyError::Denied);
        }
        routing::Target::Ambiguous => return Err(ProxyError::AmbiguousPath),
        routing::Target::NotFound => return Err(ProxyError::NotFound),
        routing::Target::DocumentRoot => {
            let Some(root) = &found.vhost.document_root else {
                return Err(ProxyError::NotFound);
            };
            return serve_file(down, trace, own, head, root, path).await;
        }
        routing::Target::Route {
            index,
            route,
            captures,
        } => (index, route, captures),
    };
    trace.route.clone_from(&route.name);
    match &route.action {
        Action::Static(folder) => serve_file(down, trace, own, head, folder, path).await,
        Action::Redirect(redirect) => {
            let location = routing::redirect_location(route, redirect, &path, &captures);
            let sent = answer::redirect(down, trace, own, redirect.status, &location).await;
            Ok(Ended::of(sent, own))
        }
        Action::Proxy(_) => {
            let peer_trusted = trusted(down.client.ip().to_canonical());
            let forward = live.forward(found.vhost_index, index);
            let forward =
                forward.ok_or_else(|| ProxyError::Internal("the route has no balancer".into()))?;
            let mut exchange = Exchange {
                method: head.method.clone(),
                version: head.version,
                framing: head.framing,
                fields: head.fields.clone(),
                original_scheme: scheme(&head.fields, peer_trusted),
                original_authority: addressed.authority,
                original: path,
                planned: None,
                planned_authority: None,
                client,
                peer: down.peer,
                vhost: found.vhost.name.clone(),
                route: route.name.clone(),
            };
            trace.balancer.clone_from(&forward.proxy.balancer);
            if exchange.method == Method::OPTIONS
                && let Some(hops) = exchange.fields.text("max-forwards")
                && let Ok(hops) = hops.parse::<u32>()
            {
                let left = hops.saturating_sub(1).to_string();
                exchange.fields.set("Max-Forwards", left.as_bytes());
            }
            let asker = Asker {
                peer: down.client.ip().to_canonical(),
                trusted: peer_trusted,
                client,
                host: exchange.original_authority.as_str(),
                scheme: exchange.original_scheme,
                server: &found.vhost.name,
                version: head.version,
            };
            forwarded::to_member(
                &mut exchange.fields,
                &asker,
                snapshot.x_real_ip,
                snapshot.forwarded,
                snapshot.via.as_deref(),
            );
            let upgrade = offered(head, forward);
            let asked = Instant::now();
            plan_request(gateway, forward, &mut exchange).await?;
            let session = forward.selector.locate(gateway.worker, &exchange).await;
            trace.decided(asked);
            trace.located(&session);
            let sender = Sender {
                worker: gateway.worker,
                forward,
                limits: &snapshot.limits,
                expects,
                upgrade,
            };
            let reply = sender
                .send(&exchange, &session, down, upload, trace)
                .await?;
            manner.keep &= upload.is_received();
            let delivery = Delivery {
                gateway,
                live,
                forward,
                vhost: found.vhost,
                exchange: &exchange,
                manner,
            };
            reply::deliver(delivery, reply, down, upload, trace).await
        }
        Action::Exclude | Action::Continue => Err(ProxyError::NotFound),
    }
}

/// Whom and what a request is for.
struct Addressed {
    /// For choosing a vhost; empty where an HTTP/1.0 client names none.
    host: String,
    authority: Authority,
    /// `None` = `*`
    path: Option<CanonicalPath>,
    absolute: bool,
}

/// Checks Host and target together (RFC 9112 3.2).
fn addressed(head: &RequestHead, down: &Downstream<'_>) -> Result<Addressed, ProxyError> {
    let mut hosts = head.fields.all("host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(Authority::parse(host)?),
        (None, _) if head.version == Version::Http10 => None,
        _ => return Err(crate::http1::Malformed::Host.into()),
    };
    if head.method == Method::TRACE {
        // It would show a script the cookies it may not see.
        return Err(ProxyError::Method);
    }
    let (authority, path, absolute) = match &head.target {
        Target::Authority(_) => return Err(ProxyError::Method),
        Target::Asterisk => (host, None, false),
        Target::Origin(path) => (host, Some(CanonicalPath::parse(path.as_bytes())?), false),
        Target::Absolute {
            authority, path, ..
        } => {
            let named = Authority::parse(authority.as_bytes())?;
            if host.is_some_and(|host| !host.as_str().eq_ignore_ascii_case(named.as_str())) {
                return Err(crate::http1::Malformed::Host.into());
            }
            (
                Some(named),
                Some(CanonicalPath::parse(path.as_bytes())?),
                true,
            )
        }
    };
    let host = authority
        .as_ref()
        .map(|authority| authority.host().to_owned())
        .unwrap_or_default();
    let authority = match authority {
        Some(authority) => authority,
        None => Authority::parse(down.local.to_string().as_bytes())?,
    };
    Ok(Addressed {
        host,
        authority,
        path,
        absolute,
    })
}

/// Whether the client waits for a 100 before it sends its body.
fn expectation(head: &RequestHead) -> Result<bool, ProxyError> {
    let mut expects = head.fields.all("expect");
    match (expects.next(), expects.next()) {
        (None, _) => Ok(false),
        // An expectation of a 1.0 client is ignored (RFC 9110 10.1.1).
        (Some(_), _) if head.version == Version::Http10 => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => {
            Ok(head.framing != Framing::None)
        }
        _ => Err(ProxyError::Expectation),
    }
}

fn scheme(fields: &Fields, trusted: bool) -> &'static str {
    match fields.text("x-forwarded-proto") {
        Some(proto) if trusted && proto.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    }
}

/// Whether an OPTIONS may go no further and is answered here (RFC 9110 7.6.2).
fn is_last_hop(head: &RequestHead) -> bool {
    head.method == Method::OPTIONS && head.fields.text("max-forwards") == Some("0")
}

/// The protocols a client offers that the route lets through; never with a body, which could be
/// read as the new protocol's first bytes.
fn offered<'a>(head: &'a RequestHead, forward: &Forward) -> Option<&'a str> {
    let offered = head.upgrade()?;
    let allowed = |protocol: &str| {
        forward
            .proxy
            .upgrade
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(protocol.trim()))
    };
    (head.framing == Framing::None && head.method == Method::GET && offered.split(',').all(allowed))
        .then_some(offered)
}

/// Asks the rewriters what they want of the request, each seeing what the one before made of it.
async fn plan_request(
    gateway: &Gateway,
    forward: &Forward,
    exchange: &mut Exchange,
) -> Result<(), ProxyError> {
    for rewriter in &forward.rewriters {
        let Some(plan) = rewriter.on_request(gateway.worker, exchange).await? else {
            continue;
        };
        let refuse = |what: String| ProxyError::Plan(format!("{}: {what}", rewriter.policy()));
        let target = |error: TargetError| refuse(error.to_string());
        if let Some(path) = plan.path {
            exchange.planned = Some(CanonicalPath::parse(path.as_bytes()).map_err(target)?);
        }
        if let Some(authority) = plan.authority {
            exchange.planned_authority =
                Some(Authority::parse(authority.as_bytes()).map_err(target)?);
        }
        edits::apply(&mut exchange.fields, &plan.headers)
            .map_err(|illegal| refuse(illegal.to_string()))?;
    }
    if forward.plans_bodies {
        // A body that will be rewritten must come whole, in a coding that can be undone.
        let codings = body::acceptable_codings(exchange.fields.text("accept-encoding"));
        exchange.fields.set("Accept-Encoding", codings.as_bytes());
        exchange.fields.remove("range");
        exchange.fields.remove("if-range");
    }
    Ok(())
}

async fn serve_file(
    down: &mut Downstream<'_>,
    trace: &mut Trace,
    manner: Manner,
    head: &RequestHead,
    folder: &StaticFiles,
    path: CanonicalPath,
) -> Result<Ended, ProxyError> {
    let method = head.method.clone();
    let owned = |name| head.fields.text(name).map(str::to_owned);
    let conditions = [
        "range",
        "if-range",
        "if-none-match",
        "if-modified-since",
        "if-match",
        "if-unmodified-since",
    ]
    .map(owned);
    let folder = folder.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let [
            range,
            if_range,
            if_none_match,
            if_modified_since,
            if_match,
            if_unmodified_since,
        ] = &conditions;
        let request = FileRequest {
            method: method.as_str(),
            range: range.as_deref(),
            if_range: if_range.as_deref(),
            if_none_match: if_none_match.as_deref(),
            if_modified_since: if_modified_since.as_deref(),
            if_match: if_match.as_deref(),
            if_unmodified_since: if_unmodified_since.as_deref(),
        };
        files::serve(&folder, &path, request)
    });
    let answer = looked
        .await
        .map_err(|error| ProxyError::Internal(error.to_string()))?;
    if let Some(cause) = &answer.cause {
        tracing::warn!(vhost = %trace.vhost, route = %trace.route, status = answer.status, %cause, "A file could not be served");
    }
    match (answer.status, answer.content_length) {
        (403, None) => Err(ProxyError::Denied),
        (404, None) => Err(ProxyError::NotFound),
        (405, None) => Err(ProxyError::Method),
        (500 | 503, None) => Err(ProxyError::Internal("the file cannot be read".into())),
        _ => {
            let sent = answer::file(down, trace, manner, head, answer).await;
            Ok(Ended::of(sent, manner))
        }
    }
}

/// The target as the client wrote it, for logs.
pub fn target_text(target: &Target) -> Cow<'_, str> {
    match target {
        Target::Origin(path) => Cow::Borrowed(path),
        Target::Absolute {
            scheme,
            authority,
            path,
        } => Cow::Owned(format!("{scheme}://{authority}{path}")),
        Target::Authority(authority) => Cow::Borrowed(authority),
        Target::Asterisk => Cow::Borrowed("*"),
    }
}
