//! The host's side of the contract: every import of `wit/policy.wit`.
//!
//! Written by hand over `func_wrap`, not generated: arguments are cursors into
//! the guest's memory, charged and checked before anything is copied, and results
//! are reused buffers. wasmtime compares each with the component's own types
//! when it links, so a mistake here is an error at load and not a crash.

pub(super) mod entropy;
mod exchange;
pub(super) mod handles;
mod linker;
pub(super) mod log;
mod metrics;
mod pool;
pub(super) mod shared;
mod store;

pub(super) use linker::{CONTRACT, IMPORTS, linker};
