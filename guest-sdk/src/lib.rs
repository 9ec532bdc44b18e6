//! Write Switchyard policies in Rust.
//!
//! A policy decides for the gateway: which member of a pool serves a request
//! ([`Balancer`]), to which member a session belongs ([`Affinity`]), or what changes
//! in requests and responses on their way ([`Rewriter`]). It is one implementation of
//! one of these traits and one macro line, built for `wasm32-unknown-unknown`; the
//! gateway takes the `.wasm` file as cargo leaves it.
//!
//! - The operator's JSON becomes a type of the policy's own through [`config`]:
//!   mistakes are reported all at once, each with its JSON pointer.
//! - What is slow to know is pushed (`members_changed`), what is fast is pulled:
//!   [`request`], [`response`] and [`pool`] are plain functions, and so are [`clock`],
//!   [`entropy`], [`log`], [`metrics`], [`shared`] and [`store`].
//! - Decisions are values: a policy changes nothing by itself, so a panic leaves
//!   nothing half done. It costs the policy its state, and the gateway answers
//!   without it.
//! - `cargo test` runs a policy natively: see [`testing`].
//!
//! A complete policy with its tests:
//!
#![doc = concat!("```\n", include_str!("../examples/canary.rs"), "```")]
#![deny(unsafe_code)]

pub mod accounts;
#[doc(hidden)]
pub mod allocator;
pub mod candidates;
#[doc(hidden)]
pub mod compare;
pub mod config;
mod config_macro;
pub mod json;
pub mod log;
mod macros;
pub mod policy;
pub mod schema;
mod types;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod export;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[cfg(target_arch = "wasm32")]
use bindings::host::switchyard::policy as imports;
#[cfg(not(target_arch = "wasm32"))]
use testing::imports;

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: allocator::Recycling = allocator::Recycling::new(std::alloc::System);

pub use accounts::Accounts;
pub use candidates::Candidates;
pub use imports::{clock, entropy, metrics, pool, request, response, shared, store};
pub use policy::{
    Affinity, Balancer, BodyStream, Handoff, Membership, Observer, Policy, Rewriter, Ticker,
    Transformer,
};
pub use types::{
    BodyPlan, Concurrency, Context, Descriptor, Edit, Failure, Hold, Hook, Line, LinkPlan, Member,
    Outcome, Pin, Problem, RequestPlan, ResponsePlan, Substitution, Trigger, Verdict,
};
