//! Switchyard, a reverse proxy and load balancer whose decisions are WebAssembly policies.

pub mod admin;
pub mod app;
pub mod beneath;
pub mod builtin;
pub mod cli;
pub mod config;
pub mod control;
pub mod decision;
pub mod generation;
pub mod http1;
pub mod listener;
pub mod members;
pub mod offline;
pub mod policy;
pub mod proxy;
pub mod recording;
pub mod response;
pub mod routing;
pub mod simulator;
pub mod snapshot;
pub mod telemetry;
pub mod tenants;
pub mod upstream;
pub mod wasm;
