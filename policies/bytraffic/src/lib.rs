//! The built-in policy `bytraffic`: the member that has moved the fewest bytes for
//! its weight.
//!
//! The bytes are the host's counters, so there is no state here, nothing to hand
//! over, and one instance a worker will do.

#![forbid(unsafe_code)]

use switchyard_policy::{
    Balancer, Candidates, Context, Descriptor, Member, Problem, Verdict, pool,
};

/// Who may serve.
#[derive(Debug, Default)]
pub struct ByTraffic {
    candidates: Candidates,
}

impl Balancer for ByTraffic {
    type Config = ();

    fn describe((): &()) -> Descriptor {
        Descriptor::replicated()
    }

    fn init((): (), _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(ByTraffic::default())
    }

    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        self.candidates.members_changed(&members);
    }

    fn pick(&mut self, attempt: u32, state: u64) -> Verdict {
        let (from, to) = (pool::bytes_in(), pool::bytes_out());
        let bytes = |column: &[u64], index: usize| column.get(index).copied().unwrap_or_default();
        let mut best: Option<(usize, u64)> = None;
        for (index, weight) in self.candidates.at(attempt, state) {
            let score = score(bytes(&to, index), bytes(&from, index), weight);
            if best.is_none_or(|(_, least)| score < least) {
                best = Some((index, score));
            }
        }
        match best {
            Some((index, _)) => Verdict::Member(index as u32),
            None => Verdict::Abstain,
        }
    }
}

/// httpd divides each direction by itself and drops the remainders: with weight 1.0
/// (100 hundredths, times httpd's 100) the score moves in steps of 10,000 bytes.
fn score(to_member: u64, from_member: u64, weight: u32) -> u64 {
    // A weight of 0 can only come from slow start: that member waits.
    let share = |bytes: u64| bytes.checked_div(u64::from(weight));
    match (share(to_member), share(from_member)) {
        (Some(to), Some(from)) => to.saturating_add(from),
        _ => u64::MAX,
    }
}

switchyard_policy::balancer!(ByTraffic);
