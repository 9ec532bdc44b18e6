//! What a client is told when a request cannot be served, and who is to blame.

use crate::{
    decision::Failure, http1::Malformed, policy::Refused, routing::TargetError, tenants::Excess,
};

/// Why a request was not answered by what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The head cannot be read in one way only.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// Host or target is illegal.
    #[error("{0}")]
    Target(#[from] TargetError),
    /// The path means different things to different readers.
    #[error("the path is ambiguous")]
    AmbiguousPath,
    /// A target or CONNECT for a host that is not served here.
    #[error("this gateway serves no other hosts")]
    ForeignHost,
    /// TRACE, CONNECT.
    #[error("the method is not allowed")]
    Method,
    /// An expectation other than 100-continue.
    #[error("the expectation cannot be met")]
    Expectation,
    /// The access rules say no.
    #[error("access is denied")]
    Denied,
    /// No route, no file.
    #[error("nothing is served here")]
    NotFound,
    /// More body than allowed.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// The head did not come in time.
    #[error("the request head did not come in time")]
    HeadTimedOut,
    /// The body did not come in time.
    #[error("the request body did not come in time")]
    BodyTimedOut,
    /// The client closed the connection, or it broke.
    #[error("the client left")]
    ClientLeft,
    /// Nobody was chosen.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Every connection of every member that may serve is busy.
    #[error("{0}")]
    Full(String),
    /// Its tenant has as many requests as it may.
    #[error("{0}")]
    Excess(#[from] Excess),
    /// Its tenant has as many connections to members as it may.
    #[error("{0}")]
    NoSocket(String),
    /// The member is where its tenant's may not be.
    #[error("{0}")]
    Unreachable(String),
    /// A member failed, and no other may or can be tried.
    #[error("{what}")]
    Member {
        /// How.
        failure: Failure,
        /// In words, for the log.
        what: String,
    },
    /// A policy's plan breaks HTTP, or its body transformer failed.
    #[error("{0}")]
    Plan(String),
    /// This process lacks something: file descriptors, memory.
    #[error("{0}")]
    Internal(String),
}

impl ProxyError {
    /// What the client gets.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(malformed) => malformed.request_status(),
            Self::Target(_) | Self::AmbiguousPath | Self::ClientLeft => 400,
            Self::ForeignHost => 421,
            Self::Method => 405,
            Self::Expectation => 417,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::BodyTooLarge => 413,
            Self::HeadTimedOut | Self::BodyTimedOut => 408,
            Self::Refused(Refused::PolicyRefused) | Self::Refused(_) | Self::Full(_) => 503,
            Self::Member { failure, .. } => match failure {
                Failure::ResponseTimeout | Failure::ConnectTimeout => 504,
                _ => 502,
            },
            Self::Excess(Excess::Rate { .. }) => 429,
            Self::Excess(Excess::InFlight) | Self::NoSocket(_) => 503,
            Self::Plan(_) | Self::Unreachable(_) => 502,
            Self::Internal(_) => 500,
        }
    }

    /// After how many seconds the client may come again, where that is known.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Excess(Excess::Rate { wait }) => Some(*wait),
            // Those before it may end at any time.
            Self::Excess(Excess::InFlight) | Self::NoSocket(_) => Some(1),
            _ => None,
        }
    }

    /// One word for logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Target(_) => "bad_target",
            Self::AmbiguousPath => "ambiguous_path",
            Self::ForeignHost => "foreign_host",
            Self::Method => "method",
            Self::Expectation => "expectation",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadTimedOut => "head_timeout",
            Self::BodyTimedOut => "body_timeout",
            Self::ClientLeft => "client_left",
            Self::Refused(Refused::NobodyUsable) => "nobody_usable",
            Self::Refused(Refused::StickyUnusable) => "sticky_unusable",
            Self::Refused(Refused::Shed) => "shed",
            Self::Refused(Refused::PolicyRefused) => "policy_refused",
            Self::Full(_) => "members_full",
            Self::Excess(Excess::Rate { .. }) => "tenant_requests",
            Self::Excess(Excess::InFlight) => "tenant_in_flight",
            Self::NoSocket(_) => "tenant_connections",
            Self::Unreachable(_) => "egress",
            Self::Member { failure, .. } => failure.word(),
            Self::Plan(_) => "bad_plan",
            Self::Internal(_) => "internal",
        }
    }
}
