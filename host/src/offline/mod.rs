//! Policies away from any gateway: recorded calls put to another version.

mod replay;
mod report;
mod shown;
mod stage;

pub use replay::{ReplayError, ReplayOptions, replay};
pub use report::{Change, Example, Report, Tally};
