//! `request` and `response`: the exchange being decided, read on demand.

use std::{borrow::Cow, sync::Arc};

use wasmtime::{
    AsContext, StoreContextMut,
    component::{LinkerInstance, WasmStr},
};

use super::linker::absent;
use crate::{
    decision::{FieldsView, RequestView, ResponseView},
    recording::{Function, Recalled, Value},
    wasm::{fault::Stop, state::State, tape::Taped},
};

type Cx<'a> = StoreContextMut<'a, State>;
type Bytes = Arc<Vec<u8>>;
type Text = Arc<String>;

impl State {
    fn request(&self) -> wasmtime::Result<&dyn RequestView> {
        let view = self.views.call().and_then(|call| call.request);
        absent(
            view,
            "request",
            "only a decision (pick, locate, bind, on-request, on-response) has a request",
        )
    }

    fn response(&self) -> wasmtime::Result<&dyn ResponseView> {
        let view = self.views.call().and_then(|call| call.response);
        absent(
            view,
            "response",
            "only bind and on-response have a response",
        )
    }

    fn text(&self, from: &str) -> wasmtime::Result<Text> {
        self.meter.bytes(from.len())?;
        Ok(self.scratch.text.fill(|out| out.push_str(from)))
    }

    fn bytes(&self, from: &[u8]) -> wasmtime::Result<Bytes> {
        self.meter.bytes(from.len())?;
        Ok(self.scratch.bytes.fill(|out| out.extend_from_slice(from)))
    }

    /// Copies what `walk` visits, as far as the meter allows.
    fn list<I: ?Sized, O>(
        &self,
        walk: impl FnOnce(&mut dyn FnMut(&I)),
        size: fn(&I) -> usize,
        own: impl Fn(&I) -> O,
    ) -> wasmtime::Result<Vec<O>> {
        let mut list = Vec::new();
        self.append(&mut list, walk, size, own)?;
        Ok(list)
    }

    /// Likewise, behind what `list` holds.
    fn append<I: ?Sized, O>(
        &self,
        list: &mut Vec<O>,
        walk: impl FnOnce(&mut dyn FnMut(&I)),
        size: fn(&I) -> usize,
        own: impl Fn(&I) -> O,
    ) -> wasmtime::Result<()> {
        let mut metered = Ok(());
        walk(&mut |item| {
            if metered.is_ok() {
                // An item costs its list entry too, so that empty ones are not free.
                metered = self.meter.bytes(size(item) + size_of::<O>());
                if metered.is_ok() {
                    list.push(own(item));
                }
            }
        });
        metered
    }

    /// A text that is part of another one, recorded as if it had been asked for alone.
    fn part(
        &self,
        function: Function,
        read: fn(&Self) -> wasmtime::Result<&str>,
    ) -> wasmtime::Result<Cow<'_, str>> {
        self.meter.call()?;
        if self.tape.is_off() {
            return Ok(Cow::Borrowed(read(self)?));
        }
        let text = self.import(function, Vec::new, || self.text(read(self)?))?;
        Ok(Cow::Owned(String::clone(&text)))
    }

    /// The values of one header.
    fn values(
        &self,
        message: fn(&Self) -> wasmtime::Result<&dyn FieldsView>,
        name: &str,
    ) -> wasmtime::Result<Vec<Vec<u8>>> {
        let message = message(self)?;
        self.list(
            |each| message.headers(name, each),
            <[u8]>::len,
            <[u8]>::to_vec,
        )
    }

    /// Those of several, each recorded as if it had been asked for alone.
    fn lines(
        &self,
        headers: Function,
        message: fn(&Self) -> wasmtime::Result<&dyn FieldsView>,
        names: &str,
    ) -> wasmtime::Result<Vec<(u32, Vec<u8>)>> {
        let mut lines = Vec::new();
        for (place, name) in (0..).zip(names.split(',')) {
            self.meter.call()?;
            if self.tape.is_off() {
                let message = message(self)?;
                let walk = |each: &mut dyn FnMut(&[u8])| message.headers(name, each);
                self.append(&mut lines, walk, <[u8]>::len, |line| (place, line.to_vec()))?;
                continue;
            }
            let arguments = || vec![name.into()];
            let values = self.import(headers, arguments, || self.values(message, name))?;
            lines.extend(values.into_iter().map(|value| (place, value)));
        }
        Ok(lines)
    }
}

/// A function that reads one text.
fn text(
    linker: &mut LinkerInstance<'_, State>,
    (name, function): (&str, Function),
    read: fn(&State) -> wasmtime::Result<&str>,
) -> wasmtime::Result<()> {
    linker.func_wrap(name, move |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let text = state.import(function, Vec::new, || state.text(read(state)?))?;
        Ok((text,))
    })
}

/// A function of a name.
fn named<R: Taped>(
    linker: &mut LinkerInstance<'_, State>,
    (name, function): (&str, Function),
    read: impl Fn(&State, &str) -> wasmtime::Result<R> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    (R,): wasmtime::component::ComponentNamedList + wasmtime::component::Lower + 'static,
{
    linker.func_wrap(name, move |cx: Cx<'_>, (name,): (WasmStr,)| {
        let state = cx.data();
        state.meter.call()?;
        let name = name.to_str(cx.as_context())?;
        let arguments = || vec![(&*name).into()];
        let result = state.import(function, arguments, || read(state, &name))?;
        Ok((result,))
    })
}

