//! Builds guests from source.
//!
//! A guest is a policy compiled for `wasm32-unknown-unknown` and wrapped as a
//! component. This crate finds a compiler that has that target's standard library
//! ([`Toolchain::find`]), builds guests with it ([`Toolchain::build`]) and wraps the
//! core modules ([`componentize`]). The host's build script uses it to embed the
//! built-in policies, `xtask` to build everything else; neither knows how a compiler
//! is found. Which guests there are is the caller's business. With the feature `c` it also
//! makes the C bindings of a world (`c_bindings`).

mod build;
#[cfg(feature = "c")]
mod c;
mod command;
mod component;
mod machine;
mod toolchain;

pub use build::{BuildError, Guest, Order, target_dir};
#[cfg(feature = "c")]
pub use c::{BindingsError, c_bindings};
pub use component::{ComponentError, componentize};
pub use toolchain::{NotFound, Permission, Toolchain};

/// What guests are compiled for: no operating system, so nothing to be denied.
pub const TARGET: &str = "wasm32-unknown-unknown";
