//! What a policy implements: one trait a kind, and optional hooks.
//!
//! A component makes one kind of decision. An instance serves one binding and a
//! binding asks for one kind, so a component with two would only be two policies
//! in one file. The lifecycle (configuration, description, initialisation) is part
//! of the kind's trait, and so a policy is one implementation and one macro line.

use crate::{
    Context, Descriptor, Edit, Hold, Member, Outcome, Problem, RequestPlan, ResponsePlan, Verdict,
    config::Config,
};

/// The lifecycle of any policy. The macros implement it from the kind's own
/// items; [`testing`](crate::testing) starts policies through it.
pub trait Policy: Sized + 'static {
    /// See the kind's trait.
    type Config: Config;
    /// See the kind's trait.
    fn describe(config: &Self::Config) -> Descriptor;
    /// See the kind's trait.
    fn init(config: Self::Config, context: &Context) -> Result<Self, Vec<Problem>>;
}

/// Decision 1: which member serves a request.
pub trait Balancer: Sized + 'static {
    /// What the operator configures; `()` for nothing.
    type Config: Config;

    /// How the host should run this under `config`. One instance, unless said otherwise.
    fn describe(config: &Self::Config) -> Descriptor {
        let _ = config;
        Descriptor::exclusive()
    }

    /// A fresh policy. Problems that the types cannot tell are returned with JSON pointers.
    fn init(config: Self::Config, context: &Context) -> Result<Self, Vec<Problem>>;

    /// Who is in the pool from now on: before the first `pick`, then whenever a
    /// member's record changes. Indices in later calls point into `members`.
    fn members_changed(&mut self, revision: u64, members: Vec<Member>);

    /// Chooses. `attempt` counts the retries of one request: skip
    /// [`request::tried`](crate::request::tried) when it is not 0. While `state`
    /// stays the same, so do `pool::usable` and `pool::weights`: see
    /// [`Candidates`](crate::Candidates).
    fn pick(&mut self, attempt: u32, state: u64) -> Verdict;
}

/// Decision 2: to which member a session belongs.
pub trait Affinity: Sized + 'static {
    /// What the operator configures; `()` for nothing.
    type Config: Config;

    /// How the host should run this under `config`. One instance a worker, unless
    /// said otherwise. Triggers spare the requests that carry no session the call.
    fn describe(config: &Self::Config) -> Descriptor {
        let _ = config;
        Descriptor::replicated()
    }

    /// A fresh policy. Problems that the types cannot tell are returned with JSON pointers.
    fn init(config: Self::Config, context: &Context) -> Result<Self, Vec<Problem>>;

    /// Request to member: `None` = a new session.
    fn locate(&mut self) -> Option<Hold>;

    /// Response to cookies; runs after every rewriter.
    fn bind(&mut self) -> Vec<Edit> {
        Vec::new()
    }
}

/// Decision 3: what changes on the way, in both directions.
pub trait Rewriter: Sized + 'static {
    /// What the operator configures; `()` for nothing.
    type Config: Config;

    /// How the host should run this under `config`. One instance a worker, unless
    /// said otherwise. Triggers spare uninteresting exchanges the call.
    fn describe(config: &Self::Config) -> Descriptor {
        let _ = config;
        Descriptor::replicated()
    }

    /// A fresh policy. Problems that the types cannot tell are returned with JSON pointers.
    fn init(config: Self::Config, context: &Context) -> Result<Self, Vec<Problem>>;

    /// Runs once, before a member is chosen; retries reuse the plan.
    fn on_request(&mut self) -> RequestPlan {
        RequestPlan::default()
    }

    /// Runs when a member has answered.
    fn on_response(&mut self) -> ResponsePlan {
        ResponsePlan::default()
    }
}

/// `with membership`: for affinities and rewriters that need to know the members.
pub trait Membership {
    /// As [`Balancer::members_changed`].
    fn members_changed(&mut self, revision: u64, members: Vec<Member>);
}

/// `with observer`: how exchanges ended, in batches off the request path.
pub trait Observer {
    /// `member` in each outcome is an index of that outcome's `revision`.
    fn completed(&mut self, batch: Vec<Outcome>);
}

/// `with ticker`: called every [`Descriptor::every_ms`].
pub trait Ticker {
    /// The time has come.
    fn tick(&mut self);
}

/// `with handoff`: state that survives a reload.
pub trait Handoff {
    /// For the next version. It may be another program: give the bytes a version. Decisions
    /// wait for it, so it has 10 ms of CPU time; an instance that takes longer is replaced.
    fn save(&mut self) -> Vec<u8>;

    /// Called after `init` and before `members_changed`, with one state for each
    /// instance of the version whose digest is `previous`. `Err` = start cold.
    fn restore(&mut self, previous: &str, states: Vec<Vec<u8>>) -> Result<(), String>;
}

/// `with transformer`: bodies streamed through the guest, for plans that say
/// [`BodyPlan::Transform`](crate::BodyPlan::Transform).
pub trait Transformer {
    /// One stream.
    type Body: BodyStream;

    /// Opens a stream with the plan's seed. It runs in an instance of its own, so
    /// what it needs of this policy must be in the seed.
    fn open(seed: Vec<u8>) -> Self::Body;
}

/// A body on its way.
pub trait BodyStream: 'static {
    /// Takes a chunk and gives what is ready.
    fn write(&mut self, chunk: Vec<u8>) -> Vec<u8>;
    /// Gives what is left.
    fn finish(&mut self) -> Vec<u8>;
}