/// The functions that read a message's header.
fn fields(
    linker: &mut LinkerInstance<'_, State>,
    [header, headers, header_names]: [Function; 3],
    message: fn(&State) -> wasmtime::Result<&dyn FieldsView>,
) -> wasmtime::Result<()> {
    named(linker, ("header", header), move |state, name| {
        message(state)?
            .header(name)
            .map(|value| state.bytes(value))
            .transpose()
    })?;
    named(linker, ("headers", headers), move |state, name| {
        state.values(message, name)
    })?;
    linker.func_wrap("lines", move |cx: Cx<'_>, (names,): (WasmStr,)| {
        let names = names.to_str(cx.as_context())?;
        Ok((cx.data().lines(headers, message, &names)?,))
    })?;
    linker.func_wrap("header-names", move |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let names = state.import(header_names, Vec::new, || {
            let message = message(state)?;
            state.list(|each| message.header_names(each), str::len, str::to_owned)
        })?;
        Ok((names,))
    })
}

/// `request`
pub(super) fn request(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    text(linker, ("method", Function::Method), |state| {
        Ok(state.request()?.method())
    })?;
    text(linker, ("path", Function::Path), |state| {
        Ok(state.request()?.path())
    })?;
    text(linker, ("scheme", Function::Scheme), |state| {
        Ok(state.request()?.scheme())
    })?;
    text(linker, ("authority", Function::Authority), |state| {
        Ok(state.request()?.authority())
    })?;
    text(linker, ("original-path", Function::OriginalPath), |state| {
        Ok(state.request()?.original_path())
    })?;
    text(
        linker,
        ("original-scheme", Function::OriginalScheme),
        |state| Ok(state.request()?.original_scheme()),
    )?;
    text(
        linker,
        ("original-authority", Function::OriginalAuthority),
        |state| Ok(state.request()?.original_authority()),
    )?;
    linker.func_wrap("original-base", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        let scheme = state.part(Function::OriginalScheme, |state| {
            Ok(state.request()?.original_scheme())
        })?;
        let authority = state.part(Function::OriginalAuthority, |state| {
            Ok(state.request()?.original_authority())
        })?;
        let parts = match authority.is_empty() {
            true => [""; 3],
            false => [&*scheme, "://", &*authority],
        };
        state
            .meter
            .bytes(parts.iter().map(|part| part.len()).sum())?;
        let base = |out: &mut String| out.extend(parts);
        Ok((state.scratch.text.fill(base),))
    })?;
    let functions = [
        Function::RequestHeader,
        Function::RequestHeaders,
        Function::RequestHeaderNames,
    ];
    fields(linker, functions, |state| Ok(state.request()?))?;
    named(linker, ("cookie", Function::Cookie), |state, name| {
        state
            .request()?
            .cookie(name)
            .map(|value| state.bytes(value))
            .transpose()
    })?;
    named(linker, ("cookies", Function::Cookies), |state, name| {
        let request = state.request()?;
        state.list(
            |each| request.cookies(name, each),
            <[u8]>::len,
            <[u8]>::to_vec,
        )
    })?;
    named(linker, ("query", Function::Query), |state, name| {
        state
            .request()?
            .query(name)
            .map(|value| state.text(&value))
            .transpose()
    })?;
    named(
        linker,
        ("path-parameter", Function::PathParameter),
        |state, name| {
            state
                .request()?
                .path_parameter(name)
                .map(|value| state.text(value))
                .transpose()
        },
    )?;
    named(linker, ("attribute", Function::Attribute), |state, name| {
        state
            .request()?
            .attribute(name)
            .map(|value| state.text(&value))
            .transpose()
    })?;
    linker.func_wrap("triggered", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let triggered = match state.tape.triggered() {
            Recalled::Known(Value::Number(recorded)) => recorded,
            Recalled::Known(_) | Recalled::Missing => return Err(Stop::Unrecorded.into()),
            Recalled::Live => {
                state.request()?;
                state.views.call().map_or(u64::MAX, |call| call.triggered)
            }
        };
        Ok((triggered,))
    })?;
    linker.func_wrap("tried", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let tried = state.import(Function::Tried, Vec::new, || {
            let tried = state.request()?.tried();
            state.meter.bytes(size_of_val(tried))?;
            Ok(state
                .scratch
                .narrow
                .fill(|out| out.extend_from_slice(tried)))
        })?;
        Ok((tried,))
    })
}

/// `response`
pub(super) fn response(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    linker.func_wrap("status", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let status = || Ok(state.response()?.status());
        Ok((state.import(Function::Status, Vec::new, status)?,))
    })?;
    let functions = [
        Function::ResponseHeader,
        Function::ResponseHeaders,
        Function::ResponseHeaderNames,
    ];
    fields(linker, functions, |state| Ok(state.response()?))?;
    text(linker, ("member-id", Function::MemberId), |state| {
        Ok(state.response()?.member_id())
    })?;
    text(linker, ("member-route", Function::MemberRoute), |state| {
        Ok(state.response()?.member_route())
    })?;
    linker.func_wrap("moved", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let moved = || Ok(state.response()?.moved());
        Ok((state.import(Function::Moved, Vec::new, moved)?,))
    })
}
