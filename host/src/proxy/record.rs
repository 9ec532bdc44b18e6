//! What is told of a request when it is over.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{downstream::Downstream, forwarded, handle::Next, pipeline};
use crate::{
    decision::Pin,
    generation::Generation,
    http1::{Fields, RequestHead, Target, Version},
    members::Finished,
    policy::{Chosen, Decider, Session},
    snapshot::Member,
    telemetry::Record,
};

/// Facts of one request, gathered on its way; names are borrowed from its generation.
#[derive(Debug)]
pub struct Trace<'l> {
    /// When the request's first byte came.
    pub begun: Instant,
    /// The head of the final answer is on its way to the client.
    pub answering: bool,
    /// Of the answer; 0 before there is one.
    pub status: u16,
    /// Body bytes to the client.
    pub body_bytes: u64,
    /// Head bytes to the client.
    pub head_bytes: u64,
    /// Body bytes from the client, and what it sent through a tunnel.
    pub received_bytes: u64,
    /// Who is meant, once the head's fields were looked at.
    pub client: Option<IpAddr>,
    /// Whose the vhost is.
    pub tenant: &'l str,
    /// Of the route's vhost.
    pub vhost: &'l str,
    /// Its place among the vhosts.
    pub vhost_index: Option<usize>,
    /// As configured.
    pub route: &'l str,
    /// Its name within the tenant; empty where none was asked.
    pub balancer: &'l str,
    /// The last member asked.
    pub member: Option<Arc<Member>>,
    /// What the session asked for.
    pub session_route: String,
    /// The session could not stay.
    pub moved: bool,
    /// Members asked.
    pub attempts: u32,
    /// Who decided.
    pub policy: Option<Decider>,
    /// A log will tell of it: what only that wants to know is left out where there is none.
    pub is_logged: bool,
    /// Time in policy calls, waiting for a turn included.
    pub policy_time: Duration,
    /// A word for what went wrong; empty where nothing did.
    pub error: &'static str,
    /// The answer was broken off.
    pub aborted: bool,
    /// Fields of the answer, as the client got them.
    pub response: Fields,
}

impl Trace<'_> {
    /// Of the request that is next on this connection.
    pub fn start(down: &Downstream<'_>) -> Self {
        Self {
            begun: down.begun,
            answering: false,
            status: 0,
            body_bytes: 0,
            head_bytes: 0,
            received_bytes: 0,
            client: None,
            tenant: "",
            vhost: "",
            vhost_index: None,
            route: "",
            balancer: "",
            member: None,
            session_route: String::new(),
            moved: false,
            attempts: 0,
            policy: None,
            is_logged: false,
            policy_time: Duration::ZERO,
            error: "",
            aborted: false,
            response: Fields::new(),
        }
    }

    /// Affinity has spoken.
    pub fn located(&mut self, session: &Session) {
        if let Some(hold) = session.hold()
            && self.is_logged
        {
            self.session_route = match &hold.pin {
                Pin::Route(name) | Pin::Member(name) => name.clone(),
                Pin::Key(key) => format!("{key:016x}"),
            };
        }
    }

    /// The time, where somebody will want to know how long policies take: each reading costs some of it.
    pub fn clock(&self) -> Option<Instant> {
        self.is_logged.then(Instant::now)
    }

    /// A policy that was asked at `asked` has said what it wants.
    pub fn decided(&mut self, asked: Option<Instant>) {
        self.policy_time += asked.map_or(Duration::ZERO, |asked| asked.elapsed());
    }

    /// A member was chosen.
    pub fn chose(&mut self, chosen: &Chosen) {
        self.attempts += 1;
        self.moved = chosen.moved;
        self.member = Some(Arc::clone(chosen.in_flight.settings()));
        if self.is_logged {
            self.policy = Some(chosen.decided_by.clone());
        }
    }
}

/// Counts the request and writes the access log's line. `head` is `None` where it could not be read.
pub fn write(
    live: &Generation,
    down: &Downstream<'_>,
    head: Option<&RequestHead>,
    trace: &Trace<'_>,
    next: Next,
) {
    let received = down.head_bytes + trace.received_bytes;
    live.exchanges(trace.vhost_index).count(Finished {
        status: trace.status,
        received,
        sent: trace.head_bytes + trace.body_bytes,
        retries: trace.attempts.saturating_sub(1),
        broken: trace.aborted,
    });
    let Some(log) = live.access_log(trace.vhost_index) else {
        return;
    };
    let target = head.map(|head| pipeline::target_text(&head.target));
    let version = match head.map(|head| head.version) {
        None => "",
        Some(Version::Http10) => "HTTP/1.0",
        Some(Version::Http11) => "HTTP/1.1",
    };
    let member = trace.member.as_deref();
    let duration = trace.begun.elapsed();
    log.write(&Record {
        client: client(live, down, head, trace),
        peer: down.ends.peer,
        local: down.ends.local,
        started: SystemTime::now() - duration,
        duration,
        method: head.map_or("", |head| head.method.as_str()),
        target: target.as_deref().unwrap_or_default(),
        version,
        host: head.map_or("", host),
        status: trace.status,
        body_bytes: trace.body_bytes,
        head_bytes: trace.head_bytes,
        received_bytes: received,
        tenant: trace.tenant,
        vhost: trace.vhost,
        route: trace.route,
        balancer: trace.balancer,
        member: member.map_or("", |member| &member.id.0),
        member_route: member.map_or("", |member| &member.route),
        session_route: &trace.session_route,
        moved: trace.moved,
        attempts: trace.attempts,
        policy: trace.policy.as_ref().map_or("", Decider::name),
        policy_time: trace.policy_time,
        error: trace.error,
        keepalive_index: down.served,
        kept: next == Next::Keep,
        aborted: trace.aborted,
        request_header: &|name| head?.fields.joined(name),
        response_header: &|name| trace.response.joined(name),
    });
}

/// Whom trusted proxies name, even where the request was refused before it came to that.
fn client(
    live: &Generation,
    down: &Downstream<'_>,
    head: Option<&RequestHead>,
    trace: &Trace<'_>,
) -> IpAddr {
    let peer = down.ends.client.ip().to_canonical();
    match (trace.client, head) {
        (Some(client), _) => client,
        (None, None) => peer,
        (None, Some(head)) => {
            forwarded::client_of(&head.fields, peer, |address| live.snapshot.trusts(address))
        }
    }
}

/// The host asked for, without its port, as the client wrote it.
fn host(head: &RequestHead) -> &str {
    let authority = match &head.target {
        Target::Absolute { authority, .. } => authority,
        _ => head.fields.text("host").unwrap_or_default(),
    };
    // Colons within brackets are an address's (RFC 3986 3.2.2).
    let from = authority.rfind(']').unwrap_or(0);
    match authority[from..].find(':') {
        Some(colon) => &authority[..from + colon],
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Bounds;

    #[test]
    fn the_host_is_told_without_its_port() {
        for (target, field, told) in [
            ("/", "h.example", "h.example"),
            ("/", "H.example:8080", "H.example"),
            ("/", "[::1]", "[::1]"),
            ("/", "[::1]:80", "[::1]"),
            ("http://h.example:81/", "h.example:81", "h.example"),
            ("/", "", ""),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {field}\r\n\r\n");
            let bounds = Bounds {
                head_size: 1024,
                field_count: 8,
            };
            let head = RequestHead::parse(text.as_bytes(), bounds).unwrap();
            assert_eq!(host(&head), told, "{target} {field}");
        }
    }
}
