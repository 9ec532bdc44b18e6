//! From a `.wasm` file to a module.

use std::{
    fs::File,
    os::fd::AsRawFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};

use super::{
    cache::{Cache, CacheDir},
    check,
    compiler::Compiler,
    component::WasmModule,
    engine::PolicyEngine,
    fuel::Fuel,
    host,
    queue::Queue,
    services::{Sample, Services},
    state::State,
};
use crate::{
    policy::{Client, Digest, Loader, Module, Refusal},
    snapshot::{PolicyLimits, TenantName},
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

/// How policies are loaded.
#[derive(Debug, Clone, Default)]
pub struct WasmOptions {
    /// Who compiles.
    pub compiler: Compiler,
    /// Keeps compiled code.
    pub cache: Option<CacheDir>,
    /// Count calls in instructions instead of time, and tell it here.
    pub fuel: Option<Arc<Fuel>>,
}

impl From<Compiler> for WasmOptions {
    /// Keeps nothing.
    fn from(compiler: Compiler) -> Self {
        Self {
            compiler,
            ..Self::default()
        }
    }
}

/// Loads policies, and owns what they share.
pub struct WasmLoader {
    engine: PolicyEngine,
    linker: Linker<State>,
    services: Arc<Services>,
    compiler: Compiler,
    queue: Queue,
    cache: Option<Cache>,
    compiled: AtomicUsize,
}

impl WasmLoader {
    /// The engine, its ticker thread and the host functions.
    pub fn new(options: WasmOptions) -> Result<Self, SetupError> {
        let setup = |error: wasmtime::Error| SetupError::Engine(format!("{error:#}"));
        let engine = match options.fuel {
            Some(fuel) => PolicyEngine::counting(fuel),
            None => PolicyEngine::new(),
        };
        let engine = engine.map_err(setup)?;
        let linker = host::linker(&engine.engine).map_err(setup)?;
        let cache = options
            .cache
            .map(|dir| Cache::new(dir, engine.compatibility));
        Ok(Self {
            engine,
            linker,
            services: Arc::default(),
            compiler: options.compiler,
            queue: Queue::default(),
            cache,
            compiled: AtomicUsize::new(0),
        })
    }

    /// The metrics that policies keep, as they stand.
    #[must_use]
    pub fn metrics(&self) -> Vec<Sample> {
        self.services.collect()
    }

    /// How many files had to be compiled so far; the code of others was kept.
    #[must_use]
    pub fn compiled(&self) -> usize {
        self.compiled.load(Relaxed)
    }

    /// Instances that exist: in service, being tried, or at work for who still holds an older version.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.engine.ticker.registered()
    }
}

impl WasmLoader {
    fn module(
        &self,
        client: &Client<'_>,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<WasmModule, Refusal> {
        let digest = Digest(Sha256::digest(wasm).into());
        if wasm.len() > limits.module_size {
            return Err(check::not_a_policy(format!(
                "has {} bytes, a policy may have {} (`module_size`; for this file alone: [compile.{digest}] module_size = …)",
                wasm.len(),
                limits.module_size
            )));
        }
        // Before a child is started for nothing.
        check::format(wasm).map_err(check::not_a_policy)?;
        let component = self.component(client, wasm, digest, limits)?;
        WasmModule::new(
            self.engine.clone(),
            self.services.clone(),
            &self.linker,
            &component,
            (digest, wasm.len()),
            client.built_in,
            limits,
        )
    }

    fn component(
        &self,
        client: &Client<'_>,
        wasm: &[u8],
        digest: Digest,
        limits: &PolicyLimits,
    ) -> Result<Component, Refusal> {
        let kept = || {
            let code = self.cache.as_ref()?.get(digest)?;
            self.deserialize(&code).ok()
        };
        // What is kept need not wait for what is being compiled.
        if let Some(component) = kept() {
            return Ok(component);
        }
        self.queue.run(client, || {
            // Whoever came before may have compiled the same file.
            if let Some(component) = kept() {
                return Ok(component);
            }
            self.compiled.fetch_add(1, Relaxed);
            let code = self.compiler.code(&self.engine, wasm, digest, limits)?;
            if let Some(cache) = &self.cache {
                cache.put(digest, &code);
            }
            self.deserialize(&code).map_err(|error| {
                check::not_a_policy(format!("needs more than a policy may have: {error:#}"))
            })
        })
    }

    /// Maps the code: what never runs takes no memory of this process.
    fn deserialize(&self, code: &File) -> wasmtime::Result<Component> {
        // A component can be mapped by path only; this one leads to the descriptor.
        let path = format!("/proc/self/fd/{}", code.as_raw_fd());
        // SAFETY: the code is our own compiler's: from a file that only our child
        // could write, or from a directory that only we can write and with its hash
        // intact. The file is sealed, so what is mapped never changes. wasmtime
        // itself checks that this engine may run it.
        unsafe { Component::deserialize_file(&self.engine.engine, path) }
    }
}

impl Loader for WasmLoader {
    fn load(
        &self,
        name: &str,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal> {
        let operator = TenantName::operator();
        let client = Client {
            tenant: operator.as_str(),
            name,
            built_in: false,
        };
        self.load_for(&client, wasm, limits)
    }

    fn load_for(
        &self,
        client: &Client<'_>,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal> {
        let name = client.name;
        match self.module(client, wasm, limits) {
            Ok(module) => Ok(Arc::new(module)),
            // These texts are about the file, so they begin with its name.
            Err(Refusal::NotAPolicy(why)) => Err(Refusal::NotAPolicy(format!("`{name}` {why}"))),
            Err(Refusal::Compile(why)) => Err(Refusal::Compile(format!("`{name}`: {why}"))),
            Err(other) => Err(other),
        }
    }
}
