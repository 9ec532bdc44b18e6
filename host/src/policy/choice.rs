//! What goes into a selection and what comes out of it.

use std::{fmt, sync::Arc};

use super::Digest;
use crate::{decision::Hold, members::InFlight, snapshot::MemberId};

/// A member, chosen and already counted as busy.
#[derive(Debug)]
pub struct Chosen {
    /// Holds members, index, settings and live state.
    pub in_flight: InFlight,
    /// Who chose it.
    pub decided_by: Decider,
    /// Chosen for its session.
    pub pinned: bool,
    /// The session could not be kept where it was.
    pub moved: bool,
}

/// Who chose a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// A policy.
    Policy {
        /// Its name.
        name: Arc<str>,
        /// The version that decided.
        digest: Digest,
    },
    /// The session's pin.
    Pin,
    /// The host, for a blocked member's trial.
    Trial,
    /// The host, for want of an answer from any policy.
    Rotation,
}

impl Decider {
    /// For logs.
    pub fn name(&self) -> &str {
        match self {
            Self::Policy { name, .. } => name,
            Self::Pin => "pin",
            Self::Trial => "trial",
            Self::Rotation => "rotation",
        }
    }

    /// The version that decided; `None` where the host did.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Policy { digest, .. } => Some(*digest),
            _ => None,
        }
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why nobody serves, or why an exchange may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No member is usable.
    #[error("no member is usable")]
    NobodyUsable,
    /// The session may not leave its member, which is not usable.
    #[error("the session's member is not usable and the session may not move")]
    StickyUnusable,
    /// A policy said so.
    #[error("a policy sheds load")]
    Shed,
    /// A policy failed, and `on_error = "refuse"`.
    #[error("a policy failed and its failures refuse requests")]
    PolicyRefused,
}

/// What affinity made of a request: computed once, used by every attempt.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub(super) hold: Option<Hold>,
    pub(super) refused: bool,
}

impl Session {
    /// A session with this claim, if any; what `explain` and tests start from.
    pub fn new(hold: Option<Hold>) -> Self {
        Self {
            hold,
            refused: false,
        }
    }

    /// The session's claim, for logs.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }
}

/// One attempt of a request to find a member.
#[derive(Debug)]
pub struct Attempt<'a, R> {
    /// Index of the calling worker.
    pub worker: usize,
    /// Its own `tried` is not asked: policies see the indices of `tried` below.
    pub request: &'a R,
    /// 0, then 1, 2 … for retries.
    pub number: u32,
    /// Members already tried for this request.
    pub tried: &'a [MemberId],
    /// Fit to be a blocked member's trial: idempotent and without a body.
    pub trial_ok: bool,
}

impl<R> Clone for Attempt<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Attempt<'_, R> {}
