//! From a `.wasm` file to a module.

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};

use super::{
    cache::{Cache, CacheError},
    check,
    compiler::{Compiler, Queue},
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
    /// The cache directory is not safe to use.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// How policies are loaded.
#[derive(Debug, Clone, Default)]
pub struct WasmOptions {
    /// Who compiles.
    pub compiler: Compiler,
    /// Keeps compiled code; must be the host's own directory.
    pub cache_dir: Option<PathBuf>,
}

/// Loads policies, and owns what they share.
pub struct WasmLoader {
    engine: PolicyEngine,
    linker: Linker<State>,
    services: Arc<Services>,
    compiler: Compiler,
    queue: Queue,
    cache: Option<Cache>,
}

impl WasmLoader {
    /// The engine, its ticker thread and the host functions.
    pub fn new(options: WasmOptions) -> Result<Self, SetupError> {
        let setup = |error: wasmtime::Error| SetupError::Engine(format!("{error:#}"));
        let engine = PolicyEngine::new().map_err(setup)?;
        let linker = host::linker(&engine.engine).map_err(setup)?;
        let cache = options
            .cache_dir
            .map(|dir| Cache::open(&dir, engine.compatibility))
            .transpose()?;
        let WasmOptions { compiler, .. } = options;
        Ok(Self {
            engine,
            linker,
            services: Arc::default(),
            compiler,
            queue: Queue::default(),
            cache,
        })
    }

    /// The metrics that policies keep, as they stand.
    #[must_use]
    pub fn metrics(&self) -> Vec<Sample> {
        self.services.collect()
    }
}

impl WasmLoader {
    fn component(
        &self,
        name: &str,
        wasm: &[u8],
        digest: Digest,
        limits: &PolicyLimits,
    ) -> Result<Component, Refusal> {
        let kept = || self.cache.as_ref()?.get(digest);
        if let Some(component) = kept().and_then(|code| self.deserialize(&code).ok()) {
            return Ok(component);
        }
        self.queue.run(|| {
            // Whoever came before may have compiled the same file.
            if let Some(component) = kept().and_then(|code| self.deserialize(&code).ok()) {
                return Ok(component);
            }
            let code = self.compiler.code(&self.engine, name, wasm, limits)?;
            // Before it is kept: a policy that this engine cannot hold is refused again as fast.
            let component = self.deserialize(&code).map_err(|error| {
                check::not_a_policy(format!(
                    "`{name}` needs more than a policy may have: {error:#}"
                ))
            })?;
            if let Some(cache) = &self.cache {
                cache.put(digest, &code);
            }
            Ok(component)
        })
    }

    fn deserialize(&self, code: &[u8]) -> wasmtime::Result<Component> {
        // SAFETY: the code is our own compiler's: from a sealed file that only our
        // child could write, or from a directory that only we can write and with its
        // hash intact. wasmtime itself checks that this engine may run it.
        unsafe { Component::deserialize(&self.engine.engine, code) }
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
        // Before a child is started for nothing.
        check::format(wasm).map_err(|why| check::not_a_policy(format!("`{name}` {why}")))?;
        let component = self.component(name, wasm, digest, limits)?;
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
