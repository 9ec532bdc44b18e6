//! From WebAssembly to machine code, in whichever process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Validator, WasmFeatures};
use wasmtime::Engine;
use wit_component::ComponentEncoder;

use super::check::{Format, format};

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CompileError {
    /// The file's fault: not WebAssembly, broken, or with features that are off.
    #[error("{0}")]
    Invalid(String),
    /// It hit a bound, which has this name in `[compile.SHA256]`.
    #[error("{1}")]
    Bound(&'static str, String),
    /// The compiler's own fault.
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
        one_memory(bytes)?;
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

/// Refuses core modules with several memories, which the engine itself has to allow.
/// Everything else is the engine's to judge.
fn one_memory(component: &[u8]) -> Result<(), CompileError> {
    let features = WasmFeatures::all().difference(WasmFeatures::MULTI_MEMORY);
    let mut validator = Validator::new_with_features(features);
    match validator.validate_all(component) {
        Ok(_) => Ok(()),
        Err(error) => Err(CompileError::Invalid(format!(
            "is not valid WebAssembly for this host: {error}"
        ))),
    }
}

fn encode(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let encoded = ComponentEncoder::default()
        .module(wasm)
        // Left out again where nothing imports it.
        .and_then(|encoder| encoder.adapter(ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::engine::compiler;

    fn refused(text: &str) -> String {
        let wasm = wat::parse_str(text).unwrap();
        match compile(&compiler().unwrap(), &wasm) {
            Err(CompileError::Invalid(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_module_has_one_memory_and_a_composed_component_may_have_several() {
        let why = refused("(component (core module (memory 1) (memory 1)))");
        assert!(why.contains("multiple memories"), "{why}");
        let composed = r#"(component
            (component $inner
                (core module $m
                    (memory (export "m") 1)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                    (func (export "f") (param i32 i32)))
                (core instance $i (instantiate $m))
                (func (export "f") (param "s" string)
                    (canon lift (core func $i "f") (memory (core memory $i "m")) (realloc (core func $i "realloc")))))
            (component $outer
                (import "f" (func $f (param "s" string)))
                (core module $lib
                    (memory (export "m") 1)
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
                (core instance $lib (instantiate $lib))
                (core func $g (canon lower (func $f) (memory (core memory $lib "m")) (realloc (core func $lib "realloc"))))
                (core module $m
                    (import "" "f" (func $f (param i32 i32)))
                    (func (export "g") (call $f (i32.const 0) (i32.const 0))))
                (core instance $i (instantiate $m (with "" (instance (export "f" (func $g))))))
                (func (export "g") (canon lift (core func $i "g"))))
            (instance $inner (instantiate $inner))
            (instance (instantiate $outer (with "f" (func $inner "f")))))"#;
        compile(&compiler().unwrap(), &wat::parse_str(composed).unwrap()).unwrap();
    }
}
