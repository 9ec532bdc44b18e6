//! `wasi:random`: the binding's seed, so that a recorded call replays. No secrets.

use wasmtime::{StoreContextMut, component::LinkerInstance};

use crate::wasm::state::State;

type Cx<'a> = StoreContextMut<'a, State>;

/// `random`
pub(super) fn random(random: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    random.func_wrap("get-random-bytes", bytes)?;
    random.func_wrap("get-random-u64", word)
}

/// `insecure`
pub(super) fn insecure(insecure: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    insecure.func_wrap("get-insecure-random-bytes", bytes)?;
    insecure.func_wrap("get-insecure-random-u64", word)
}

/// `insecure-seed`
pub(super) fn insecure_seed(seed: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    seed.func_wrap("insecure-seed", |mut cx: Cx<'_>, (): ()| {
        let state = cx.data_mut();
        Ok(((state.chance()?, state.chance()?),))
    })
}

fn word(mut cx: Cx<'_>, (): ()) -> wasmtime::Result<(u64,)> {
    Ok((cx.data_mut().chance()?,))
}

fn bytes(mut cx: Cx<'_>, (length,): (u64,)) -> wasmtime::Result<(Vec<u8>,)> {
    // Charged, and so bounded, before anything is allocated.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    cx.data().meter.bytes(length)?;
    let mut out = Vec::with_capacity(length.next_multiple_of(8));
    while out.len() < length {
        out.extend_from_slice(&cx.data_mut().chance()?.to_le_bytes());
    }
    out.truncate(length);
    Ok((out,))
}
