//! A scenario's configuration, linked as the gateway links its own.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path, sync::Arc, time::Duration};

use super::{
    agenda::{Agenda, OneLane},
    compile::TESTED,
    scenario::Scenario,
    watched::{Ledger, Watched},
};
use crate::{
    builtin,
    decision::Descriptor,
    generation::{AccessLogs, Generation, Linker, Modules, Origin},
    members::{HeldClock, Live},
    policy::{Digest, Environment, Exports, Loader, Module, Refusal},
    snapshot::PolicyLimits,
    tenants::Tenants,
    wasm::{self, Anatomy, Fuel, WasmLoader, WasmOptions},
};

/// Why nothing can be played.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The policy or the scenario.
    #[error("{0}")]
    Input(String),
    /// This process or its machine.
    #[error("{0}")]
    Internal(String),
}

/// A policy, loaded into an engine that counts.
pub struct Tested {
    anatomy: Anatomy,
    loader: WasmLoader,
    fuel: Arc<Fuel>,
    module: Arc<dyn Module>,
}

impl Tested {
    /// Reads and compiles a `.wasm` file.
    pub fn load(file: &Path, options: WasmOptions) -> Result<Self, Trouble> {
        let wasm = read(file)?;
        let name = file.display().to_string();
        Self::of(&name, &wasm, options)
    }

    /// Compiles a policy.
    pub fn of(name: &str, wasm_file: &[u8], options: WasmOptions) -> Result<Self, Trouble> {
        let fuel = Arc::new(Fuel::default());
        let loader = WasmLoader::new(WasmOptions {
            fuel: Some(Arc::clone(&fuel)),
            ..options
        });
        let loader = loader.map_err(|error| Trouble::Internal(error.to_string()))?;
        let module = loader.load(name, wasm_file, &limits());
        let module = module.map_err(|refusal| Trouble::Input(refusal.to_string()))?;
        let anatomy = wasm::anatomy(wasm_file);
        let anatomy = anatomy.map_err(|why| Trouble::Input(format!("`{name}` {why}")))?;
        Ok(Self {
            anatomy,
            loader,
            fuel,
            module,
        })
    }

    /// Its interfaces, and what it says of its configuration.
    pub fn anatomy(&self) -> &Anatomy {
        &self.anatomy
    }

    /// What it needs under a configuration (JSON text).
    pub fn describe(&self, config: &str) -> Result<Descriptor, Refusal> {
        let environment = Environment {
            tenant: "default".into(),
            policy: TESTED.into(),
            limits: limits(),
            seed: 1,
            clock: HeldClock::new().clock(),
            tape: crate::recording::Source::None,
        };
        self.module.describe(config, &environment)
    }

    /// Which decisions it makes.
    pub fn exports(&self) -> Exports {
        self.module.exports()
    }

    /// Of the file.
    pub fn digest(&self) -> Digest {
        self.module.digest()
    }

    /// Of the file, bytes.
    pub fn size(&self) -> usize {
        self.module.size()
    }
}

/// The bytes of a policy's file, within the largest that is ever compiled.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    let unreadable = |error: std::io::Error| {
        let remedy = "name the .wasm file of a policy";
        Trouble::Input(format!(
            "{} cannot be read: {error}; {remedy}",
            file.display()
        ))
    };
    // Opening a FIFO would block, reading a device never end.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("not a file")));
    }
    let mut wasm = Vec::new();
    let bound = limits().module_size as u64 + 1;
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened
        .take(bound)
        .read_to_end(&mut wasm)
        .map_err(unreadable)?;
    Ok(wasm)
}

/// An author waits for a compiler that a gateway would not wait for: interpreters that were compiled to
/// WebAssembly have 20 MB and take half a minute.
pub(crate) fn limits() -> PolicyLimits {
    PolicyLimits {
        deadline: Duration::from_millis(5),
        init_deadline: Duration::from_secs(1),
        memory: 256 << 20,
        module_size: 64 << 20,
        compile_time: Duration::from_secs(120),
        compile_memory: 4 << 30,
        log_bytes: 64 << 10,
        failures: 5,
        failure_window: Duration::from_secs(60),
        quarantine: Duration::from_secs(30),
        ..PolicyLimits::default()
    }
}

/// What a scenario is played on.
pub(super) struct Stage {
    pub agenda: Arc<Agenda>,
    pub live: Arc<Live>,
    pub generation: Generation,
    pub ledger: Arc<Ledger>,
}

impl Stage {
    /// Starts every policy of the scenario, with fresh members and a clock that stands still.
    pub fn link(tested: &Tested, scenario: &Scenario) -> Result<Self, Trouble> {
        let agenda = Agenda::new();
        let ledger = Ledger::new(Arc::clone(&tested.fuel));
        let watched: Arc<dyn Module> = Arc::new(Watched {
            module: Arc::clone(&tested.module),
            ledger: Arc::clone(&ledger),
        });
        let named = BTreeMap::from([(TESTED.to_owned(), watched)]);
        let built_in = |name: &str| {
            let wasm = builtin::find(name)?.wasm;
            Some(tested.loader.load(name, wasm, &limits()))
        };
        let modules = Modules {
            named: &named,
            built_in: &built_in,
        };
        let live = Arc::new(Live::new(agenda.clock(), 1));
        let linker = Linker {
            recorders: None,
            live: Arc::clone(&live),
            workers: 1,
            tenants: Arc::new(Tenants::new(Arc::clone(&live))),
            lanes: Arc::new(OneLane(Arc::clone(&agenda))),
            seed: scenario.seed,
        };
        let origin = Origin {
            number: 1,
            before: None,
        };
        let snapshot = Arc::clone(&scenario.snapshot);
        let linked = linker.link(snapshot, &modules, AccessLogs::default(), origin);
        Ok(Self {
            agenda,
            live,
            generation: linked.map_err(|error| Trouble::Input(error.to_string()))?,
            ledger,
        })
    }
}
