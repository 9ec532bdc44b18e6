//! A canary: a percentage of the requests goes to the members labelled `canary`.

use switchyard_policy::{
    Accounts, Balancer, Candidates, Context, Member, Problem, Verdict, entropy,
};

switchyard_policy::config! {
    /// `{"percent": 5}`
    pub struct Settings {
        /// Percent of the requests that go to members labelled `canary`.
        percent: u64 in 0..=100 = 5,
    }
}

/// One pool and its canaries.
pub struct Canary {
    percent: u64,
    is_canary: Vec<bool>,
    candidates: Candidates,
    accounts: Accounts,
}

impl Balancer for Canary {
    type Config = Settings;

    fn init(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(Canary {
            percent: settings.percent,
            is_canary: Vec::new(),
            candidates: Candidates::default(),
            accounts: Accounts::default(),
        })
    }

    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        let labelled = |member: &Member| member.labels.iter().any(|(key, _)| key == "canary");
        self.is_canary = members.iter().map(labelled).collect();
        self.candidates.members_changed(&members);
        self.accounts.members_changed(members);
    }

    fn pick(&mut self, attempt: u32, state: u64) -> Verdict {
        let canary = entropy::next() % 100 < self.percent;
        let is_canary = &self.is_canary;
        let group = self
            .candidates
            .at(attempt, state)
            .filter(|(index, _)| is_canary.get(*index) == Some(&canary));
        match self.accounts.serve(group, |_| 0) {
            Some(index) => Verdict::Member(index as u32),
            // Nobody of this group can serve: the next policy of the chain decides.
            None => Verdict::Abstain,
        }
    }
}

switchyard_policy::balancer!(Canary);

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_policy::testing::{self, Host};

    fn start(config: &str) -> (Host, Canary) {
        let host = Host::new();
        host.usable([1, 1, 1]).weights([100, 100, 100]);
        let mut policy: Canary = host.start(config).unwrap();
        let mut members = ["a", "b", "new"].map(|id| testing::member(id, ""));
        members[2].labels.push(("canary".into(), "true".into()));
        policy.members_changed(1, members.into());
        (host, policy)
    }

    #[test]
    fn the_canary_gets_its_percentage_and_the_others_share_the_rest() {
        let (host, mut policy) = start(r#"{"percent": 20}"#);
        let mut served = [0_u32; 3];
        for _ in 0..10_000 {
            let Verdict::Member(index) = host.run(|| policy.pick(0, 1)) else {
                panic!("everybody can serve");
            };
            served[index as usize] += 1;
        }
        assert!(served[2].abs_diff(2_000) < 150, "{served:?}");
        assert!(served[0].abs_diff(served[1]) <= 1, "{served:?}");
    }

    #[test]
    fn without_a_usable_canary_it_abstains() {
        let (host, mut policy) = start(r#"{"percent": 100}"#);
        host.usable([1, 1, 0]);
        assert_eq!(host.run(|| policy.pick(0, 1)), Verdict::Abstain);
    }

    #[test]
    fn a_percentage_beyond_100_is_refused() {
        let problems = testing::start::<Canary>(r#"{"percent": 101}"#)
            .err()
            .unwrap();
        assert_eq!(problems[0].at, "/percent");
    }
}
