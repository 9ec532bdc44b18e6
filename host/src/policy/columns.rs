//! A pool as a policy sees it during one `pick`.

use crate::{
    decision::PoolView,
    members::{Facts, MemberLive, Micros, Pool},
};

/// Live columns of a pool, aligned with the facts' members.
pub(super) struct Columns<'a> {
    pool: &'a Pool,
    facts: &'a Facts,
    now: Micros,
}

impl<'a> Columns<'a> {
    pub fn new(pool: &'a Pool, facts: &'a Facts, now: Micros) -> Self {
        Self { pool, facts, now }
    }

    fn each<'b, T>(
        &'b self,
        of: impl Fn(&'b MemberLive) -> T + 'b,
    ) -> impl Iterator<Item = T> + 'b {
        self.facts
            .members
            .endpoints
            .iter()
            .map(move |endpoint| of(&endpoint.live))
    }
}

impl PoolView for Columns<'_> {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn usable(&self) -> &[u8] {
        &self.facts.usable
    }

    fn weights(&self) -> &[u32] {
        &self.facts.weights
    }

    fn in_flight(&self, out: &mut Vec<u32>) {
        out.extend(self.each(MemberLive::busy));
    }

    fn elected(&self, out: &mut Vec<u64>) {
        out.extend(self.each(MemberLive::elected));
    }

    fn bytes_in(&self, out: &mut Vec<u64>) {
        out.extend(self.each(|live| live.traffic(self.now).0));
    }

    fn bytes_out(&self, out: &mut Vec<u64>) {
        out.extend(self.each(|live| live.traffic(self.now).1));
    }

    fn latency_us(&self, out: &mut Vec<u32>) {
        out.extend(self.each(MemberLive::latency_us));
    }

    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        out.extend(self.each(MemberLive::consecutive_failures));
    }
}
