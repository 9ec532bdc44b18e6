//! The seam between the host and whatever runs a policy.
//!
//! `wasm` implements these traits for components; tests implement them natively.

use std::{fmt, sync::Arc};

use crate::{
    decision::{
        Call, Context, Descriptor, Edit, Hold, Member, Outcome, Problem, RequestPlan, ResponsePlan,
        Verdict,
    },
    members::Clock,
    recording::{self, Answer, Source},
    snapshot::PolicyLimits,
};

/// SHA-256 of a policy's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", &self.to_string()[..12])
    }
}

/// Why a call failed. Every one is the policy's own fault and its alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// With the guest's backtrace, one frame a line.
    #[error("trapped: {0}")]
    Trap(String),
    /// It used up its CPU budget.
    #[error("ran longer than its deadline of {0:?}")]
    Deadline(std::time::Duration),
    /// It asked for more memory than it may have.
    #[error("asked for more memory than its limit of {0} bytes")]
    Memory(usize),
    /// It called the host more often, or with more bytes, than one call may; or it has more of
    /// something than its limits say.
    #[error("exceeded the host's limit on {0}")]
    HostLimit(&'static str),
    /// An earlier fault ended this instance.
    #[error("the instance ended with an earlier fault")]
    Ended,
}

/// The kinds of faults, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// See [`Fault::Trap`].
    Trap,
    /// See [`Fault::Deadline`].
    Deadline,
    /// See [`Fault::Memory`].
    Memory,
    /// See [`Fault::HostLimit`].
    HostLimit,
    /// It could not be built anew, or was told or asked what it refused.
    Rebuild,
}

impl FaultKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Trap,
        Self::Deadline,
        Self::Memory,
        Self::HostLimit,
        Self::Rebuild,
    ];

    /// One word, for logs and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::HostLimit => "host_limit",
            Self::Rebuild => "rebuild",
        }
    }
}

impl Fault {
    /// Its kind.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Trap(_) => FaultKind::Trap,
            Self::Deadline(_) => FaultKind::Deadline,
            Self::Memory(_) => FaultKind::Memory,
            Self::HostLimit(_) => FaultKind::HostLimit,
            Self::Ended => FaultKind::Rebuild,
        }
    }
}

impl Fault {
    /// As a recording has it.
    pub fn answer(&self) -> Answer {
        let kind = match self {
            Self::Trap(_) => recording::FaultKind::Trap,
            Self::Deadline(_) => recording::FaultKind::Deadline,
            Self::Memory(_) => recording::FaultKind::Memory,
            Self::HostLimit(_) => recording::FaultKind::HostLimit,
            Self::Ended => recording::FaultKind::Ended,
        };
        let text = self.to_string();
        Answer::Fault { kind, text }
    }
}

/// Why a policy was not taken into service. The version in service stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a component or core module of this contract; says what is wrong and what to do.
    #[error("{0}")]
    NotAPolicy(String),
    /// Compiling it went over a bound.
    #[error("{0}")]
    Compile(String),
    /// `describe` or `init` refused the configuration.
    #[error("the configuration is refused: {}", problems(.0))]
    Config(Vec<Problem>),
    /// It failed while being tried.
    #[error("{during}: {fault}")]
    Faulted {
        /// `describe`, `init`, `members-changed`, `restore`, a smoke call.
        during: &'static str,
        /// What happened.
        fault: Fault,
    },
    /// It answered with what the contract does not have while being tried.
    #[error("{during}: {what}")]
    Invalid {
        /// Which smoke call.
        during: &'static str,
        /// For the operator.
        what: String,
    },
}

impl Refusal {
    /// The kind of fault it was, where it was one.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Faulted { fault, .. } => fault.kind(),
            _ => FaultKind::Rebuild,
        }
    }
}

