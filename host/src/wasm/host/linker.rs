//! Everything a policy may import.

use wasmtime::{
    Engine, StoreContextMut,
    component::{Linker, LinkerInstance},
};

use super::{entropy, exchange, log, metrics, pool, shared, store};
use crate::wasm::{fault::Stop, state::State};

/// The contract's package and version.
pub(in crate::wasm) const CONTRACT: (&str, &str) = ("switchyard:policy/", "@0.1.0");

/// Interfaces a policy may import.
pub(in crate::wasm) const IMPORTS: [&str; 10] = [
    "types", "request", "response", "pool", "shared", "store", "clock", "entropy", "log", "metrics",
];

/// All imports, linked once for all policies.
pub(in crate::wasm) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let (package, version) = CONTRACT;
    let mut add =
        |interface: &str, fill: fn(&mut LinkerInstance<'_, State>) -> wasmtime::Result<()>| {
            fill(&mut linker.instance(&format!("{package}{interface}{version}"))?)
        };
    add("types", |_| Ok(()))?;
    add("request", exchange::request)?;
    add("response", exchange::response)?;
    add("pool", pool::link)?;
    add("shared", shared::link)?;
    add("store", store::link)?;
    add("clock", clock)?;
    add("entropy", entropy::link)?;
    add("log", log::link)?;
    add("metrics", metrics::link)?;
    Ok(linker)
}

fn clock(clock: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    clock.func_wrap("now-us", |cx: StoreContextMut<'_, State>, (): ()| {
        Ok((cx.data().clock()?.0,))
    })?;
    clock.func_wrap("wall-ms", |cx: StoreContextMut<'_, State>, (): ()| {
        Ok((cx.data().clock()?.1,))
    })
}

/// A view that this call does not have.
pub(super) fn absent<V>(
    view: Option<V>,
    interface: &'static str,
    why: &'static str,
) -> wasmtime::Result<V> {
    view.ok_or_else(|| Stop::Absent { interface, why }.into())
}
