//! Policies as the gateway sees them: a trait that `wasm` implements, and what the
//! host does around every call (placement, fallback, quarantine, history).

mod instance;

pub use instance::{Digest, Environment, Exports, Fault, Instance, Loader, Module, Refusal};
