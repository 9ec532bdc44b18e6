//! `request` and `response`: the exchange being decided, read on demand.

use std::sync::Arc;

use wasmtime::{
    AsContext, StoreContextMut,
    component::{LinkerInstance, WasmStr},
};

use super::linker::absent;
use crate::{
    decision::{Call, FieldsView, RequestView, ResponseView},
    wasm::state::State,
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
        own: fn(&I) -> O,
    ) -> wasmtime::Result<Vec<O>> {
        let mut out = Ok(Vec::new());
        walk(&mut |item| {
            if let Ok(list) = &mut out {
                // An item costs its list entry too, so that empty ones are not free.
                match self.meter.bytes(size(item) + size_of::<O>()) {
                    Ok(()) => list.push(own(item)),
                    Err(error) => out = Err(error),
                }
            }
        });
        out
    }
}

/// A function that reads one text.
fn text(
    linker: &mut LinkerInstance<'_, State>,
    name: &str,
    read: fn(&State) -> wasmtime::Result<&str>,
) -> wasmtime::Result<()> {
    linker.func_wrap(name, move |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        Ok((state.text(read(state)?)?,))
    })
}

/// A function of a name.
fn named<R>(
    linker: &mut LinkerInstance<'_, State>,
    name: &str,
    read: impl Fn(&State, &str) -> wasmtime::Result<R> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    (R,): wasmtime::component::ComponentNamedList + wasmtime::component::Lower + 'static,
{
    linker.func_wrap(name, move |cx: Cx<'_>, (name,): (WasmStr,)| {
        let state = cx.data();
        state.meter.call()?;
        Ok((read(state, &name.to_str(cx.as_context())?)?,))
    })
}

/// The functions that read a message's header.
fn fields(
    linker: &mut LinkerInstance<'_, State>,
    message: fn(&State) -> wasmtime::Result<&dyn FieldsView>,
) -> wasmtime::Result<()> {
    named(linker, "header", move |state, name| {
        message(state)?
            .header(name)
            .map(|value| state.bytes(value))
            .transpose()
    })?;
    named(linker, "headers", move |state, name| {
        let message = message(state)?;
        state.list(
            |each| message.headers(name, each),
            <[u8]>::len,
            <[u8]>::to_vec,
        )
    })?;
    linker.func_wrap("header-names", move |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let message = message(state)?;
        Ok((state.list(|each| message.header_names(each), str::len, str::to_owned)?,))
    })
}

/// `request`
pub(super) fn request(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    text(linker, "method", |state| Ok(state.request()?.method()))?;
    text(linker, "path", |state| Ok(state.request()?.path()))?;
    text(linker, "scheme", |state| Ok(state.request()?.scheme()))?;
    text(linker, "authority", |state| {
        Ok(state.request()?.authority())
    })?;
    text(linker, "original-path", |state| {
        Ok(state.request()?.original_path())
    })?;
    text(linker, "original-scheme", |state| {
        Ok(state.request()?.original_scheme())
    })?;
    text(linker, "original-authority", |state| {
        Ok(state.request()?.original_authority())
    })?;
    fields(linker, |state| Ok(state.request()?))?;
    named(linker, "cookie", |state, name| {
        state
            .request()?
            .cookie(name)
            .map(|value| state.bytes(value))
            .transpose()
    })?;
    named(linker, "cookies", |state, name| {
        let request = state.request()?;
        state.list(
            |each| request.cookies(name, each),
            <[u8]>::len,
            <[u8]>::to_vec,
        )
    })?;
    named(linker, "query", |state, name| {
        state
            .request()?
            .query(name)
            .map(|value| state.text(&value))
            .transpose()
    })?;
    named(linker, "path-parameter", |state, name| {
        state
            .request()?
            .path_parameter(name)
            .map(|value| state.text(value))
            .transpose()
    })?;
    named(linker, "attribute", |state, name| {
        state
            .request()?
            .attribute(name)
            .map(|value| state.text(&value))
            .transpose()
    })?;
    linker.func_wrap("triggered", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        state.request()?;
        Ok((state.views.call().map_or(u64::MAX, Call::triggered),))
    })?;
    linker.func_wrap("tried", |cx: Cx<'_>, (): ()| {
        let state = cx.data();
        state.meter.call()?;
        let tried = state.request()?.tried();
        state.meter.bytes(size_of_val(tried))?;
        Ok((state
            .scratch
            .narrow
            .fill(|out| out.extend_from_slice(tried)),))
    })
}

/// `response`
pub(super) fn response(linker: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    linker.func_wrap("status", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((cx.data().response()?.status(),))
    })?;
    fields(linker, |state| Ok(state.response()?))?;
    text(linker, "member-id", |state| {
        Ok(state.response()?.member_id())
    })?;
    text(linker, "member-route", |state| {
        Ok(state.response()?.member_route())
    })?;
    linker.func_wrap("moved", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((cx.data().response()?.moved(),))
    })
}
