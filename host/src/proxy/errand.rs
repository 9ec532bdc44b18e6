//! What a request is for: everything about it that is known before a member is chosen.
//!
//! No socket and no clock: `switchyard explain` asks the same functions as a request does.

use std::net::{IpAddr, SocketAddr};

use http::Method;

use super::{
    edits,
    error::ProxyError,
    exchange::Exchange,
    forwarded::{self, Asker},
};
use crate::{
    generation::{Forward, Generation},
    http1::{Fields, Framing, Malformed, RequestHead, Target, Version},
    response::body,
    routing::{Authority, CanonicalPath, Found, HostMatch, TargetError},
    snapshot::{Route, Snapshot, Vhost},
};

/// The addresses of a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Who connected.
    pub peer: SocketAddr,
    /// Who is meant: the peer, or whom a trusted PROXY header named.
    pub client: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
}

/// Whom and what a request is for.
#[derive(Debug, Clone)]
pub struct Addressed {
    /// As named by the client, else the address that it connected to.
    pub authority: Authority,
    /// Not where an HTTP/1.0 client names none.
    is_named: bool,
    /// `None` = `*`
    pub path: Option<CanonicalPath>,
    /// The target names scheme and host, as to a forward proxy.
    pub absolute: bool,
    /// Who asks: the peer, or whom trusted proxies name.
    pub client: IpAddr,
    ends: Ends,
    /// The peer may speak for others.
    trusted: bool,
}

impl Addressed {
    /// Checks Host and target together (RFC 9112 3.2).
    pub fn of(head: &RequestHead, ends: Ends, snapshot: &Snapshot) -> Result<Self, ProxyError> {
        let mut hosts = head.fields.all("host");
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(Authority::parse(host)?),
            (None, _) if head.version == Version::Http10 => None,
            _ => return Err(Malformed::Host.into()),
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
                    return Err(Malformed::Host.into());
                }
                let path = CanonicalPath::parse(path.as_bytes())?;
                (Some(named), Some(path), true)
            }
        };
        let is_named = authority.is_some();
        let authority = match authority {
            Some(authority) => authority,
            None => Authority::parse(ends.local.to_string().as_bytes())?,
        };
        let peer = ends.client.ip().to_canonical();
        Ok(Self {
            authority,
            is_named,
            path,
            absolute,
            client: forwarded::client_of(&head.fields, peer, |address| snapshot.trusts(address)),
            ends,
            trusted: snapshot.trusts(peer),
        })
    }

    /// For choosing a vhost; empty where an HTTP/1.0 client names none.
    pub fn host(&self) -> &str {
        match self.is_named {
            true => self.authority.host(),
            false => "",
        }
    }

    /// Finds what serves `path`, which is this request's.
    pub fn find<'a>(
        &self,
        live: &'a Generation,
        path: &CanonicalPath,
    ) -> Result<Found<'a>, ProxyError> {
        let found = live.table.find(self.host(), path, self.client);
        if self.absolute && matches!(found.by, HostMatch::Default) {
            return Err(ProxyError::ForeignHost);
        }
        Ok(found)
    }

    /// The request as members get it, but for what rewriters plan; `fields` are those of its head.
    pub fn exchange<'l>(
        &'l self,
        snapshot: &Snapshot,
        head: &RequestHead,
        mut fields: Fields,
        path: &'l CanonicalPath,
        vhost: &'l Vhost,
        route: &'l str,
    ) -> Exchange<'l> {
        let peer = self.ends.client.ip().to_canonical();
        let original_scheme = scheme(&fields, self.trusted);
        let asker = Asker {
            peer,
            trusted: self.trusted,
            client: self.client,
            host: self.authority.as_str(),
            scheme: original_scheme,
            server: &vhost.name,
            version: head.version,
        };
        let via = snapshot.via.as_deref();
        forwarded::to_member(
            &mut fields,
            &asker,
            snapshot.x_real_ip,
            snapshot.forwarded,
            via,
        );
        Exchange {
            method: head.method.clone(),
            version: head.version,
            framing: head.framing,
            fields,
            original_scheme,
            original_authority: &self.authority,
            original: path,
            planned: None,
            planned_authority: None,
            client: self.client,
            peer: self.ends.peer,
            tenant: vhost.tenant.as_str(),
            vhost: &vhost.name,
            route,
        }
    }

    /// Likewise, where nothing is sent: the head keeps its fields.
    pub fn rehearsed<'l>(
        &'l self,
        live: &Generation,
        head: &RequestHead,
        path: &'l CanonicalPath,
        vhost: &'l Vhost,
        route: &'l Route,
    ) -> Exchange<'l> {
        let fields = head.fields.clone();
        self.exchange(&live.snapshot, head, fields, path, vhost, &route.name)
    }
}

/// Whether the client waits for a 100 before it sends its body.
pub fn expects_continue(head: &RequestHead) -> Result<bool, ProxyError> {
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

/// Asks the rewriters what they want of the request, each seeing what the one before made of it.
pub async fn plan(
    worker: usize,
    forward: &Forward,
    exchange: &mut Exchange<'_>,
) -> Result<(), ProxyError> {
    for rewriter in &forward.rewriters {
        let refuse = |what: String| ProxyError::Plan(format!("{}: {what}", rewriter.policy()));
        let planned = rewriter.on_request(worker, exchange).await;
        let Some(plan) = planned.map_err(|refused| refuse(refused.to_string()))? else {
            continue;
        };
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
