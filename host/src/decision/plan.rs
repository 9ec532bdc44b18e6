//! Decisions and the records that carry them; each mirrors one of `wit/policy.wit`.
//!
//! They are written into recordings field by field, so whoever changes one raises
//! `recording::VERSION`; a test there holds the bytes.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::{RequestView, ResponseView};

/// What the operator configured about a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// `snapshot::MemberId`.
    pub id: String,
    /// Affinity route; empty when unset.
    pub route: String,
    /// Hundredths.
    pub weight: u32,
    /// Lower sets are used up first.
    pub lb_set: u32,
    /// The operator's.
    pub labels: Vec<(String, String)>,
}

/// Which member serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Index into the last `members-changed`; the host checks it.
    Member(u32),
    /// Ask the next policy of the chain.
    Abstain,
    /// Answer 503.
    Shed,
}

/// To what a session is tied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pin {
    /// A member's route.
    Route(String),
    /// A member's id.
    Member(String),
    /// Consistent hash over the eligible members.
    Key(u64),
}

/// A session's claim on a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which one.
    pub pin: Pin,
    /// Refuse rather than move.
    pub strict: bool,
}

/// A header change, as the policy gave it: unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// Leave exactly one line of that name.
    Set(String, Vec<u8>),
    /// Add a line.
    Append(String, Vec<u8>),
    /// Remove all lines of that name.
    Remove(String),
    /// Replace the nth line of that name, counted before any edit of this plan.
    ReplaceLine(String, u32, Vec<u8>),
    /// Remove the nth line of that name, counted likewise.
    RemoveLine(String, u32),
}

/// What a rewriter wants of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestPlan {
    /// Path and query, `None` = unchanged.
    pub path: Option<String>,
    /// Host, `None` = unchanged.
    pub authority: Option<String>,
    /// In order.
    pub headers: Vec<Edit>,
}

/// What a rewriter wants of a response.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResponsePlan {
    /// `None` = unchanged.
    pub status: Option<u16>,
    /// In order.
    pub headers: Vec<Edit>,
    /// What happens to the body.
    pub body: BodyPlan,
}

/// What happens to a response's body.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyPlan {
    /// Nothing.
    #[default]
    Pass,
    /// Byte strings replaced, also across chunks.
    Substitute(Vec<Substitution>),
    /// Links in HTML.
    Links(LinkPlan),
    /// Through the guest's transformer.
    Transform(Vec<u8>),
}

/// `from` becomes `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitution {
    /// Not empty.
    pub from: Vec<u8>,
    /// May be empty.
    pub to: Vec<u8>,
}

/// How links in HTML are mapped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LinkPlan {
    /// URL prefixes; the first that matches at a boundary wins.
    pub urls: Vec<Substitution>,
    /// Inline scripts and event attributes too.
    pub events: bool,
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// It did not.
    None,
    /// Connect refused.
    Refused,
    /// Connect took too long.
    ConnectTimeout,
    /// Connection reset or closed before the answer's head.
    Reset,
    /// No answer in time.
    ResponseTimeout,
    /// The answer broke the protocol.
    Protocol,
    /// The client left.
    Cancelled,
}

impl Failure {
    /// Whether the member is to blame.
    pub fn is_the_members(self) -> bool {
        !matches!(self, Self::None | Self::Cancelled)
    }

    /// One word for logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Reset => "reset",
            Self::ResponseTimeout => "answer_timeout",
            Self::Protocol => "protocol",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One finished exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Of the members that `member` indexes.
    pub revision: u64,
    /// Index.
    pub member: u32,
    /// 0 where there was no answer.
    pub status: u16,
    /// Why it failed.
    pub failure: Failure,
    /// Microseconds; 0 on a kept connection.
    pub connect_us: u32,
    /// Microseconds from the request's first byte.
    pub first_byte_us: u32,
    /// Microseconds.
    pub total_us: u32,
    /// From the member.
    pub bytes_in: u64,
    /// To the member.
    pub bytes_out: u64,
}

