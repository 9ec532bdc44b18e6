//! Shadows and canaries, as the status tells of them.

use serde::{Deserialize, Serialize};

use crate::{
    policy::{BindingStatus, CanaryState, CanaryStatus, ShadowStatus},
    telemetry::timestamp,
};

/// A policy that is tried in some place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CandidateStatus {
    /// Where: `tenant/route-or-pool`.
    pub binding: String,
    /// `shadow` or `canary`.
    pub role: String,
    /// SHA-256 of the version.
    pub digest: String,
    /// How a shadow compares with the policy that is obeyed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shadow: Option<ShadowReport>,
    /// How a canary does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub canary: Option<CanaryReport>,
}

/// How a shadow compares with the policy that is obeyed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The same decision.
    pub agreed: u64,
    /// Another one.
    pub differed: u64,
    /// It failed, or was out of service.
    pub unanswered: u64,
    /// It was too slow to be asked.
    pub skipped: u64,
    /// How far the shares of members are apart: 0 = the same, 1 = no pick in common.
    pub distance: f64,
    /// Of a balancer's picks.
    pub shares: Vec<ShareReport>,
    /// Decisions that differed lately, the newest first.
    pub examples: Vec<ExampleReport>,
}

/// How often a member was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareReport {
    /// Its URL.
    pub member: String,
    /// By the policy that is obeyed.
    pub decided: u64,
    /// By the candidate, for the same requests.
    pub candidate: u64,
}

/// A decision that both made, differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExampleReport {
    /// When.
    pub at: String,
    /// `GET /path?query`
    pub request: String,
    /// What was done.
    pub decided: String,
    /// What the candidate would have done.
    pub candidate: String,
}

/// How a canary does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryReport {
    /// `running`, `promoted` or `undone`.
    pub state: String,
    /// Requests it decided for that came to an end, and those of them that failed (500 and
    /// above, or no answer).
    pub own: [u64; 2],
    /// Likewise of the others.
    pub others: [u64; 2],
}

impl CandidateStatus {
    /// Of a binding, if it is one.
    pub(super) fn of(status: &BindingStatus) -> Option<Self> {
        if status.shadow.is_none() && status.canary.is_none() {
            return None;
        }
        Some(Self {
            binding: status.binding.clone(),
            role: status.role.word().to_owned(),
            digest: status.digest.to_string(),
            shadow: status.shadow.as_ref().map(shadow),
            canary: status.canary.as_ref().map(canary),
        })
    }
}

fn shadow(status: &ShadowStatus) -> ShadowReport {
    let share = |share: &crate::policy::Share| ShareReport {
        member: share.member.to_string(),
        decided: share.decided,
        candidate: share.candidate,
    };
    let example = |example: &crate::policy::Example| ExampleReport {
        at: timestamp(example.at_ms),
        request: example.request.clone(),
        decided: example.decided.clone(),
        candidate: example.candidate.clone(),
    };
    ShadowReport {
        agreed: status.agreed,
        differed: status.differed,
        unanswered: status.unanswered,
        skipped: status.skipped,
        distance: status.distance(),
        shares: status.shares.iter().map(share).collect(),
        examples: status.examples.iter().map(example).collect(),
    }
}

fn canary(status: &CanaryStatus) -> CanaryReport {
    CanaryReport {
        state: state(status.state).to_owned(),
        own: [status.own.answered, status.own.failed],
        others: [status.others.answered, status.others.failed],
    }
}

/// One word, for labels too.
pub(super) fn state(state: CanaryState) -> &'static str {
    match state {
        CanaryState::Running => "running",
        CanaryState::Promoted => "promoted",
        CanaryState::Undone => "undone",
    }
}
