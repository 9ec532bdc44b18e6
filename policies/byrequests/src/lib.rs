//! The built-in policy `byrequests`: every member its share of the requests.
//!
//! httpd's default: a smooth weighted round robin over the members that may serve
//! now. The schedule itself is [`Accounts`]; here it meets the pool.

#![forbid(unsafe_code)]

use switchyard_policy::{
    Accounts, Balancer, Candidates, Context, Handoff, Member, Problem, Verdict,
};

/// The accounts of one pool.
#[derive(Debug, Default)]
pub struct ByRequests {
    candidates: Candidates,
    accounts: Accounts,
}

impl Balancer for ByRequests {
    type Config = ();

    fn init((): (), _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(ByRequests::default())
    }

    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        self.candidates.members_changed(&members);
        self.accounts.members_changed(members);
    }

    fn pick(&mut self, attempt: u32, state: u64) -> Verdict {
        let candidates = self.candidates.at(attempt, state);
        match self.accounts.serve(candidates, |_| 0) {
            Some(index) => Verdict::Member(index as u32),
            None => Verdict::Abstain,
        }
    }
}

impl Handoff for ByRequests {
    fn save(&mut self) -> Vec<u8> {
        self.accounts.save()
    }

    fn restore(&mut self, _previous: &str, states: Vec<Vec<u8>>) -> Result<(), String> {
        self.accounts.restore(&states)
    }
}

switchyard_policy::balancer!(ByRequests, with handoff);
