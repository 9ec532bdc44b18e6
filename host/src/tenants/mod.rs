//! Tenants while they live: what they use, held against what they may.
//!
//! A [`Tenant`] outlives reloads, as members do: a new quota finds the counters as
//! they are. The operator is none: what it does costs nothing here.

mod rate;
mod registry;
mod tenant;

pub use registry::Tenants;
pub use tenant::{Admitted, Excess, Tenant, Usage};
