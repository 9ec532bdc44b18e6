//! `wasi:io`: two streams that lead to the log, one that is at its end, and waiting that is over at once.

use wasmtime::{
    AsContext, StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource, WasmList},
};

use crate::wasm::{fault::Stop, state::State};

type Cx<'a> = StoreContextMut<'a, State>;

/// `poll.pollable`: all of them are ready.
pub(super) struct Pollable;

/// `error.error`: nobody gets one.
pub(super) struct Failure;

/// `streams.input-stream`: at its end.
pub(super) struct InputStream;

/// `streams.output-stream`: its number says where it leads.
pub(super) struct OutputStream;

/// Numbers of output streams.
pub(super) const STDOUT: u32 = 1;
pub(super) const STDERR: u32 = 2;

/// Bytes that a stream says it takes at once. Toolchains ask before each write; a log
/// line has 2 KiB.
const ROOM: u64 = 4096;

/// `streams.stream-error`
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Failure>),
    #[component(name = "closed")]
    Closed,
}

type Answer<T> = wasmtime::Result<(Result<T, StreamError>,)>;

/// A pollable, which needs no state: whatever it stands for is ready.
pub(super) fn ready() -> Resource<Pollable> {
    Resource::new_own(0)
}

/// `poll`
pub(super) fn poll(poll: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    poll.func_wrap(
        "[method]pollable.ready",
        |cx: Cx<'_>, (_,): (Resource<Pollable>,)| {
            cx.data().meter.call()?;
            Ok((true,))
        },
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |cx: Cx<'_>, (_,): (Resource<Pollable>,)| cx.data().meter.call(),
    )?;
    poll.func_wrap("poll", |cx: Cx<'_>, (list,): (Vec<Resource<Pollable>>,)| {
        let meter = &cx.data().meter;
        meter.call()?;
        meter.bytes(list.len().saturating_mul(size_of::<u32>()))?;
        if list.is_empty() {
            // As the interface has it: nothing could ever wake who waits for nothing.
            return Err(Stop::NotGranted("wasi:io/poll#poll of nothing".into()).into());
        }
        // As many as a handle table can hold fit a u32.
        Ok(((0..list.len() as u32).collect::<Vec<_>>(),))
    })
}

/// `streams`
pub(super) fn streams(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    for name in ["read", "blocking-read"] {
        let name = format!("[method]input-stream.{name}");
        streams.func_wrap(
            &name,
            |cx: Cx<'_>, (_, _): (Resource<InputStream>, u64)| -> Answer<Vec<u8>> { at_end(&cx) },
        )?;
    }
    for name in ["skip", "blocking-skip"] {
        let name = format!("[method]input-stream.{name}");
        streams.func_wrap(
            &name,
            |cx: Cx<'_>, (_, _): (Resource<InputStream>, u64)| -> Answer<u64> { at_end(&cx) },
        )?;
    }
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |cx: Cx<'_>, (_,): (Resource<InputStream>,)| {
            cx.data().meter.call()?;
            Ok((ready(),))
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |cx: Cx<'_>, (_,): (Resource<OutputStream>,)| {
            cx.data().meter.call()?;
            Ok((ready(),))
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |cx: Cx<'_>, (_,): (Resource<OutputStream>,)| -> Answer<u64> {
            cx.data().meter.call()?;
            Ok((Ok(ROOM),))
        },
    )?;
    for name in ["write", "blocking-write-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(&name, write)?;
    }
    for name in ["flush", "blocking-flush"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(
            &name,
            |cx: Cx<'_>, (_,): (Resource<OutputStream>,)| -> Answer<()> {
                cx.data().meter.call()?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let name = format!("[method]output-stream.{name}");
        // A line of zeroes tells nobody anything.
        streams.func_wrap(
            &name,
            |cx: Cx<'_>, (_, _): (Resource<OutputStream>, u64)| -> Answer<()> {
                cx.data().meter.call()?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["splice", "blocking-splice"] {
        let name = format!("[method]output-stream.{name}");
        streams.func_wrap(
            &name,
            |cx: Cx<'_>,
             (_, _, _): (Resource<OutputStream>, Resource<InputStream>, u64)|
             -> Answer<u64> { at_end(&cx) },
        )?;
    }
    Ok(())
}

fn at_end<T>(cx: &Cx<'_>) -> Answer<T> {
    cx.data().meter.call()?;
    Ok((Err(StreamError::Closed),))
}

fn write(mut cx: Cx<'_>, (stream, bytes): (Resource<OutputStream>, WasmList<u8>)) -> Answer<()> {
    let meter = &cx.data().meter;
    meter.call()?;
    meter.bytes(bytes.len())?;
    let bytes = bytes.as_le_slice(cx.as_context()).to_vec();
    cx.data_mut().print(stream.rep() == STDERR, &bytes)?;
    Ok((Ok(()),))
}
