//! The `switchyard` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments
        .get(1)
        .is_some_and(|first| first == "__compile-policy")
    {
        return Ok(switchyard::wasm::compile_child::main());
    }
    let file = arguments.get(3).map_or("switchyard.toml", String::as_str);
    switchyard::app::run(std::path::Path::new(file), 2)
}
