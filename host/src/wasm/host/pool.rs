//! `pool`: the bound pool's live facts, a column at a time.

use wasmtime::{StoreContextMut, component::LinkerInstance};

use super::linker::absent;
use crate::{decision::PoolView, recording::Function, wasm::state::State};

type Cx<'a> = StoreContextMut<'a, State>;

impl State {
    fn pool(&self) -> wasmtime::Result<&dyn PoolView> {
        let view = self.views.call().and_then(|call| call.pool);
        absent(view, "pool", "only a balancer's decision has a pool")
    }
}

fn narrow(
    linker: &mut LinkerInstance<'_, State>,
    (name, function): (&str, Function),
    read: fn(&dyn PoolView, &mut Vec<u32>),
) -> wasmtime::Result<()> {
    linker.func_wrap(name, move |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let column = state.import(function, Vec::new, || {
            let pool = state.pool()?;
            let column = state.scratch.narrow.fill(|out| read(pool, out));
            state.meter.bytes(size_of_val(column.as_slice()))?;
            Ok(column)
        })?;
        Ok((column,))
    })
}

fn wide(
    linker: &mut LinkerInstance<'_, State>,
    (name, function): (&str, Function),
    read: fn(&dyn PoolView, &mut Vec<u64>),
) -> wasmtime::Result<()> {
    linker.func_wrap(name, move |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let column = state.import(function, Vec::new, || {
            let pool = state.pool()?;
            let column = state.scratch.wide.fill(|out| read(pool, out));
            state.meter.bytes(size_of_val(column.as_slice()))?;
            Ok(column)
        })?;
        Ok((column,))
    })
}

/// `pool`
pub(super) fn link(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    linker.func_wrap("name", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let name = state.import(Function::PoolName, Vec::new, || {
            let name = state.pool()?.name();
            state.meter.bytes(name.len())?;
            Ok(state.scratch.text.fill(|out| out.push_str(name)))
        })?;
        Ok((name,))
    })?;
    linker.func_wrap("usable", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let usable = state.import(Function::Usable, Vec::new, || {
            let usable = state.pool()?.usable();
            state.meter.bytes(usable.len())?;
            Ok(state
                .scratch
                .bytes
                .fill(|out| out.extend_from_slice(usable)))
        })?;
        Ok((usable,))
    })?;
    // A column's size is the pool's, not the guest's to choose, so it is charged once it is there.
    narrow(linker, ("weights", Function::Weights), |pool, out| {
        out.extend_from_slice(pool.weights())
    })?;
    narrow(linker, ("in-flight", Function::InFlight), |pool, out| {
        pool.in_flight(out)
    })?;
    wide(linker, ("elected", Function::Elected), |pool, out| {
        pool.elected(out)
    })?;
    wide(linker, ("bytes-in", Function::BytesIn), |pool, out| {
        pool.bytes_in(out)
    })?;
    wide(linker, ("bytes-out", Function::BytesOut), |pool, out| {
        pool.bytes_out(out)
    })?;
    narrow(linker, ("latency-us", Function::Latency), |pool, out| {
        pool.latency_us(out)
    })?;
    narrow(
        linker,
        ("consecutive-failures", Function::ConsecutiveFailures),
        |pool, out| pool.consecutive_failures(out),
    )
}
