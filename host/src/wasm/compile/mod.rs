//! From a `.wasm` file to code, within bounds of time and memory.
//!
//! Compiling is where a hostile module hurts: a megabyte can take minutes and
//! gigabytes. So it happens in a child process of the host itself.

mod code;

pub(super) use code::{CompileError, compile};
