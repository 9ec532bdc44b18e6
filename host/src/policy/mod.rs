//! Policies as the gateway sees them: a trait that `wasm` implements, and what the
//! host does around every call (placement, fallback, quarantine, history).

mod binding;
mod instance;
mod selector;

pub use binding::{Background, Binding, BindingParts};
pub use instance::{Digest, Environment, Exports, Fault, Instance, Loader, Module, Refusal};
pub use selector::{Attempt, Chosen, Refused, Selector, Session};
