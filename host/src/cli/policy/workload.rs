//! What a policy is measured with: a pool, and the messages that a gateway tries policies with.

use crate::{
    decision::{Hook, Member, PoolView, Trigger},
    policy::{CannedRequest, CannedResponse},
};

/// Members with weights 1, 2, 3, 1, …, all of them usable and idle.
pub(super) struct Workload {
    pub members: Vec<Member>,
    usable: Vec<u8>,
    weights: Vec<u32>,
}

impl Workload {
    /// With so many members.
    pub fn of(members: usize) -> Self {
        let weight = |at: usize| 100 * (at as u32 % 3 + 1);
        let member = |at: usize| Member {
            // Addresses for benchmarks (RFC 2544).
            id: format!("http://198.18.{}.{}:8080", at / 250, at % 250 + 1),
            route: format!("worker{}", at + 1),
            weight: weight(at),
            lb_set: 0,
            labels: Vec::new(),
        };
        Self {
            members: (0..members).map(member).collect(),
            usable: vec![1; members],
            weights: (0..members).map(weight).collect(),
        }
    }

    /// A request that has the hook's first trigger, so that there is something to do.
    pub fn request(triggers: &[(Hook, Trigger)], hook: Hook) -> CannedRequest {
        CannedRequest::new(first(triggers, hook))
    }

    /// An answer that has it.
    pub fn response(&self, triggers: &[(Hook, Trigger)], hook: Hook) -> CannedResponse<'_> {
        let who = self
            .members
            .first()
            .map_or(("", ""), |m| (&*m.id, &*m.route));
        CannedResponse::new(first(triggers, hook), who)
    }

    fn zeroes<T: Clone + Default>(&self, out: &mut Vec<T>) {
        out.resize(self.usable.len(), T::default());
    }
}

fn first(triggers: &[(Hook, Trigger)], hook: Hook) -> Option<&Trigger> {
    of(triggers, hook).next()
}

/// A hook's own.
pub(super) fn of(triggers: &[(Hook, Trigger)], hook: Hook) -> impl Iterator<Item = &Trigger> {
    let own = triggers.iter().filter(move |(of, _)| *of == hook);
    own.map(|(_, trigger)| trigger)
}

impl PoolView for Workload {
    fn name(&self) -> &str {
        "bench"
    }

    fn usable(&self) -> &[u8] {
        &self.usable
    }

    fn weights(&self) -> &[u32] {
        &self.weights
    }

    fn in_flight(&self, out: &mut Vec<u32>) {
        self.zeroes(out);
    }

    fn elected(&self, out: &mut Vec<u64>) {
        self.zeroes(out);
    }

    fn bytes_in(&self, out: &mut Vec<u64>) {
        self.zeroes(out);
    }

    fn bytes_out(&self, out: &mut Vec<u64>) {
        self.zeroes(out);
    }

    fn latency_us(&self, out: &mut Vec<u32>) {
        self.zeroes(out);
    }

    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        self.zeroes(out);
    }
}
