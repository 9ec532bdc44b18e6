//! From WebAssembly to machine code, in whichever process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmtime::Engine;
use wit_component::ComponentEncoder;

use super::check::{Format, format};

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CompileError {
    /// The file's fault: not WebAssembly, broken, or with features that are off.
    #[error("{0}")]
    Invalid(String),
    /// The compiler's: it hit a bound, or itself failed.
    #[error("{0}")]
    Failed(String),
}

/// Makes a component of a core module where needed, checks it and compiles it.
pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let format = format(wasm).map_err(CompileError::Invalid)?;
    // Both libraries are meant to return errors for any input; a panic in one
    // must still be an answer.
    let compiled = catch_unwind(AssertUnwindSafe(|| {
        let component;
        let bytes = match format {
            Format::Component => wasm,
            Format::Core => {
                component = encode(wasm)?;
                &component
            }
        };
        engine
            .precompile_component(bytes)
            .map_err(|error| CompileError::Invalid(invalid(&error)))
    }));
    compiled.unwrap_or_else(|_| {
        Err(CompileError::Failed(
            "the compiler panicked; this is a defect of the host".into(),
        ))
    })
}

fn encode(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let encoded = ComponentEncoder::default()
        .module(wasm)
        .and_then(|encoder| encoder.validate(true).encode());
    encoded.map_err(|error| {
        CompileError::Invalid(format!(
            "cannot be made a component, its functions do not fit its metadata: {error:#}"
        ))
    })
}

fn invalid(error: &wasmtime::Error) -> String {
    format!("is not valid WebAssembly for this host: {error:#}")
}
