//! `cargo xtask tomcat`: the gateway before a real Tomcat cluster.
//!
//! `tests/tomcat` holds the cluster and the scenario, which drives any front the same
//! way; Apache httpd's results are kept there. `run` starts and stops it all, `goals`
//! says what the gateway promises beyond what any good front must do, and `table` puts
//! both fronts side by side.

mod goals;
mod run;
mod table;

pub use run::{Options, run};
