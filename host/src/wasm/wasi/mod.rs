//! The system that toolchains expect, with nothing behind it.
//!
//! Compilers for C, JavaScript and Python leave imports of WASI 0.2 in what they
//! build, whether it is used or not. Here they find a system without files, network,
//! environment, arguments and input. Its clock is the call's, which stands still;
//! its chance is the binding's seed; what is printed becomes lines of the log;
//! whoever waits is woken at once. None of it blocks, which is why it is not
//! wasmtime's own WASI.
//!
//! An interface is linked only for components that import it, in the version that
//! they import: the contract's own linker never has it. What would need something
//! that is not granted is a trap that names the function.

mod clocks;
mod console;
mod grant;
mod io;
mod network;
mod process;
mod random;

pub(super) use console::Console;
pub(super) use grant::{is_known, link};
