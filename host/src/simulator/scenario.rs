//! A scenario, checked and complete.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{compile, expect::Expected, names::Names, recorded::Recorded, source::ScenarioTable};
use crate::{
    config::{self, Diagnostic, Report, problems::Problems},
    decision::Failure,
    policy::Exports,
    snapshot::{Balancer, MemberId, Snapshot},
};

/// What happens to a policy, step by step, and what it is to do.
#[derive(Debug)]
pub struct Scenario {
    /// One vhost with one route to one balancer, as it is at first.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) names: Names,
    pub(super) seed: u64,
    pub(super) steps: Vec<Step>,
    /// What holds for all requests together.
    pub(super) expect: Vec<Expected>,
    /// What was hardly meant, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// As it was read, to show where something stands.
    pub(super) text: String,
    pub(super) file: PathBuf,
}

/// Events, then requests, then what these must have been answered with.
#[derive(Debug)]
pub(super) struct Step {
    /// For messages; may be empty.
    pub name: String,
    /// The balancer as it is from here on; `None` = as before.
    pub balancer: Option<Arc<Balancer>>,
    /// Members that refuse connections from here on, or accept them again (`true`).
    pub accepts: Vec<(MemberId, bool)>,
    pub wait: Duration,
    pub traffic: Traffic,
    pub answers: BTreeMap<MemberId, Arc<Answer>>,
    pub expect: Vec<Expected>,
}

/// The requests of a step.
#[derive(Debug)]
pub(super) struct Traffic {
    pub requests: u32,
    pub every: Duration,
    /// Sent instead, where there are any.
    pub recorded: Vec<Recorded>,
    pub ask: Arc<Ask>,
    pub clients: Clients,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clients {
    /// Nobody keeps a cookie.
    Strangers,
    /// One who does.
    One(Arc<str>),
    /// So many who do, taking turns.
    Turns(u32),
}

/// A request, but for what its client was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub method: String,
    pub path: String,
    pub host: String,
    pub headers: Vec<(String, String)>,
    pub cookies: Vec<(String, String)>,
    pub client: IpAddr,
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Of the body, from the member.
    pub bytes: u64,
    /// Of the request, to the member.
    pub sent: u64,
    /// Until its head is there.
    pub after: Duration,
    /// From there until its body has ended.
    pub then: Duration,
    /// Why there is none.
    pub fails: Option<Failure>,
}

/// Reads a scenario for a policy with these exports. What is wrong with it comes all at once.
pub fn read(file: &Path, policy: &Path, exports: Exports) -> Result<Scenario, Report> {
    parse(config::typed(file)?, file, policy, exports)
}

/// Likewise a text as if it stood in `file`.
pub(super) fn parse(
    text: String,
    file: &Path,
    policy: &Path,
    exports: Exports,
) -> Result<Scenario, Report> {
    let mean = |table: &ScenarioTable, out: &mut Problems| {
        compile::scenario(table, file, policy, exports, out)
    };
    let (scenario, warnings) = config::checked(&text, file, mean)?;
    Ok(Scenario {
        warnings,
        text,
        file: file.to_owned(),
        ..scenario
    })
}
