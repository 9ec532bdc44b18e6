//! The one wasmtime engine: what a policy may be made of, and what memory waits for it.
//!
//! The compile child builds the same engine without the pool. Whether both agree
//! on the code they exchange is checked by [`compatibility`].

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails,
};

use super::{fuel::Fuel, ticker::Ticker};

/// Policies that may be alive at once. Five to a hundred are usual: balancers
/// times versions, rewriters times workers, and one for each body being
/// transformed. A slot that was never used costs address space only (4 GiB of
/// 128 TiB each), so there is no reason to be sparing.
pub(super) const INSTANCES: u32 = 2048;

/// Core instances and tables a component may consist of. wit-component makes three
/// core instances (the policy, a shim, a fix-up) with one memory and two tables.
/// Python is linked from 14, its libraries each in one; an extension in C adds one.
const CORE_INSTANCES: u32 = 32;
const TABLES: u32 = 4;

/// Memories of a component. More than one only where it is composed, as those that
/// make JavaScript of QuickJS; all of them together are held to the policy's limit.
const MEMORIES: u32 = 4;

/// Core instances of a policy, as many as the one with the most may have: they are only counted, no
/// memory waits for them, and no tenant shall use up those of others.
const EACH_CORE_INSTANCES: u32 = CORE_INSTANCES;

/// The ceiling of one memory. What a policy really gets is its own limit, held by
/// `bounds::Limiter`; this must merely not stand in its way.
const MAX_MEMORY: usize = 1 << 30;

/// The ceiling of one table, likewise. Rust policies use some hundreds of entries,
/// interpreters compiled to wasm up to ten thousand.
const TABLE_ELEMENTS: usize = 20_000;

/// Bytes of a freed slot that stay resident: zeroing them is cheaper than
/// faulting them in again, and 64 KiB is what a small policy touches.
const KEEP_RESIDENT: usize = 64 << 10;

/// Freed slots that keep their copy-on-write image: those of a reload, not of a night's peak.
const WARM_SLOTS: u32 = 16;

/// Guest stack. Runs on a worker thread's own stack of at least 2 MiB.
const STACK: usize = 256 << 10;

/// The engine and the thread that makes its deadlines pass.
#[derive(Debug, Clone)]
pub(super) struct PolicyEngine {
    pub(super) engine: Engine,
    pub(super) ticker: Arc<Ticker>,
    /// Names the code this engine can run; part of a cache file's name.
    pub(super) compatibility: u64,
    /// Where calls are counted in instructions instead of time.
    pub(super) fuel: Option<Arc<Fuel>>,
}

/// What ends a call that goes on for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metering {
    /// Epochs, and the thread's processor time.
    Time,
    /// A number of instructions.
    Fuel,
}

impl PolicyEngine {
    /// A simulation's engine: calls cost what they cost at every run.
    pub(super) fn counting(fuel: Arc<Fuel>) -> wasmtime::Result<Self> {
        Self::ticking(&config(Metering::Fuel), Some(fuel))
    }

    /// The gateway's engine.
    pub(super) fn new() -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(INSTANCES)
            .total_core_instances(EACH_CORE_INSTANCES * INSTANCES)
            .total_memories(INSTANCES + INSTANCES / 2)
            .total_tables(2 * INSTANCES)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_tables_per_component(TABLES)
            .max_memory_size(MAX_MEMORY)
            .table_elements(TABLE_ELEMENTS)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(4 << 10)
            .max_unused_warm_slots(WARM_SLOTS);
        let mut config = config(Metering::Time);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        Self::ticking(&config, None)
    }

    fn ticking(config: &Config, fuel: Option<Arc<Fuel>>) -> wasmtime::Result<Self> {
        let engine = Engine::new(config)?;
        let ticker = Ticker::start(&engine)?;
        let compatibility = compatibility(&engine);
        Ok(Self {
            engine,
            ticker,
            compatibility,
            fuel,
        })
    }
}

/// An engine that can only compile: without the pool's address space, which the child's memory limit would not
/// allow. For whoever names its own engine so; `None` where no engine of this program is named so.
pub(super) fn compiler_for(compatible: u64) -> wasmtime::Result<Option<Engine>> {
    for metering in [Metering::Time, Metering::Fuel] {
        let engine = Engine::new(&config(metering))?;
        if compatibility(&engine) == compatible {
            return Ok(Some(engine));
        }
    }
    Ok(None)
}

/// Equal for two engines that can run each other's code.
pub(super) fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn config(metering: Metering) -> Config {
    let mut config = Config::new();
    config
        // A third of the cost a call (131 against 433 ns). Also rules out async
        // components, which no policy may be: nothing blocks.
        .concurrency_support(false)
        .epoch_interruption(metering == Metering::Time)
        .consume_fuel(metering == Metering::Fuel)
        // Four gibibytes and a guard spare every bounds check.
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .memory_init_cow(true)
        .max_wasm_stack(STACK)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // The same bits on every machine, or a recorded call would not replay.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        // What no policy needs is attack surface and compile time only.
        .wasm_memory64(false)
        // Off for guests too, see `compile::one_memory`; but wasmtime's own adapters
        // between the parts of a composed component copy from one memory to another.
        .wasm_multi_memory(true);
    config
}

/// The gateway's, without the pool.
#[cfg(test)]
pub(super) fn compiler() -> wasmtime::Result<Engine> {
    Engine::new(&config(Metering::Time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_and_engines_agree_on_code() {
        let gateway = PolicyEngine::new().unwrap();
        let counting = PolicyEngine::counting(Arc::default()).unwrap();
        assert_ne!(gateway.compatibility, counting.compatibility);
        for engine in [gateway, counting] {
            let own = compiler_for(engine.compatibility).unwrap().unwrap();
            assert_eq!(compatibility(&own), engine.compatibility);
        }
        assert!(compiler_for(0).unwrap().is_none());
    }

    #[test]
    fn features_without_use_are_off() {
        let engine = compiler().unwrap();
        let modules = [
            ("memory64", "(module (memory i64 1))"),
            ("threads", "(module (memory 1 1 shared))"),
            ("gc", "(module (type (struct (field i32))))"),
            (
                "relaxed-simd",
                "(module (func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1))))",
            ),
        ];
        for (name, text) in modules {
            let wasm = wat::parse_str(text).unwrap();
            assert!(
                engine.precompile_module(&wasm).is_err(),
                "{name} is accepted"
            );
        }
    }
}