fn problems(list: &[Problem]) -> String {
    let one = |p: &Problem| match p.at.as_str() {
        "" => p.message.clone(),
        at => format!("{at}: {}", p.message),
    };
    list.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Which interfaces a policy exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exports {
    /// Decision 1.
    pub balancer: bool,
    /// Decision 2.
    pub affinity: bool,
    /// Decision 3.
    pub rewriter: bool,
    /// `members-changed`; a balancer always has it.
    pub membership: bool,
    /// `completed`.
    pub observer: bool,
    /// Streams bodies.
    pub transformer: bool,
    /// `tick`.
    pub ticker: bool,
    /// `save` and `restore`.
    pub handoff: bool,
}

/// What an instance is given besides its configuration.
#[derive(Debug, Clone)]
pub struct Environment {
    /// For labels of logs and metrics.
    pub tenant: Arc<str>,
    /// The policy's name.
    pub policy: Arc<str>,
    /// Its bounds.
    pub limits: PolicyLimits,
    /// Seeds `entropy`.
    pub seed: u64,
    /// The time of calls that are no decision, the same as that of decisions.
    pub clock: Clock,
    /// Whether its calls are recorded, or replayed.
    pub tape: Source,
}

/// For whom a module is loaded: who waits for the compiler, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// Whose policy it is.
    pub tenant: &'a str,
    /// The policy's name, for messages.
    pub name: &'a str,
    /// One of the host's own, which go first and have no bound on their instances.
    pub built_in: bool,
}

/// Turns bytes into a module. Slow; never called on a worker thread.
pub trait Loader: Send + Sync {
    /// Likewise, for a certain tenant.
    fn load_for(
        &self,
        client: &Client<'_>,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal> {
        self.load(client.name, wasm, limits)
    }

    /// Checks, compiles (or takes from the cache) and probes a `.wasm` file.
    fn load(
        &self,
        name: &str,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal>;
}

/// A compiled policy: code without state, shared by all its instances.
pub trait Module: Send + Sync + fmt::Debug {
    /// Of the file.
    fn digest(&self) -> Digest;
    /// Size of the file, bytes.
    fn size(&self) -> usize;
    /// What it can do.
    fn exports(&self) -> Exports;
    /// What it needs under `config` (JSON text).
    fn describe(&self, config: &str, environment: &Environment) -> Result<Descriptor, Refusal>;
    /// A fresh instance, `init` done.
    fn instantiate(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal>;
    /// The same code with cells, store and metrics of its own, which begin as copies of those in
    /// service where they are first used.
    fn apart(&self) -> Arc<dyn Module>;
    /// A fresh instance likewise: what it counts or stores ends with it.
    fn instantiate_apart(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal>;
}

/// One running copy of a policy. After any fault it is `Ended` and must be replaced.
pub trait Instance: Send {
    /// Bytes of memory that it has taken, without the engine's own.
    fn memory(&self) -> usize {
        0
    }
    /// Who is in the pool. `revision` only rises.
    fn members_changed(&mut self, revision: u64, members: &[Member]) -> Result<(), Fault>;
    /// Decision 1.
    fn pick(&mut self, call: &Call<'_>, attempt: u32, state: u64) -> Result<Verdict, Fault>;
    /// Decision 2, request to route.
    fn locate(&mut self, call: &Call<'_>) -> Result<Option<Hold>, Fault>;
    /// Decision 2, response to cookies.
    fn bind(&mut self, call: &Call<'_>) -> Result<Vec<Edit>, Fault>;
    /// Decision 3, request.
    fn on_request(&mut self, call: &Call<'_>) -> Result<RequestPlan, Fault>;
    /// Decision 3, response.
    fn on_response(&mut self, call: &Call<'_>) -> Result<ResponsePlan, Fault>;
    /// Feedback.
    fn completed(&mut self, batch: &[Outcome]) -> Result<(), Fault>;
    /// The clock struck.
    fn tick(&mut self) -> Result<(), Fault>;
    /// State for the next version, within 10 ms: it is asked of an instance in service.
    fn save(&mut self) -> Result<Vec<u8>, Fault>;
    /// State of the version before; `Ok(Err(why))` = it starts cold.
    fn restore(
        &mut self,
        previous: &Digest,
        states: &[Vec<u8>],
    ) -> Result<Result<(), String>, Fault>;
    /// A body stream opened with `seed`, in an instance of its own.
    fn open_body(&mut self, seed: &[u8]) -> Result<(), Fault>;
    /// One chunk through the open body stream.
    fn write_body(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault>;
    /// What is left at the end of the stream.
    fn finish_body(&mut self) -> Result<Vec<u8>, Fault>;
}
