//! Switchyard, a reverse proxy and load balancer whose decisions are WebAssembly policies.

pub mod cli;
pub mod config;
pub mod decision;
pub mod policy;
pub mod snapshot;
