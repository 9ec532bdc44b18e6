//! The inside of a request: what it is for, and what answers it.

use std::borrow::Cow;

use super::{
    answer::{self, Manner},
    attempt::Sender,
    downstream::Downstream,
    errand::{self, Addressed},
    error::ProxyError,
    handle::{Gateway, Next},
    record::Trace,
    reply::{self, Delivery},
    upload::Upload,
};
use crate::{
    generation::{Forward, Generation},
    http1::{Fields, Framing, RequestHead, Target},
    response::files::{self, FileRequest},
    routing::{self, CanonicalPath},
    snapshot::{Action, StaticFiles},
};
use http::Method;

/// Carries one request from its head to the end of its answer.
pub async fn run<'l>(
    gateway: &Gateway,
    live: &'l Generation,
    down: &mut Downstream<'_>,
    head: &mut RequestHead,
    upload: &mut Upload,
    trace: &mut Trace<'l>,
    mut manner: Manner,
) -> Result<Next, ProxyError> {
    let snapshot = &live.snapshot;
    let addressed = Addressed::of(head, down.ends, snapshot)?;
    trace.client = Some(addressed.client);
    let expects = errand::expects_continue(head)?;
    if snapshot.limits.body_size != 0
        && matches!(head.framing, Framing::Length(length) if length > snapshot.limits.body_size)
    {
        return Err(ProxyError::BodyTooLarge);
    }
    let Some(path) = addressed.path.as_ref().filter(|_| !is_last_hop(head)) else {
        // `OPTIONS *` asks about the gateway itself (RFC 9110 9.3.7).
        let mut fields = Fields::new();
        fields.push("Allow", answer::METHODS);
        return Ok(Next::of(
            answer::send(down, trace, manner, 204, fields, b"").await,
            manner,
        ));
    };
    let found = addressed.find(live, path)?;
    trace.tenant = found.vhost.tenant.as_str();
    trace.vhost = &found.vhost.name;
    trace.vhost_index = Some(found.vhost_index);
    trace.is_logged = live.access_log(trace.vhost_index).is_some();
    // Held until the answer has ended.
    let tenant = live.tenant(found.vhost_index);
    let _admitted = tenant.map(|tenant| tenant.admit()).transpose()?;
    // A body that waits for a 100 is not read for an answer of our own.
    let own = Manner {
        keep: manner.keep && (!expects || upload.is_received()),
        ..manner
    };
    let (index, route, captures) = match found.target {
        routing::Target::Denied { route } => {
            trace.route = &route.name;
            return Err(ProxyError::Denied);
        }
        routing::Target::Ambiguous => return Err(ProxyError::AmbiguousPath),
        routing::Target::NotFound => return Err(ProxyError::NotFound),
        routing::Target::DocumentRoot => {
            let Some(root) = &found.vhost.document_root else {
                return Err(ProxyError::NotFound);
            };
            return Box::pin(serve_file(down, trace, own, head, root, path.clone())).await;
        }
        routing::Target::Route {
            index,
            route,
            captures,
        } => (index, route, captures),
    };
    trace.route = &route.name;
    match &route.action {
        Action::Static(folder) => {
            Box::pin(serve_file(down, trace, own, head, folder, path.clone())).await
        }
        Action::Redirect(redirect) => {
            let location = routing::redirect_location(route, redirect, path, &captures);
            let sent = answer::redirect(down, trace, own, redirect.status, &location).await;
            Ok(Next::of(sent, own))
        }
        Action::Proxy(_) => {
            let forward = live.forward(found.vhost_index, index);
            let forward =
                forward.ok_or_else(|| ProxyError::Internal("the route has no balancer".into()))?;
            trace.balancer = found.vhost.tenant.local(&forward.proxy.balancer);
            let upgrade = offered(head, forward).map(str::to_owned);
            // Only a log wants to know what the client sent.
            let fields = match trace.is_logged {
                true => head.fields.clone(),
                false => std::mem::take(&mut head.fields),
            };
            let mut exchange =
                addressed.exchange(snapshot, head, fields, path, found.vhost, &route.name);
            if exchange.method == Method::OPTIONS
                && let Some(hops) = exchange.fields.text("max-forwards")
                && let Ok(hops) = hops.parse::<u32>()
            {
                let left = hops.saturating_sub(1).to_string();
                exchange.fields.set("Max-Forwards", left.as_bytes());
            }
            let asked = trace.clock();
            errand::plan(gateway.worker, forward, &mut exchange).await?;
            let session = forward.selector.locate(gateway.worker, &exchange).await;
            trace.decided(asked);
            trace.located(&session);
            let sender = Sender {
                worker: gateway.worker,
                forward,
                limits: &snapshot.limits,
                expects,
                upgrade: upgrade.as_deref(),
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

async fn serve_file(
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    manner: Manner,
    head: &RequestHead,
    folder: &StaticFiles,
    path: CanonicalPath,
) -> Result<Next, ProxyError> {
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
        tracing::warn!(tenant = %trace.tenant, vhost = %trace.vhost, route = %trace.route, status = answer.status, %cause, "A file could not be served");
    }
    match (answer.status, answer.content_length) {
        (403, None) => Err(ProxyError::Denied),
        (404, None) => Err(ProxyError::NotFound),
        (405, None) => Err(ProxyError::Method),
        (500 | 503, None) => Err(ProxyError::Internal("the file cannot be read".into())),
        _ => {
            let sent = answer::file(down, trace, manner, head, answer).await;
            Ok(Next::of(sent, manner))
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
