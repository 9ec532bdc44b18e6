//! `cargo xtask soak`: a million requests while config and policy are replaced all the time.
//!
//! `swapper` replaces files, `watch` notes which version served each request and on
//! which connection, `run` brings them together and judges.

mod run;
mod swapper;
mod watch;

pub use run::{Options, run};