impl Outcome {
    /// Of an exchange without an answer: the revision and index of its member, and how long it took.
    pub fn unanswered((revision, member): (u64, u32), failure: Failure, took: Duration) -> Self {
        Self {
            revision,
            member,
            status: 0,
            failure,
            connect_us: 0,
            first_byte_us: 0,
            total_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

/// How many instances a policy wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// One, calls serialised.
    Exclusive,
    /// One a worker.
    Replicated,
}

/// A decision that can be triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hook {
    /// `affinity.locate`
    Locate,
    /// `affinity.bind`
    Bind,
    /// `rewriter.on-request`
    OnRequest,
    /// `rewriter.on-response`
    OnResponse,
}

/// When a hook is worth calling. Names are lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trigger {
    /// The request has this header.
    RequestHeader(String),
    /// The request has this cookie.
    Cookie(String),
    /// The request lacks this cookie.
    AbsentCookie(String),
    /// The path has this parameter.
    PathParameter(String),
    /// The query has this parameter.
    QueryParameter(String),
    /// The response has this header.
    ResponseHeader(String),
    /// The response's media type starts with this.
    ContentType(String),
}

impl Trigger {
    /// Which of a hook's triggers the exchange has, as [`Call::triggered`](super::Call::triggered) says it; `None`: it has
    /// none of them and is not worth a call.
    pub fn look(
        triggers: &[Self],
        request: &dyn RequestView,
        response: Option<&dyn ResponseView>,
    ) -> Option<u64> {
        let hits = |trigger: &Self| trigger.hits(request, response);
        Self::which(triggers.len(), |at| triggers.get(at).is_some_and(hits))
    }

    /// Likewise for so many triggers, of which `hits` tells whether the exchange has the nth.
    pub fn which(count: usize, hits: impl Fn(usize) -> bool) -> Option<u64> {
        let told = count.min(u64::BITS as usize);
        let mut triggered = u64::MAX;
        for at in 0..told {
            triggered ^= u64::from(!hits(at)) << at;
        }
        let none = u64::MAX.checked_shl(told as u32).unwrap_or(0);
        let is_concerned = count == 0 || triggered != none || (told..count).any(hits);
        is_concerned.then_some(triggered)
    }

    /// Whether the exchange has it. One on a response never hits before there is one.
    pub fn hits(&self, request: &dyn RequestView, response: Option<&dyn ResponseView>) -> bool {
        match self {
            Self::RequestHeader(name) => request.header(name).is_some(),
            Self::Cookie(name) => request.cookie(name).is_some(),
            Self::AbsentCookie(name) => request.cookie(name).is_none(),
            Self::PathParameter(name) => request.path_parameter(name).is_some(),
            Self::QueryParameter(name) => request.query(name).is_some(),
            Self::ResponseHeader(name) => response.is_some_and(|r| r.header(name).is_some()),
            Self::ContentType(prefix) => response
                .and_then(|r| r.header("content-type"))
                .is_some_and(|value| is_media_type(value, prefix)),
        }
    }
}

/// The media type is what stands before parameters; it is compared without regard to case (RFC 9110, 8.3.1).
fn is_media_type(value: &[u8], prefix: &str) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    essence
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// What a policy needs under its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Placement.
    pub concurrency: Concurrency,
    /// A hook without any is always called.
    pub triggers: Vec<(Hook, Trigger)>,
    /// 0 = never.
    pub tick_ms: u32,
}

/// What is wrong with a policy's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer; empty = the whole.
    pub at: String,
    /// For the operator.
    pub message: String,
}

/// Which instance this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// `tenant/route-or-pool`.
    pub binding: String,
    /// 0 .. replicas-1.
    pub replica: u32,
    /// 1 under `Exclusive`.
    pub replicas: u32,
}
