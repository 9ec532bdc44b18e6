//! Policies as WebAssembly components.
//!
//! The one module that knows wasmtime. It implements the traits of
//! [`policy`](crate::policy): a [`WasmLoader`] turns a `.wasm` file into a module
//! (checked, compiled in a child process, kept in the cache), a module makes
//! instances, and an instance answers calls. Which instance is called, and what
//! a fault means for the request, is `policy`'s business.

mod anatomy;
mod bindings;
mod bounds;
mod cache;
mod check;
mod compile;
pub mod compile_child;
mod compiler;
mod component;
mod convert;
mod engine;
mod exports;
mod fault;
mod fuel;
mod guests;
mod host;
mod instance;
mod loader;
mod memfd;
mod queue;
mod scratch;
mod sections;
mod services;
mod state;
mod tape;
#[cfg(test)]
mod tests;
mod ticker;
mod views;
mod wasi;

pub use anatomy::{Anatomy, anatomy};
pub use cache::{CacheDir, CacheError};
pub use compiler::Compiler;
pub use fuel::{Fuel, of as fuel_of};
pub use loader::{SetupError, WasmLoader, WasmOptions};
pub use services::{Histogram, Sample, SampleValue};
