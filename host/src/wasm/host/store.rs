//! `store`: the tenant's key-value store.

use std::{cell::Cell, time::Instant};

use wasmtime::{
    AsContext, StoreContextMut,
    component::{LinkerInstance, WasmList, WasmStr},
};

use crate::{
    recording::{Function, Value},
    wasm::state::State,
};

type Cx<'a> = StoreContextMut<'a, State>;

/// `store`
pub(super) fn link(store: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    store.func_wrap("get", |cx: Cx<'_>, (key,): (WasmStr,)| {
        let state = cx.data();
        state.meter.call()?;
        let key = key.to_str(cx.as_context())?;
        let copy = |value: &[u8]| -> wasmtime::Result<_> {
            state.meter.bytes(value.len())?;
            Ok(state.scratch.bytes.fill(|out| out.extend_from_slice(value)))
        };
        let value = state.import(
            Function::StoreGet,
            || vec![(&*key).into()],
            || {
                let value = state.binding.store.get(&key, Instant::now(), copy);
                value.transpose()
            },
        )?;
        Ok((value,))
    })?;
    store.func_wrap(
        "put",
        |cx: Cx<'_>, (key, value, ttl_ms): (WasmStr, WasmList<u8>, u32)| {
            let state = cx.data();
            state.meter.call()?;
            state.meter.bytes(value.len())?;
            let key = key.to_str(cx.as_context())?;
            let value = value.as_le_slice(cx.as_context());
            let arguments = || vec![(&*key).into(), Value::Bytes(value.to_vec()), ttl_ms.into()];
            let (now, exceeded) = (Instant::now(), Cell::new(None));
            state.import(Function::StorePut, arguments, || {
                let binding = &state.binding;
                let put = binding.store.put((&key, value), ttl_ms, binding.quota, now);
                exceeded.set(put.err());
                Ok(())
            })?;
            if let Some(limit) = exceeded.get() {
                cx.data().journal.exceeded(limit, now);
            }
            Ok(())
        },
    )?;
    store.func_wrap("delete", |cx: Cx<'_>, (key,): (WasmStr,)| {
        let state = cx.data();
        state.meter.call()?;
        let key = key.to_str(cx.as_context())?;
        state.import(
            Function::StoreDelete,
            || vec![(&*key).into()],
            || {
                state.binding.store.delete(&key);
                Ok(())
            },
        )
    })
}
