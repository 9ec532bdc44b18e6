//! A snapshot linked to live handles: what a request holds from its head to its end.
//!
//! A [`Linker`] makes a [`Generation`] of a snapshot and compiled policies, and
//! takes over every binding of the generation before whose policy, configuration
//! and place are the same, so that counters, state and schedules outlive a reload
//! that does not concern them. [`Current`] holds the one in service. Nothing here
//! reads files or listens; when to link and publish is `control`'s business.

mod bind;
mod candidates;
mod current;
mod error;
mod key;
mod link;
mod linker;
mod live;
mod modules;
mod place;

pub use current::Current;
pub use error::{LinkError, LinkErrors};
pub use key::Prepared;
pub use linker::{Linker, Origin};
pub use live::{AccessLogs, Forward, Generation, LiveVhost};
pub use modules::Modules;
