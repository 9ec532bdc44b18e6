//! What `check` and `explain` have of a gateway: everything but sockets, logs and `state_dir`.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
};

use crate::{
    builtin,
    config::TenantPart,
    control::{self, Rehearsal, Stock},
    generation::Linker,
    members::{Clock, Live},
    policy::TenantThreads,
    snapshot::{Snapshot, TenantName},
    tenants::Tenants,
    wasm::{CacheDir, Compiler, SetupError, WasmLoader, WasmOptions},
};

/// Tries every policy as the gateway does, with so many workers and fresh members. Where the gateway's cache
/// cannot be used, `otherwise` is.
pub(super) fn rehearsed(
    operator: &Snapshot,
    parts: BTreeMap<TenantName, Arc<TenantPart>>,
    workers: usize,
    (compiler, otherwise): (Compiler, impl FnOnce() -> Option<CacheDir>),
) -> Result<Rehearsal, SetupError> {
    let cache = gateways(operator.cache_dir.as_deref()).or_else(otherwise);
    let stock = stock(cache, compiler)?;
    Ok(control::rehearse(&linker(workers), &stock, operator, parts))
}

pub(super) fn stock(cache: Option<CacheDir>, compiler: Compiler) -> Result<Stock, SetupError> {
    let loader = WasmLoader::new(WasmOptions {
        cache,
        ..compiler.into()
    })?;
    Ok(Stock::new(Arc::new(loader), |name| {
        builtin::find(name).map(|policy| policy.wasm)
    }))
}

pub(super) fn linker(workers: usize) -> Linker {
    let live = Arc::new(Live::new(Clock::start(), workers));
    Linker {
        tenants: Arc::new(Tenants::new(Arc::clone(&live))),
        live,
        workers,
        lanes: Arc::new(TenantThreads::default()),
        seed: RandomState::new().hash_one(0),
        recorders: None,
    }
}

/// The gateway's cache where it is there and ours; never made, for it would then belong to whoever
/// looks on.
pub(super) fn gateways(cache: Option<&Path>) -> Option<CacheDir> {
    let there = cache.filter(|dir| dir.is_dir())?;
    CacheDir::open(there).ok()
}
