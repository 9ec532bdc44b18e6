//! The `switchyard` binary.

use std::process::ExitCode;

use switchyard::{cli, wasm};

// glibc keeps an arena for each thread and gives little of it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: the gateway starts itself like this to compile a policy within limits.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|arg| arg == wasm::compile_child::COMMAND)
    {
        return wasm::compile_child::main();
    }
    cli::main()
}
