//! The outside of a request: whatever happens within, it ends here and is recorded.

use std::{sync::Arc, time::Duration};

use tracing::{debug, warn};

use super::{
    answer::{self, Manner, Undelivered},
    downstream::Downstream,
    error::ProxyError,
    pipeline,
    presence::Presence,
    record::{self, Trace},
    upload::Upload,
};
use crate::{
    generation::{Current, Generation},
    http1::{Framing, RequestHead, Version},
    policy::Refused,
};

/// What a worker needs to serve requests.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Index of the worker.
    pub worker: usize,
    /// What is configured now.
    pub current: Arc<Current>,
}

/// What becomes of the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next request may come.
    Keep,
    /// Closed properly: what the client still sends is read for a while, so that it gets the answer.
    Close,
    /// Broken off with a reset, so that nobody takes the answer for whole.
    Abort,
}

impl Next {
    /// After an answer that was sent in this manner.
    pub(super) fn of(sent: Result<(), Undelivered>, manner: Manner) -> Self {
        match sent {
            Err(Undelivered) => Self::Abort,
            Ok(()) if manner.keep => Self::Keep,
            Ok(()) => Self::Close,
        }
    }
}

/// For logs, as nginx has it: no client ever sees it.
const LEFT: u16 = 499;
/// What is left of a body that nobody wanted is read up to this size, to keep the connection.
const DISCARD: u64 = 64 * 1024;

/// Serves one request.
pub async fn handle(gateway: &Gateway, down: &mut Downstream<'_>, head: RequestHead) -> Next {
    let live = gateway.current.load();
    let limits = &live.snapshot.limits;
    let trace = Trace::start(down);
    down.presence = Presence::new(head.version == Version::Http11);
    let upload = Upload::new(head.framing, limits.body_size);
    let wants = head.keep_alive();
    // Whether a client that asked for a 100 and is refused sends its body all the same, nobody knows.
    let unsure = head.framing != Framing::None && head.fields.contains("expect");
    let last =
        limits.requests_per_connection != 0 && down.served + 1 >= limits.requests_per_connection;
    let mut manner = Manner {
        head_only: head.method == http::Method::HEAD,
        keep: wants && !last && head.method != http::Method::CONNECT,
        version: head.version,
        patience: limits.write_timeout,
    };
    let mut request = Underway {
        live: &live,
        down,
        head,
        trace,
        upload,
        over: false,
    };
    let served = pipeline::run(
        gateway,
        &live,
        request.down,
        &mut request.head,
        &mut request.upload,
        &mut request.trace,
        manner,
    )
    .await;
    let (down, trace, upload) = (&mut *request.down, &mut request.trace, &mut request.upload);
    let next = match served {
        Ok(next) => next,
        Err(error) => {
            manner.keep &= !closes(&error) && (!unsure || upload.is_received());
            Box::pin(fail(&live, down, trace, upload, manner, &error)).await
        }
    };
    let next = match next {
        Next::Keep => discard(down, upload, limits.body_timeout).await,
        next => next,
    };
    // A body may be followed by the empty line that clients of old send after it, and who switches
    // protocols goes on in another one.
    let is_all = request.head.framing == Framing::None && trace.status != 101;
    down.spoken = !wants && is_all && down.buffer.is_empty();
    request.trace.aborted |= next == Next::Abort;
    request.record(next);
    next
}

/// A request until it is recorded. One that is dropped on its way, as the end of a drain does, is recorded
/// then.
struct Underway<'a, 'd> {
    live: &'a Generation,
    down: &'a mut Downstream<'d>,
    head: RequestHead,
    trace: Trace<'a>,
    upload: Upload,
    over: bool,
}

/// The word for what a drain cut off.
const DRAINED: &str = "drained";

impl Underway<'_, '_> {
    fn record(&mut self, next: Next) {
        self.over = true;
        self.trace.received_bytes += self.upload.received();
        record::write(self.live, self.down, Some(&self.head), &self.trace, next);
    }
}

impl Drop for Underway<'_, '_> {
    fn drop(&mut self) {
        // A panic is told elsewhere, and a second one would end the process.
        if self.over || std::thread::panicking() {
            return;
        }
        self.trace.aborted = true;
        if self.trace.error.is_empty() {
            self.trace.error = DRAINED;
        }
        self.record(Next::Abort);
    }
}

