//! The letters of a format and the facts they stand for.

use std::{io::Write, time::Duration};

use super::{
    escape,
    format::FormatError,
    record::Record,
    time::{self, Moment, TimeFormat},
};

/// One fact of an exchange.
#[derive(Debug, PartialEq)]
pub(super) enum Letter {
    /// `%h`, `%a`: names are never looked up.
    Client,
    /// `%{c}a`
    Peer,
    /// `%A`
    Local,
    /// `%l`, `%u`: we know neither, for the gateway asks nobody who they are.
    Nobody,
    /// `%t`, `%{…}t`
    Time(TimeFormat),
    /// `%r`
    RequestLine,
    /// `%s`
    Status,
    /// `%B`, and `%b` with a dash for none.
    BodyBytes { dash: bool },
    /// `%O`
    Sent,
    /// `%I`
    Received,
    /// `%S`
    Transferred,
    /// `%D`, `%T`, `%{unit}T`
    Duration(Unit),
    /// `%U`
    Path,
    /// `%q`
    Query,
    /// `%m`
    Method,
    /// `%H`
    Protocol,
    /// `%v`
    Vhost,
    /// `%V`
    Host,
    /// `%p`
    LocalPort,
    /// `%{remote}p`
    PeerPort,
    /// `%P`
    Process,
    /// `%{tid}P`
    Thread,
    /// `%X`
    Connection,
    /// `%k`
    Keepalive,
    /// `%{Name}i`
    RequestHeader(String),
    /// `%{Name}o`
    ResponseHeader(String),
    /// `%{Name}C`
    Cookie(Vec<u8>),
    /// `%{BALANCER_…}e` and `%{…}x`
    Balancing(Balancing),
}

/// A unit of time that `%{…}T` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Micros,
    Millis,
    Seconds,
}

/// Facts about the decision. Where there is none, a dash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Balancing {
    /// `%{BALANCER_NAME}e`: with `balancer://` in front, as httpd has it.
    BalancerUrl,
    Balancer,
    Member,
    MemberRoute,
    SessionRoute,
    /// `%{BALANCER_ROUTE_CHANGED}e`: 1 or a dash.
    RouteChanged,
    Moved,
    Attempts,
    Policy,
    PolicyMicros,
    Tenant,
    Route,
    Error,
}

const ENVIRONMENT: &str = "BALANCER_NAME, BALANCER_WORKER_NAME, BALANCER_WORKER_ROUTE, \
                           BALANCER_SESSION_ROUTE and BALANCER_ROUTE_CHANGED";
const OWN: &str = "balancer, member, member_route, session_route, moved, attempts, policy, \
                   policy_us, tenant, route and error";

