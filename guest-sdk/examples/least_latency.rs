//! Least latency with two random choices: of two members drawn at random the one
//! that would probably answer first. Nearly as good as asking all, and no herd runs
//! to whoever was fastest a moment ago (Mitzenmacher 2001).

use switchyard_policy::{
    Balancer, Candidates, Context, Descriptor, Member, Problem, Verdict, entropy, pool,
};

/// Who may be drawn.
#[derive(Default)]
pub struct LeastLatency {
    candidates: Candidates,
    /// Reused by every pick: no allocation on the request's path.
    drawn: Vec<usize>,
}

impl Balancer for LeastLatency {
    type Config = ();

    /// Latencies and busy counts are the host's, so every worker may have its own copy.
    fn describe((): &()) -> Descriptor {
        Descriptor::replicated()
    }

    fn init((): (), _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(LeastLatency::default())
    }

    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        self.candidates.members_changed(&members);
    }

    fn pick(&mut self, attempt: u32, state: u64) -> Verdict {
        self.drawn.clear();
        let candidates = self.candidates.at(attempt, state);
        self.drawn.extend(candidates.map(|(index, _)| index));
        let index = match self.drawn.as_slice() {
            [] => return Verdict::Abstain,
            [only] => *only,
            several => better_of_two(several),
        };
        Verdict::Member(index as u32)
    }
}

fn better_of_two(candidates: &[usize]) -> usize {
    let (latencies, busy) = (pool::latency_us(), pool::in_flight());
    // A member without a sample costs nothing: it gets one soon.
    let cost = |index: usize| {
        let latency = latencies.get(index).copied().unwrap_or_default();
        let waiting = busy.get(index).copied().unwrap_or_default();
        u64::from(latency) * (u64::from(waiting) + 1)
    };
    let count = candidates.len() as u64;
    let first = entropy::next() % count;
    // Another one: any distance but the whole way round.
    let second = (first + 1 + entropy::next() % (count - 1)) % count;
    let (first, second) = (candidates[first as usize], candidates[second as usize]);
    if cost(second) < cost(first) {
        second
    } else {
        first
    }
}

switchyard_policy::balancer!(LeastLatency);

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_policy::testing::{self, Host};

    fn start() -> (Host, LeastLatency) {
        let host = Host::new();
        host.usable([1, 1, 1])
            .weights([100, 100, 100])
            .latency_us([1_000, 1_000, 1_000])
            .in_flight([0, 0, 0]);
        let mut policy: LeastLatency = host.start("{}").unwrap();
        policy.members_changed(1, ["a", "b", "c"].map(|id| testing::member(id, "")).into());
        (host, policy)
    }

    fn served(host: &Host, policy: &mut LeastLatency) -> [u32; 3] {
        let mut served = [0; 3];
        for _ in 0..3_000 {
            let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) else {
                panic!("everybody can serve");
            };
            served[index as usize] += 1;
        }
        served
    }

    #[test]
    fn the_slowest_of_all_is_never_chosen() {
        let (host, mut policy) = start();
        host.latency_us([9_000, 1_000, 1_000]);
        let served = served(&host, &mut policy);
        assert_eq!(served[0], 0);
        assert!(served[1] > 1_000 && served[2] > 1_000, "{served:?}");
    }

    #[test]
    fn requests_under_way_count_as_waiting() {
        let (host, mut policy) = start();
        host.in_flight([0, 5, 5]);
        let served = served(&host, &mut policy);
        // Member 0 wins every draw that has it: two of three.
        assert!(served[0].abs_diff(2_000) < 150, "{served:?}");
    }

    #[test]
    fn only_who_can_serve_is_drawn() {
        let (host, mut policy) = start();
        host.usable([0, 0, 1]);
        assert_eq!(host.run(|| policy.pick(0, 2)), Verdict::Member(2));
        host.usable([0, 1, 1]).tried([1]);
        assert_eq!(host.run(|| policy.pick(1, 3)), Verdict::Member(2));
        host.tried([1, 2]);
        assert_eq!(host.run(|| policy.pick(2, 3)), Verdict::Abstain);
    }
}
