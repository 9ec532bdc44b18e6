//! One request, from its head to the end of its answer.
//!
//! [`handle`] is the outside: it knows every way a request can end and records it.
//! `pipeline` finds what a request is for; `attempt` is the only loop that asks
//! members; `relay` carries bodies both ways at once. What is decided (who serves,
//! what is rewritten) is asked of `policy`; what bytes mean is `http1`'s.

mod answer;
mod attempt;
mod broken;
mod download;
mod downstream;
mod edits;
mod error;
mod exchange;
mod forwarded;
mod handle;
mod pipeline;
mod record;
mod relay;
mod reply;
mod tunnel;
mod upload;

pub use downstream::{Downstream, Drain};
pub use error::ProxyError;
pub use forwarded::client_of;
pub use handle::{Gateway, Next, handle, refuse};