impl Letter {
    /// The fact that a letter with this name in braces stands for.
    pub fn parse(letter: char, name: Option<&str>) -> Result<Self, FormatError> {
        let named = |name: &str, known: &'static str| FormatError::Name {
            name: name.to_owned(),
            letter,
            known,
        };
        Ok(match (letter, name) {
            ('h' | 'a', None) => Self::Client,
            ('a', Some("c")) => Self::Peer,
            ('a', Some(name)) => return Err(named(name, "c or nothing")),
            ('A', None) => Self::Local,
            ('l' | 'u', None) => Self::Nobody,
            ('t', name) => Self::Time(TimeFormat::parse(name.unwrap_or_default())),
            ('r', None) => Self::RequestLine,
            ('s', None) => Self::Status,
            ('b', None) => Self::BodyBytes { dash: true },
            ('B', None) => Self::BodyBytes { dash: false },
            ('O', None) => Self::Sent,
            ('I', None) => Self::Received,
            ('S', None) => Self::Transferred,
            ('D', None) | ('T', Some("us")) => Self::Duration(Unit::Micros),
            ('T', Some("ms")) => Self::Duration(Unit::Millis),
            ('T', None | Some("s")) => Self::Duration(Unit::Seconds),
            ('T', Some(name)) => return Err(named(name, "s, ms or us")),
            ('U', None) => Self::Path,
            ('q', None) => Self::Query,
            ('m', None) => Self::Method,
            ('H', None) => Self::Protocol,
            ('v', None) => Self::Vhost,
            ('V', None) => Self::Host,
            ('p', None | Some("local" | "canonical")) => Self::LocalPort,
            ('p', Some("remote")) => Self::PeerPort,
            ('p', Some(name)) => return Err(named(name, "canonical, local or remote")),
            ('P', None | Some("pid")) => Self::Process,
            ('P', Some("tid")) => Self::Thread,
            ('P', Some(name)) => return Err(named(name, "pid or tid")),
            ('X', None) => Self::Connection,
            ('k', None) => Self::Keepalive,
            ('i' | 'o' | 'C' | 'e' | 'x', None | Some("")) => {
                return Err(FormatError::Nameless(letter));
            }
            ('i', Some(name)) => Self::RequestHeader(name.to_ascii_lowercase()),
            ('o', Some(name)) => Self::ResponseHeader(name.to_ascii_lowercase()),
            ('C', Some(name)) => Self::Cookie(name.as_bytes().to_vec()),
            ('e', Some(name)) => {
                Self::Balancing(environment(name).ok_or_else(|| named(name, ENVIRONMENT))?)
            }
            ('x', Some(name)) => Self::Balancing(own(name).ok_or_else(|| named(name, OWN))?),
            (
                'h' | 'A' | 'l' | 'u' | 'r' | 's' | 'b' | 'B' | 'O' | 'I' | 'S' | 'D' | 'U' | 'q'
                | 'm' | 'H' | 'v' | 'V' | 'X' | 'k',
                Some(name),
            ) => {
                return Err(named(name, "no name"));
            }
            _ => return Err(FormatError::Letter(letter)),
        })
    }
}

fn environment(name: &str) -> Option<Balancing> {
    Some(match name {
        "BALANCER_NAME" => Balancing::BalancerUrl,
        "BALANCER_WORKER_NAME" => Balancing::Member,
        "BALANCER_WORKER_ROUTE" => Balancing::MemberRoute,
        "BALANCER_SESSION_ROUTE" => Balancing::SessionRoute,
        "BALANCER_ROUTE_CHANGED" => Balancing::RouteChanged,
        _ => return None,
    })
}

fn own(name: &str) -> Option<Balancing> {
    Some(match name {
        "balancer" => Balancing::Balancer,
        "member" => Balancing::Member,
        "member_route" => Balancing::MemberRoute,
        "session_route" => Balancing::SessionRoute,
        "moved" => Balancing::Moved,
        "attempts" => Balancing::Attempts,
        "policy" => Balancing::Policy,
        "policy_us" => Balancing::PolicyMicros,
        "tenant" => Balancing::Tenant,
        "route" => Balancing::Route,
        "error" => Balancing::Error,
        _ => return None,
    })
}

