//! The guard of one request under way at a member.
use std::{sync::Arc, time::Duration};

use super::{MemberLive, PoolMembers};
use crate::{decision::Failure, snapshot};

/// One request under way at a member: counts as busy until dropped, so keep it with the body.
#[derive(Debug)]
#[must_use = "the member is busy only while this lives"]
pub struct InFlight {
    members: Arc<PoolMembers>,
    index: u32,
}

impl InFlight {
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
    /// Counts bytes from the member.
    pub fn received(&self, _bytes: u64) {
        todo!()
    }
    /// Counts bytes to the member.
    pub fn sent(&self, _bytes: u64) {
        todo!()
    }
    /// The head of an answer came: good news unless the status is one of `fail_on_status`.
    pub fn answered(&mut self, _status: u16, _first_byte: Duration) {
        todo!()
    }
    /// No answer came. `fresh` = the connection was opened for this request.
    pub fn failed(&mut self, _failure: Failure, _fresh: bool) {
        todo!()
    }
}
