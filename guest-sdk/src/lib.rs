//! Write Switchyard policies in Rust.
#![deny(unsafe_code)]

pub mod accounts;
pub mod candidates;
pub mod config;
pub mod json;
mod macros;
pub mod policy;
mod types;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use accounts::Accounts;
pub use candidates::Candidates;
pub use policy::{
    Affinity, Balancer, BodyStream, Handoff, Membership, Observer, Policy, Rewriter, Ticker,
    Transformer,
};
pub use types::{
    BodyPlan, Concurrency, Context, Descriptor, Edit, Failure, Hold, Hook, Line, LinkPlan, Member,
    Outcome, Pin, Problem, RequestPlan, ResponsePlan, Substitution, Trigger, Verdict,
};

#[cfg(target_arch = "wasm32")]
use bindings::host::switchyard::policy as imports;
#[cfg(not(target_arch = "wasm32"))]
use testing::imports;

pub use imports::{clock, entropy, metrics, pool, request, response, shared, store};

pub mod log;