/// Appends the fact, escaped.
pub(super) fn render(letter: &Letter, record: &Record<'_>, out: &mut Vec<u8>) {
    match letter {
        Letter::Client => show(out, record.client),
        Letter::Peer => show(out, record.peer.ip()),
        Letter::Local => show(out, record.local.ip()),
        Letter::Nobody => out.push(b'-'),
        Letter::Time(format) => {
            let moment = match format.moment() {
                Moment::Begin => record.started,
                Moment::End => record.started + record.duration,
            };
            time::write(out, format, moment);
        }
        Letter::RequestLine if record.method.is_empty() => out.push(b'-'),
        Letter::RequestLine => {
            escape::httpd(out, record.method.as_bytes());
            out.push(b' ');
            escape::httpd(out, record.target.as_bytes());
            out.push(b' ');
            escape::httpd(out, record.version.as_bytes());
        }
        Letter::Status if record.status == 0 => out.push(b'-'),
        Letter::Status => show(out, record.status),
        Letter::BodyBytes { dash: true } if record.body_bytes == 0 => out.push(b'-'),
        Letter::BodyBytes { .. } => show(out, record.body_bytes),
        Letter::Sent => show(out, sent(record)),
        Letter::Received => show(out, record.received_bytes),
        Letter::Transferred => show(out, sent(record).saturating_add(record.received_bytes)),
        Letter::Duration(unit) => show(out, unit.of(record.duration)),
        Letter::Path => text(out, path(record.target).0.as_bytes()),
        // httpd: empty, not a dash, so that %U%q is the target.
        Letter::Query => escape::httpd(out, path(record.target).1.as_bytes()),
        Letter::Method => text(out, record.method.as_bytes()),
        Letter::Protocol => text(out, record.version.as_bytes()),
        Letter::Vhost => text(out, record.vhost.as_bytes()),
        Letter::Host => text(out, record.host.as_bytes()),
        Letter::LocalPort => show(out, record.local.port()),
        Letter::PeerPort => show(out, record.peer.port()),
        Letter::Process => show(out, std::process::id()),
        Letter::Thread => show(out, time::thread_id()),
        Letter::Connection => out.push(match (record.aborted, record.kept) {
            (true, _) => b'X',
            (false, true) => b'+',
            (false, false) => b'-',
        }),
        Letter::Keepalive => show(out, record.keepalive_index),
        Letter::RequestHeader(name) => header(out, (record.request_header)(name)),
        Letter::ResponseHeader(name) => header(out, (record.response_header)(name)),
        Letter::Cookie(name) => {
            let cookies = (record.request_header)("cookie").unwrap_or_default();
            header(out, cookie(&cookies, name).map(<[u8]>::to_vec));
        }
        Letter::Balancing(fact) => balancing(*fact, record, out),
    }
}

fn balancing(fact: Balancing, record: &Record<'_>, out: &mut Vec<u8>) {
    match fact {
        Balancing::BalancerUrl if record.balancer.is_empty() => out.push(b'-'),
        Balancing::BalancerUrl => {
            out.extend_from_slice(b"balancer://");
            escape::httpd(out, record.balancer.as_bytes());
        }
        Balancing::Balancer => text(out, record.balancer.as_bytes()),
        Balancing::Member => text(out, record.member.as_bytes()),
        Balancing::MemberRoute => text(out, record.member_route.as_bytes()),
        Balancing::SessionRoute => text(out, record.session_route.as_bytes()),
        Balancing::RouteChanged if record.moved => out.push(b'1'),
        Balancing::RouteChanged => out.push(b'-'),
        Balancing::Moved => show(out, u8::from(record.moved)),
        Balancing::Attempts => show(out, record.attempts),
        Balancing::Policy => text(out, record.policy.as_bytes()),
        Balancing::PolicyMicros => show(out, record.policy_time.as_micros()),
        Balancing::Tenant => text(out, record.tenant.as_bytes()),
        Balancing::Route => text(out, record.route.as_bytes()),
        Balancing::Error => text(out, record.error.as_bytes()),
    }
}

impl Unit {
    fn of(self, duration: Duration) -> u128 {
        match self {
            Self::Micros => duration.as_micros(),
            Self::Millis => duration.as_millis(),
            Self::Seconds => duration.as_secs().into(),
        }
    }
}

fn sent(record: &Record<'_>) -> u64 {
    record.head_bytes.saturating_add(record.body_bytes)
}

fn show(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // A Vec takes all that is written to it.
    let _ = write!(out, "{value}");
}

fn text(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() {
        out.push(b'-');
    } else {
        escape::httpd(out, value);
    }
}

fn header(out: &mut Vec<u8>, value: Option<Vec<u8>>) {
    match value {
        Some(value) => escape::httpd(out, &value),
        None => out.push(b'-'),
    }
}

/// Path and query (with its question mark) of a target in origin or absolute form.
fn path(target: &str) -> (&str, &str) {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    target.split_at(target.find('?').unwrap_or(target.len()))
}

fn cookie<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // Several Cookie fields were joined by commas, which cookies cannot contain (RFC 6265 section 4.1.1).
    let pairs = cookies.split(|b| matches!(b, b';' | b','));
    let mut pairs = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair)?;
        Some((&pair[..at], &pair[at + 1..]))
    });
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
