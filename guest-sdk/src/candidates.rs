//! Whom a balancer may choose, pulled from the host only when it changed.

use crate::{Member, pool, request};

/// The pool's usable members and their weights, cached by `pick`'s `state`.
///
/// ```
/// use switchyard_policy::{Candidates, testing::Host};
///
/// let mut candidates = Candidates::default();
/// Host::new().usable([1, 0, 1]).weights([100, 100, 300]).run(|| {
///     let of_this_pick = candidates.at(0, 1);
///     assert_eq!(of_this_pick.collect::<Vec<_>>(), [(0, 100), (2, 300)]);
/// });
/// ```
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    state: Option<u64>,
    usable: Vec<u8>,
    weights: Vec<u32>,
    tried: Vec<u32>,
}

impl Candidates {
    /// To be called from `members_changed`: the columns have other lengths now.
    pub fn members_changed(&mut self, members: &[Member]) {
        self.state = None;
        self.usable.clear();
        self.weights = members.iter().map(|member| member.weight).collect();
    }

    /// `(index, weight in hundredths)` of every member that this pick may choose,
    /// in the pool's order: usable, and not yet tried for this request.
    pub fn at(&mut self, attempt: u32, state: u64) -> impl Iterator<Item = (usize, u32)> + '_ {
        if self.state != Some(state) {
            self.usable = pool::usable();
            self.weights = pool::weights();
            self.state = Some(state);
        }
        // A first attempt has tried nobody: asking would cost a call.
        self.tried.clear();
        if attempt > 0 {
            self.tried = request::tried();
        }
        let tried = &self.tried;
        self.usable
            .iter()
            .zip(&self.weights)
            .enumerate()
            .filter(|(_, (usable, _))| **usable == 1)
            .map(|(index, (_, weight))| (index, *weight))
            .filter(|(index, _)| !tried.iter().any(|t| *t as usize == *index))
    }
}
