//! Puts candidates beside the policies that they are tried against.

use std::sync::Arc;

use super::{LinkError, link::Link, place::Place};
use crate::{
    decision::{Hook, Trigger},
    members::Pool,
    policy::{Binding, Canary, Post, Role, Shadow},
    snapshot::{Candidates, PolicyRef, TenantName},
};

/// Where candidates are tried, and against whom.
pub(super) struct Trial<'a> {
    pub tenant: &'a TenantName,
    pub pool: &'a Arc<Pool>,
    /// For messages.
    pub shadow: Place<'a>,
    pub canary: Place<'a>,
    /// One for each kind of decision that is made there.
    pub posts: Vec<&'a mut Post>,
    /// Where a session's name is found.
    pub sessions: Arc<[Trigger]>,
}

impl Link<'_> {
    /// Each candidate sees what the policy of its own kind sees.
    pub(super) fn try_beside(
        &mut self,
        candidates: &Candidates,
        trial: &mut Trial<'_>,
    ) -> Result<(), LinkError> {
        if let Some(shadow) = &candidates.shadow {
            let place = trial.shadow;
            let (binding, post) = self.candidate(&shadow.policy, Role::Shadow, place, trial)?;
            post.shadow = Some(Shadow {
                binding,
                sample: shadow.sample,
            });
        }
        if let Some(canary) = &candidates.canary {
            let place = trial.canary;
            let sessions = Arc::clone(&trial.sessions);
            let (binding, post) = self.candidate(&canary.policy, Role::Canary, place, trial)?;
            post.canary = Some(Canary {
                binding,
                share: canary.share,
                by: canary.by.clone(),
                sessions,
                promote_after: canary.promote_after,
            });
        }
        Ok(())
    }

    fn candidate<'t>(
        &mut self,
        policy: &PolicyRef,
        role: Role,
        place: Place<'_>,
        trial: &'t mut Trial<'_>,
    ) -> Result<(Arc<Binding>, &'t mut Post), LinkError> {
        let binding = self.bind(policy, trial.tenant, place, (trial.pool, role))?;
        let (own, kinds) = (binding.exports(), |post: &Post| post.binding.exports());
        let same = |post: &&mut &mut Post| {
            let post = kinds(post);
            own.balancer && post.balancer
                || own.affinity && post.affinity
                || own.rewriter && post.rewriter
        };
        match trial.posts.iter_mut().find(same) {
            Some(post) => Ok((binding, post)),
            None => Err(LinkError::NothingBeside {
                place: place.to_string(),
                policy: Arc::clone(binding.policy()),
                exports: own,
            }),
        }
    }
}

/// Where an affinity finds a session's name: where it looks for one.
pub(super) fn sessions(affinity: Option<&Post>) -> Arc<[Trigger]> {
    let triggers = affinity.map(|post| post.binding.descriptor().triggers.as_slice());
    let triggers = triggers.unwrap_or_default().iter();
    let locates = triggers.filter(|(hook, _)| *hook == Hook::Locate);
    locates.map(|(_, trigger)| trigger.clone()).collect()
}
