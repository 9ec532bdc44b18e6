//! The built-in policy `bybusyness`: the member with the fewest requests under way.
//!
//! Among equally busy members the schedule of `byrequests` decides, so an idle pool
//! rotates by weight. How busy a member is, the host counts.

#![forbid(unsafe_code)]

use switchyard_policy::{
    Accounts, Balancer, Candidates, Context, Handoff, Member, Problem, Verdict, pool,
};

/// The accounts of one pool.
#[derive(Debug, Default)]
pub struct ByBusyness {
    candidates: Candidates,
    accounts: Accounts,
}

impl Balancer for ByBusyness {
    type Config = ();

    fn init((): (), _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(ByBusyness::default())
    }

    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        self.candidates.members_changed(&members);
        self.accounts.members_changed(members);
    }

    fn pick(&mut self, attempt: u32, state: u64) -> Verdict {
        let busy = pool::in_flight();
        let busy = |index: usize| busy.get(index).copied().unwrap_or_default();
        let candidates = self.candidates.at(attempt, state);
        match self.accounts.serve(candidates, busy) {
            Some(index) => Verdict::Member(index as u32),
            None => Verdict::Abstain,
        }
    }
}

impl Handoff for ByBusyness {
    fn save(&mut self) -> Vec<u8> {
        self.accounts.save()
    }

    fn restore(&mut self, _previous: &str, states: Vec<Vec<u8>>) -> Result<(), String> {
        self.accounts.restore(&states)
    }
}

switchyard_policy::balancer!(ByBusyness, with handoff);
