//! One request, from its head to the end of its answer.
//!
//! [`handle()`] is the outside: it knows every way a request can end and records it.
//! `errand` finds what a request is for and `pipeline` what answers it; `attempt` is the only loop that asks
//! members; `relay` carries bodies both ways at once. What is decided (who serves,
//! what is rewritten) is asked of `policy`; what bytes mean is `http1`'s.

mod answer;
mod attempt;
mod broken;
pub(crate) mod burst;
mod download;
#[cfg(test)]
mod download_tests;
mod downstream;
mod edits;
mod errand;
mod error;
mod exchange;
mod forwarded;
mod handle;
mod pipeline;
mod presence;
mod record;
mod relay;
mod reply;
mod rewrite;
mod splice;
mod tunnel;
mod upload;
#[cfg(test)]
mod upload_tests;

pub use broken::nobody_else;
pub use download::Filter;
pub use downstream::{Downstream, Drain};
pub use errand::{Addressed, Ends, expects_continue, plan};
pub use error::ProxyError;
pub use exchange::Exchange;
pub use forwarded::{client_of, to_client};
pub use handle::{Gateway, Next, handle, refuse};
pub use presence::Presence;
pub use rewrite::{Given, Planned, filter, plan_response};
