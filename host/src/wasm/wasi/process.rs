//! `wasi:cli` and the entrance of `wasi:filesystem`: a process without anything around it.

use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, Resource},
};

use super::io::{InputStream, OutputStream, STDERR, STDOUT};
use crate::wasm::{fault::Stop, state::State};

type Cx<'a> = StoreContextMut<'a, State>;

/// `filesystem/types.descriptor`: nobody gets one.
pub(super) struct Descriptor;

/// `terminal-input.terminal-input`: likewise.
pub(super) struct TerminalInput;

/// `terminal-output.terminal-output`: likewise.
pub(super) struct TerminalOutput;

/// `environment`: empty.
pub(super) fn environment(environment: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    environment.func_wrap("get-environment", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Vec::<(String, String)>::new(),))
    })?;
    environment.func_wrap("get-arguments", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Vec::<String>::new(),))
    })?;
    environment.func_wrap("initial-cwd", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((None::<String>,))
    })
}

/// `exit`: ends the instance, whatever the status says.
pub(super) fn exit(exit: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    exit.func_wrap("exit", |_: Cx<'_>, (status,): (Result<(), ()>,)| {
        Err::<(), _>(Stop::Exit(u8::from(status.is_err())).into())
    })?;
    exit.func_wrap("exit-with-code", |_: Cx<'_>, (code,): (u8,)| {
        Err::<(), _>(Stop::Exit(code).into())
    })
}

/// `stdin`: at its end.
pub(super) fn stdin(stdin: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    stdin.func_wrap("get-stdin", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Resource::<InputStream>::new_own(0),))
    })
}

/// `stdout`: lines of the log at `info`.
pub(super) fn stdout(stdout: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    stdout.func_wrap("get-stdout", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Resource::<OutputStream>::new_own(STDOUT),))
    })
}

/// `stderr`: lines of the log at `warn`.
pub(super) fn stderr(stderr: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    stderr.func_wrap("get-stderr", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Resource::<OutputStream>::new_own(STDERR),))
    })
}

/// `terminal-stdin`: there is none.
pub(super) fn terminal_stdin(terminal: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    no_terminal::<TerminalInput>(terminal, "get-terminal-stdin")
}

/// `terminal-stdout`: there is none.
pub(super) fn terminal_stdout(terminal: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    no_terminal::<TerminalOutput>(terminal, "get-terminal-stdout")
}

/// `terminal-stderr`: there is none.
pub(super) fn terminal_stderr(terminal: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    no_terminal::<TerminalOutput>(terminal, "get-terminal-stderr")
}

fn no_terminal<R: 'static>(
    terminal: &mut LinkerInstance<'_, State>,
    name: &str,
) -> wasmtime::Result<()> {
    terminal.func_wrap(name, |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((None::<Resource<R>>,))
    })
}

/// `preopens`: no folder is open, so no file can be reached.
pub(super) fn preopens(preopens: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    preopens.func_wrap("get-directories", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
    })
}
