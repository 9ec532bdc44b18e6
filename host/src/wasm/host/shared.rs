//! `shared`: cells that all replicas of a binding see.

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use wasmtime::{
    AsContext, StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType, WasmStr},
};

use crate::wasm::{fault::Stop, services::Cells, state::State};

type Cx<'a> = StoreContextMut<'a, State>;

fn cell<'a>(
    cx: &'a Cx<'_>,
    cells: &Resource<Cells>,
    index: u32,
) -> wasmtime::Result<&'a AtomicI64> {
    let state = cx.data();
    state.meter.call()?;
    let cells = state.cells.get(cells.rep())?;
    let length = cells.len();
    cells
        .get(index as usize)
        .ok_or_else(|| Stop::CellIndex { index, length }.into())
}

/// `shared`. Sequentially consistent: replicas run on different threads and what
/// a policy's author expects of a counter is one order.
pub(super) fn link(shared: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    shared.resource("cells", ResourceType::host::<Cells>(), |mut cx, at| {
        cx.data_mut().cells.remove(at);
        Ok(())
    })?;
    shared.func_wrap(
        "[static]cells.open",
        |mut cx: Cx<'_>, (name, length): (WasmStr, u32)| {
            cx.data().meter.call()?;
            let opened = match &cx.data().binding.cells {
                Some(cells) => {
                    let name = name.to_str(cx.as_context())?;
                    cells.open(&name, length, cx.data().binding.most_cells)
                }
                None => Err("not available in describe, which has no side effects".to_owned()),
            };
            Ok((match opened {
                Ok(cells) => Ok(Resource::<Cells>::new_own(
                    cx.data_mut().cells.insert(cells)?,
                )),
                Err(why) => Err(why),
            },))
        },
    )?;
    shared.func_wrap(
        "[method]cells.load",
        |cx: Cx<'_>, (cells, index): (Resource<Cells>, u32)| {
            Ok((cell(&cx, &cells, index)?.load(SeqCst),))
        },
    )?;
    shared.func_wrap(
        "[method]cells.fetch-add",
        |cx: Cx<'_>, (cells, index, delta): (Resource<Cells>, u32, i64)| {
            Ok((cell(&cx, &cells, index)?.fetch_add(delta, SeqCst),))
        },
    )?;
    shared.func_wrap(
        "[method]cells.compare-exchange",
        |cx: Cx<'_>, (cells, index, expected, replacement): (Resource<Cells>, u32, i64, i64)| {
            let swapped =
                cell(&cx, &cells, index)?.compare_exchange(expected, replacement, SeqCst, SeqCst);
            Ok((swapped.map(|_| ()),))
        },
    )?;
    shared.func_wrap(
        "[method]cells.load-all",
        |cx: Cx<'_>, (cells,): (Resource<Cells>,)| {
            let state = cx.data();
            state.meter.call()?;
            let cells = state.cells.get(cells.rep())?;
            state.meter.bytes(size_of_val(&**cells))?;
            Ok((cells
                .iter()
                .map(|cell| cell.load(SeqCst))
                .collect::<Vec<_>>(),))
        },
    )
}
