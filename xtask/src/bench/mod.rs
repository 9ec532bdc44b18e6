//! `cargo xtask bench`: processor time a request, beside other proxies and beside ourselves.
//!
//! All fronts of a variant have the same work, the same members and the same client, a core of
//! their own, and take turns; what counts is each front's processor time a request
//! divided by the reference's of the same round. `variant` says what is varied, `peers` and
//! `switchyard` configure the fronts, `work` says what is asked and checks that it is done, `calls`
//! proves that the policies were asked, `measure` takes turns, `evidence` keeps what a front said that failed, `run` leads,
//! `report`, `chart` and `goals` tell.

mod calls;
mod chart;
mod evidence;
mod front;
mod goals;
mod machine;
mod measure;
mod options;
mod outcome;
mod peers;
mod report;
mod run;
mod scene;
mod statistics;
mod switchyard;
mod variant;
mod work;

pub use options::Options;
pub use run::run;
