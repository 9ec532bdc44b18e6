//! `cargo xtask tenants`: what many tenants cost, against what they may.
//!
//! `site` writes them, `run` measures and judges.

mod run;
mod site;

pub use run::{Options, run};
