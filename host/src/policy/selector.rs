//! Who serves a request.
use std::sync::Arc;

use super::{Binding, Digest};
use crate::{
    decision::{Hold, RequestView},
    members::{InFlight, Pool},
    snapshot::MemberId,
};

/// Chooses members of one pool: pin, trial, the chain, the built-in policy, the host's rotation.
pub struct Selector {
    /// Whose members.
    pub pool: Arc<Pool>,
    /// Asked in order; each may abstain.
    pub chain: Vec<Arc<Binding>>,
    /// Finds and makes sessions.
    pub affinity: Option<Arc<Binding>>,
    /// The built-in `byrequests`, asked where the chain has no answer.
    pub last_resort: Option<Arc<Binding>>,
}

/// A member, chosen and already counted as busy.
#[derive(Debug)]
pub struct Chosen {
    /// Holds members, index, settings and live state.
    pub in_flight: InFlight,
    /// The one request a blocked member gets.
    pub trial: bool,
    /// Chosen by the session's pin.
    pub pinned: bool,
    /// The session's pin could not be honoured.
    pub moved: bool,
    /// A policy's name, or `pin`, `trial`, `rotation`.
    pub decided_by: Arc<str>,
    /// The version that decided; `None` where the host did.
    pub digest: Option<Digest>,
}

/// Why nobody serves.
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
    hold: Option<Hold>,
    refused: bool,
}

impl Session {
    /// The session's claim, for logs.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }
}

/// One attempt of a request to find a member.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a, R> {
    /// Index of the calling worker.
    pub worker: usize,
    /// Its `tried` is not asked: the host computes that from `tried` here.
    pub request: &'a R,
    /// 0, then 1, 2 … for retries.
    pub number: u32,
    /// Members already tried for this request.
    pub tried: &'a [MemberId],
    /// Fit to be a blocked member's trial: idempotent and without a body.
    pub trial_ok: bool,
}

impl Selector {
    /// Asks affinity whose session this is.
    pub async fn locate<R: RequestView>(&self, _worker: usize, _request: &R) -> Session {
        todo!()
    }
    /// Chooses a member.
    pub async fn select<R: RequestView>(&self, _attempt: Attempt<'_, R>, _session: &Session) -> Result<Chosen, Refused> {
        todo!()
    }
}
