//! From a `.wasm` file to a module.

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};

use super::{
    check,
    compile::{CompileError, compile},
    component::WasmModule,
    engine::PolicyEngine,
    host,
    services::{Sample, Services},
    state::State,
};
use crate::{
    policy::{Digest, Loader, Module, Refusal},
    snapshot::PolicyLimits,
};

/// Why policies cannot run at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// wasmtime refused to start.
    #[error(
        "cannot set up WebAssembly: {0}. Policies need some terabytes of address space: see `ulimit -v`"
    )]
    Engine(String),
}

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// This process, without bounds: for tests.
    InProcess,
}

/// How policies are loaded.
#[derive(Debug, Clone)]
pub struct WasmOptions {
    /// Who compiles.
    pub compiler: Compiler,
    /// Keeps compiled code, if it is the host's own directory.
    pub cache_dir: Option<PathBuf>,
}

/// Loads policies, and owns what they share.
pub struct WasmLoader {
    engine: PolicyEngine,
    linker: Linker<State>,
    services: Arc<Services>,
}

impl WasmLoader {
    /// The engine, its ticker thread and the host functions.
    pub fn new(options: WasmOptions) -> Result<Self, SetupError> {
        let setup = |error: wasmtime::Error| SetupError::Engine(format!("{error:#}"));
        let engine = PolicyEngine::new().map_err(setup)?;
        let linker = host::linker(&engine.engine).map_err(setup)?;
        Ok(Self {
            engine,
            linker,
            services: Arc::default(),
        })
    }

    /// The metrics that policies keep, as they stand.
    #[must_use]
    pub fn metrics(&self) -> Vec<Sample> {
        self.services.collect()
    }
}

impl Loader for WasmLoader {
    fn load(
        &self,
        name: &str,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal> {
        if wasm.len() > limits.module_size {
            return Err(check::not_a_policy(format!(
                "`{name}` has {} bytes, a policy may have {} (`module_size`)",
                wasm.len(),
                limits.module_size
            )));
        }
        let digest = Digest(Sha256::digest(wasm).into());
        let code = compile(&self.engine.engine, wasm).map_err(|error| match error {
            CompileError::Invalid(why) => check::not_a_policy(format!("`{name}` {why}")),
            CompileError::Failed(why) => Refusal::Compile(format!("`{name}` {why}")),
        })?;
        // SAFETY: our own compiler's output, straight from it.
        let component = unsafe { Component::deserialize(&self.engine.engine, &code) }
            .map_err(|error| check::not_a_policy(format!("`{name}`: {error:#}")))?;
        let module = WasmModule::new(
            self.engine.clone(),
            self.services.clone(),
            &self.linker,
            &component,
            (digest, wasm.len()),
            limits,
        )?;
        Ok(Arc::new(module))
    }
}
