//! What changes the gateway while it runs.
//!
//! [`Writer`] is the single writer: on a thread of its own it reads the
//! configuration and the policies' files, links them and publishes a generation, or
//! says why not and leaves everything as it was. Everybody else sends it commands
//! through a [`Controller`]. [`Watch`] tells it when files changed; what they
//! contain it reads for itself, so a lost or doubled event does no harm.

mod announce;
mod archive;
mod bid;
mod command;
mod facts;
mod kept;
mod known;
mod names;
pub mod probe;
#[cfg(test)]
mod probe_tests;
mod recall;
mod rehearsal;
mod reload;
mod report;
mod resident;
pub mod resolve;
#[cfg(test)]
mod resolve_tests;
mod rollback;
mod seen;
mod settle;
mod setup;
mod shelf;
mod stock;
mod survey;
#[cfg(test)]
mod tests;
mod tracked;
mod trail;
mod trials;
mod versions;
mod watch;

pub use command::{Cause, Controller, Outcome, ReloadCounts};
pub use facts::{ControlFacts, PolicyFacts, TenantFacts, TenantState, Trouble, VersionFacts};
pub use rehearsal::{Rehearsal, Unfit, rehearse};
pub use reload::Writer;
pub use resident::within_folders;
pub use setup::{Failure, Setup, Surroundings};
pub use stock::Stock;
pub use watch::Watch;