/// Answers a head that could not even be read.
pub async fn refuse(gateway: &Gateway, down: &mut Downstream<'_>, error: &ProxyError) -> Next {
    let live = gateway.current.load();
    let mut trace = Trace::start(down);
    let mut upload = Upload::new(Framing::None, 0);
    let patience = live.snapshot.limits.write_timeout;
    let manner = Manner {
        head_only: false,
        keep: false,
        version: Version::Http11,
        patience,
    };
    let next = fail(&live, down, &mut trace, &mut upload, manner, error).await;
    trace.aborted |= next == Next::Abort;
    record::write(&live, down, None, &trace, next);
    next
}

/// Faults after which the client's bytes cannot be trusted, or were not all read.
fn closes(error: &ProxyError) -> bool {
    use ProxyError::*;
    matches!(
        error,
        Malformed(_)
            | Target(_)
            | AmbiguousPath
            | ForeignHost
            | BodyTooLarge
            | HeadTimedOut
            | BodyTimedOut
            | ClientLeft
    )
}

async fn fail(
    live: &Generation,
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
    upload: &mut Upload,
    mut manner: Manner,
    error: &ProxyError,
) -> Next {
    trace.error = error.word();
    match error {
        ProxyError::Internal(what) => {
            tracing::error!(tenant = %trace.tenant, vhost = %trace.vhost, %what, "A request failed for want of resources")
        }
        ProxyError::Member { what, .. } => {
            let member = trace
                .member
                .as_ref()
                .map(|member| member.id.to_string())
                .unwrap_or_default();
            warn!(tenant = %trace.tenant, vhost = %trace.vhost, balancer = %trace.balancer, %member, attempts = trace.attempts, %what, "No member answered");
        }
        ProxyError::Refused(Refused::NobodyUsable) | ProxyError::Full(_) => {
            warn!(tenant = %trace.tenant, vhost = %trace.vhost, balancer = %trace.balancer, cause = %error, "Nobody could serve a request");
        }
        ProxyError::Unreachable(what) => {
            let member = trace.member.as_ref().map(|member| member.id.to_string());
            let member = member.unwrap_or_default();
            warn!(tenant = %trace.tenant, vhost = %trace.vhost, balancer = %trace.balancer, %member, %what, "A tenant's member may not be connected to");
        }
        ProxyError::NoSocket(_) => {
            warn!(tenant = %trace.tenant, vhost = %trace.vhost, balancer = %trace.balancer, cause = %error, "Nobody could serve a request");
        }
        ProxyError::Plan(what) => {
            warn!(tenant = %trace.tenant, vhost = %trace.vhost, route = %trace.route, %what, "A policy's plan cannot be carried out")
        }
        _ => {
            debug!(tenant = %trace.tenant, vhost = %trace.vhost, cause = %error, "A request was refused")
        }
    }
    if trace.answering {
        return Next::Abort;
    }
    if matches!(error, ProxyError::ClientLeft) {
        trace.status = LEFT;
        trace.aborted = true;
        return Next::Close;
    }
    let left = upload.decoder().remaining();
    manner.keep &= upload.is_received() || left.is_some_and(|left| left <= DISCARD);
    let vhost = trace.vhost_index.map(|index| &*live.snapshot.vhosts[index]);
    let told = error.to_string();
    let mut advice = answer::advice(error.status());
    if let Some(seconds) = error.retry_after() {
        advice.set("Retry-After", seconds.to_string().as_bytes());
    }
    let sent = answer::error(down, trace, manner, vhost, error.status(), &told, advice).await;
    Next::of(sent, manner)
}

/// Reads what is left of the body, so that the next request begins where it should.
async fn discard(down: &mut Downstream<'_>, upload: &mut Upload, patience: Duration) -> Next {
    let mut read = 0;
    while !upload.is_received() {
        let piece = down.inlet().piece(upload.decoder(), patience).await;
        match piece {
            Ok(Some(length)) => {
                upload.skip(&mut down.buffer, length);
                read += length as u64;
                if read > DISCARD {
                    return Next::Close;
                }
            }
            Ok(None) => break,
            Err(_) => return Next::Close,
        }
    }
    Next::Keep
}
