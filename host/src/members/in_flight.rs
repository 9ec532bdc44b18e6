//! The guard of one request under way at a member.

use std::{sync::Arc, time::Duration};

use super::{
    MemberLive, PoolMembers,
    breaker::{Harm, Ticket},
    member::Cause,
};
use crate::{decision::Failure, snapshot};

/// One request under way at a member: counts as busy until dropped, so keep it with the body.
#[derive(Debug)]
#[must_use = "the member is busy only while this lives"]
pub struct InFlight {
    members: Arc<PoolMembers>,
    index: u32,
    ticket: Ticket,
}

impl InFlight {
    /// Begins a request at a member. `index` is below the number of endpoints.
    pub(crate) fn begin(members: &Arc<PoolMembers>, index: u32) -> Self {
        let ticket = members.endpoints[index as usize].live.begin();
        Self {
            members: Arc::clone(members),
            index,
            ticket,
        }
    }

    /// Begins the trial of a blocked member, if one is due and nobody was faster.
    pub(crate) fn begin_trial(members: &Arc<PoolMembers>, index: u32) -> Option<Self> {
        let ticket = members.endpoints[index as usize].live.begin_trial()?;
        Some(Self {
            members: Arc::clone(members),
            index,
            ticket,
        })
    }

    /// The members it was chosen among.
    pub fn members(&self) -> &Arc<PoolMembers> {
        &self.members
    }

    /// Its place among [`Self::members`].
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The member's configuration.
    pub fn settings(&self) -> &Arc<snapshot::Member> {
        &self.members.endpoints[self.index as usize].settings
    }

    /// The member's counters and connections.
    pub fn live(&self) -> &Arc<MemberLive> {
        &self.members.endpoints[self.index as usize].live
    }

    /// Whether it is the one request a blocked member gets.
    pub fn is_trial(&self) -> bool {
        self.ticket.is_trial()
    }

    /// Counts bytes from the member: httpd's `read`.
    pub fn received(&self, bytes: u64) {
        self.live().received(bytes);
    }

    /// Counts bytes to the member: httpd's `transferred`.
    pub fn sent(&self, bytes: u64) {
        self.live().sent(bytes);
    }

    /// The head of a final answer came: good news, unless the status is one of `fail_on_status`.
    pub fn answered(&self, status: u16, first_byte: Duration) {
        self.live().answered(status);
        let fails = &self.members.balancer.fail_on_status;
        if fails.iter().any(|range| range.contains(status)) {
            let retry = self.settings().retry;
            self.live()
                .failed(self.ticket, Harm::Down, retry, Cause::Status(status));
        } else {
            self.live().succeeded(self.ticket, first_byte);
        }
    }

    /// No answer came. `fresh` = the connection was opened for this request.
    pub fn failed(&self, failure: Failure, fresh: bool) {
        let harm = match failure {
            // Neither says anything about the member.
            Failure::None | Failure::Cancelled => return,
            Failure::Refused | Failure::ConnectTimeout => Harm::Down,
            Failure::Reset if fresh => Harm::Down,
            // A kept connection may be closed by the member at any time, and is.
            Failure::Reset => Harm::Slight,
            Failure::ResponseTimeout if self.members.balancer.fail_on_timeout => Harm::Down,
            Failure::ResponseTimeout => Harm::Slow,
            Failure::Protocol => Harm::Garbled,
        };
        let retry = self.settings().retry;
        self.live()
            .failed(self.ticket, harm, retry, Cause::Failure(failure));
    }
}

/// A trial that is left after this long has shown that the member is not well yet.
const TRIAL: Duration = Duration::from_secs(1);

impl InFlight {
    /// The client left after it had waited so long in vain. Where that is half of what the member may take,
    /// or the member was on trial, it counts as a slow answer; else a member that hangs would never be noticed
    /// before clients who wait less than the gateway does.
    pub fn given_up(&self, waited: Duration) {
        let settings = self.settings();
        let enough = if self.is_trial() {
            TRIAL
        } else {
            settings.answer_timeout / 2
        };
        if waited >= enough {
            let cause = Cause::Failure(Failure::ResponseTimeout);
            self.live()
                .failed(self.ticket, Harm::Slow, settings.retry, cause);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.live().end(self.ticket);
    }
}
