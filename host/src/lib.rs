//! Switchyard, a reverse proxy and load balancer whose decisions are WebAssembly policies.

pub mod decision;
pub mod policy;
pub mod response;
pub mod snapshot;
