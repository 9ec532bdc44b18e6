//! `cargo xtask soak`: a million requests while config and policy are replaced all the time, or so
//! many reloads of a policy after which nothing may be left over.
//!
//! `swapper` replaces files, `watch` notes which version served each request and on
//! which connection, `run` brings them together and judges. `reloads` replaces a policy as fast as it
//! gets into service, `marks` counts what the process holds meanwhile.

mod marks;
mod options;
mod reloads;
mod run;
mod swapper;
mod watch;

pub use options::Options;
pub use run::run;
