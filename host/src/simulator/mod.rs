//! Plays a scenario to a policy: what it would do in a gateway, the same at every run.
//!
//! A scenario is a TOML file (`source`): members, then steps with events, requests
//! and expectations. `compile` gives it meaning with the configuration's own reader,
//! `stage` links it as the gateway links its configuration, `play` sends the requests
//! through the gateway's own selectors and rewriters, `expect` judges, and `report`
//! tells. What is not the gateway's is the world around it: members answer as
//! scripted (`exchange`), time moves when the scenario says so (`agenda`), chance
//! comes from its seed, and calls cost instructions instead of time (`watched`).

mod agenda;
mod answer;
mod chart;
mod compile;
mod exchange;
mod expect;
mod judge;
mod names;
mod play;
mod recorded;
mod report;
mod scenario;
mod scene;
mod source;
mod stage;
#[cfg(test)]
mod tests;
mod traffic;
mod watched;

pub use play::{Outcome, play};
pub use scenario::{Scenario, read};
pub use stage::{Tested, Trouble};
pub(crate) use stage::{limits, read as read_policy};
