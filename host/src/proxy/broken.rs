//! Attempts that brought no answer: who is to blame, and what that allows.

use super::{error::ProxyError, upload::UploadError};
use crate::{
    decision::Failure,
    http1::{Malformed, ReadError},
    policy::Refused,
    upstream::ConnectError,
};

/// An attempt that brought no answer.
pub struct Broken {
    /// What the client is told, should no other member be tried.
    pub error: ProxyError,
    /// `None`: no member is to blame.
    pub failure: Option<Failure>,
    /// The member may have seen some of the request.
    pub sent: bool,
    /// The connection was opened for this request.
    pub fresh: bool,
}

impl Broken {
    /// No member is to blame.
    pub fn ours(error: ProxyError) -> Self {
        Self {
            error,
            failure: None,
            sent: true,
            fresh: true,
        }
    }

    /// The member is.
    pub fn member(failure: Failure, what: String, sent: bool, fresh: bool) -> Self {
        Self {
            error: ProxyError::Member { failure, what },
            failure: Some(failure),
            sent,
            fresh,
        }
    }
}

/// There was no connection.
pub fn unconnected(error: &ConnectError) -> Broken {
    match (error, error.failure()) {
        (ConnectError::Full(full), _) => Broken {
            error: ProxyError::Full(full.to_string()),
            failure: None,
            sent: false,
            fresh: true,
        },
        (ConnectError::NoSocket(none), _) => Broken {
            error: ProxyError::NoSocket(none.to_string()),
            failure: None,
            sent: false,
            fresh: true,
        },
        (ConnectError::Unreachable(why), failure) => Broken {
            error: ProxyError::Unreachable(why.to_string()),
            failure,
            sent: false,
            fresh: true,
        },
        (_, Some(failure)) => Broken::member(failure, error.to_string(), false, true),
        (_, None) => Broken::ours(ProxyError::Internal(error.to_string())),
    }
}

/// There was one, but no answer.
pub fn unanswered(error: &ReadError, sent: bool, fresh: bool) -> Broken {
    match error {
        ReadError::Malformed(malformed) => garbled(*malformed, fresh),
        ReadError::TimedOut => Broken::member(
            Failure::ResponseTimeout,
            "no answer in time".into(),
            sent,
            fresh,
        ),
        ReadError::Closed => Broken::member(
            Failure::Reset,
            "closed without an answer".into(),
            sent,
            fresh,
        ),
        ReadError::Io(error) => Broken::member(Failure::Reset, error.to_string(), sent, fresh),
    }
}

/// The answer is no HTTP that we read.
pub fn garbled(malformed: Malformed, fresh: bool) -> Broken {
    Broken::member(Failure::Protocol, malformed.to_string(), true, fresh)
}

/// The client's side of an upload failed.
pub fn client_failed(error: UploadError) -> Broken {
    Broken::ours(match error {
        UploadError::TooLarge => ProxyError::BodyTooLarge,
        UploadError::Client(ReadError::TimedOut) => ProxyError::BodyTimedOut,
        UploadError::Client(ReadError::Malformed(malformed)) => ProxyError::Malformed(malformed),
        UploadError::Client(_) | UploadError::Member => ProxyError::ClientLeft,
    })
}

/// What the client is told where a first member failed and no other may serve. A session that must
/// stay and whose member is down gets a 503, whether this request or an earlier one found that out.
pub fn nobody_else(last: Option<ProxyError>, refused: Refused) -> ProxyError {
    let unreachable = |error: &ProxyError| {
        let ProxyError::Member { failure, .. } = error else {
            return false;
        };
        matches!(failure, Failure::Refused | Failure::ConnectTimeout)
    };
    match last {
        Some(error) if refused == Refused::StickyUnusable && unreachable(&error) => refused.into(),
        Some(error) => error,
        None => refused.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_blame_members_or_nobody() {
        for (error, sent, status, failure) in [
            (ReadError::Closed, true, 502, Some(Failure::Reset)),
            (
                ReadError::TimedOut,
                true,
                504,
                Some(Failure::ResponseTimeout),
            ),
            (
                ReadError::Malformed(Malformed::Host),
                true,
                502,
                Some(Failure::Protocol),
            ),
        ] {
            let broken = unanswered(&error, sent, true);
            assert_eq!(
                (broken.error.status(), broken.failure, broken.sent),
                (status, failure, sent),
                "{error}"
            );
        }
        for (error, status) in [
            (UploadError::TooLarge, 413),
            (UploadError::Client(ReadError::TimedOut), 408),
            (
                UploadError::Client(ReadError::Malformed(Malformed::Host)),
                400,
            ),
        ] {
            let broken = client_failed(error);
            assert_eq!((broken.error.status(), broken.failure), (status, None));
        }
    }
}
