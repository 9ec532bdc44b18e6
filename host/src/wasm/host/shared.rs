//! `shared`: cells that all replicas of a binding see.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::SeqCst},
};

use wasmtime::{
    AsContext, StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType, WasmStr},
};

use crate::{
    recording::{Function, Recalled, Value},
    wasm::{fault::Stop, services::Cells, state::State, tape::Taped},
};

/// Cells of an array that a replay makes; a binding may have as many in all.
const MOST: u32 = 64 << 10;

type Cx<'a> = StoreContextMut<'a, State>;

/// An open array: its name, by which a recording knows it, and its cells.
pub(in crate::wasm) struct Opened {
    name: Arc<str>,
    cells: Cells,
}

/// What `act` does with a cell. `arguments` follow the array's name in a recording.
fn cell<R: Taped>(
    cx: &Cx<'_>,
    function: Function,
    (cells, index): (&Resource<Cells>, u32),
    arguments: &[Value],
    act: impl FnOnce(&AtomicI64) -> R,
) -> wasmtime::Result<(R,)> {
    let state = cx.data();
    state.meter.call()?;
    let opened = state.cells.get(cells.rep())?;
    let length = opened.cells.len();
    let cell = opened.cells.get(index as usize);
    let cell = cell.ok_or(Stop::CellIndex { index, length })?;
    let all = || [&[Value::from(&*opened.name), index.into()], arguments].concat();
    Ok((state.import(function, all, || Ok(act(cell)))?,))
}

/// In a replay no cells are behind a name, but its length still bounds the indices.
fn open(state: &State, name: &str, length: u32) -> wasmtime::Result<Result<Cells, String>> {
    let arguments = || vec![name.into(), length.into()];
    match state.tape.recall(Function::CellsOpen, arguments) {
        Recalled::Live => {
            let opened = match &state.binding.cells {
                Some(cells) => cells.open(name, length, state.binding.most_cells),
                None => Err("not available in describe, which has no side effects".to_owned()),
            };
            let result = || opened.as_ref().map(|_| ()).map_err(String::clone).value();
            state.tape.note(Function::CellsOpen, arguments, result);
            Ok(opened)
        }
        Recalled::Known(value) => {
            let opened = Result::<(), String>::recalled(value).ok_or(Stop::Unrecorded)?;
            // A recording is a file: what it says is not believed beyond what a binding may have.
            let length = length.min(MOST);
            Ok(opened.map(|()| (0..length).map(|_| AtomicI64::new(0)).collect()))
        }
        Recalled::Missing => Err(Stop::Unrecorded.into()),
    }
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
            let name: Arc<str> = name.to_str(cx.as_context())?.into();
            let opened = open(cx.data(), &name, length)?;
            Ok((match opened {
                Ok(cells) => Ok(Resource::<Cells>::new_own(
                    cx.data_mut().cells.insert(Opened { name, cells })?,
                )),
                Err(why) => Err(why),
            },))
        },
    )?;
    shared.func_wrap(
        "[method]cells.load",
        |cx: Cx<'_>, (cells, index): (Resource<Cells>, u32)| {
            let load = |cell: &AtomicI64| cell.load(SeqCst);
            cell(&cx, Function::CellsLoad, (&cells, index), &[], load)
        },
    )?;
    shared.func_wrap(
        "[method]cells.fetch-add",
        |cx: Cx<'_>, (cells, index, delta): (Resource<Cells>, u32, i64)| {
            let add = |cell: &AtomicI64| cell.fetch_add(delta, SeqCst);
            let arguments = [delta.into()];
            cell(
                &cx,
                Function::CellsFetchAdd,
                (&cells, index),
                &arguments,
                add,
            )
        },
    )?;
    shared.func_wrap(
        "[method]cells.compare-exchange",
        |cx: Cx<'_>, (cells, index, expected, replacement): (Resource<Cells>, u32, i64, i64)| {
            let swap = |cell: &AtomicI64| {
                let swapped = cell.compare_exchange(expected, replacement, SeqCst, SeqCst);
                swapped.map(|_| ())
            };
            let arguments = [expected.into(), replacement.into()];
            let at = (&cells, index);
            cell(&cx, Function::CellsCompareExchange, at, &arguments, swap)
        },
    )?;
    shared.func_wrap(
        "[method]cells.load-all",
        |cx: Cx<'_>, (cells,): (Resource<Cells>,)| {
            let state = cx.data();
            state.meter.call()?;
            let opened = state.cells.get(cells.rep())?;
            let arguments = || vec![(&*opened.name).into()];
            let all = state.import(Function::CellsLoadAll, arguments, || {
                state.meter.bytes(size_of_val(&*opened.cells))?;
                let cells = opened.cells.iter();
                Ok(cells.map(|cell| cell.load(SeqCst)).collect::<Vec<_>>())
            })?;
            Ok((all,))
        },
    )
}
