//! `metrics`: series that a policy keeps and telemetry reads.

use std::time::Instant;

use wasmtime::{
    AsContext, StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType, WasmList, WasmStr},
};

use crate::wasm::{
    services::{Kind, LABELS, Series},
    state::State,
};

type Cx<'a> = StoreContextMut<'a, State>;

/// One type for each resource, so that wasmtime tells them apart.
struct Counter;
struct Gauge;
struct Histogram;

/// `metrics`
pub(super) fn link(metrics: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    resource::<Counter>(metrics, "counter", Kind::Counter)?;
    resource::<Gauge>(metrics, "gauge", Kind::Gauge)?;
    resource::<Histogram>(metrics, "histogram", Kind::Histogram)?;
    metrics.func_wrap(
        "[method]counter.add",
        |cx: Cx<'_>, (of, value): (Resource<Counter>, u64)| {
            series(&cx, of.rep()).map(|series| series.add(value))
        },
    )?;
    metrics.func_wrap(
        "[method]gauge.set",
        |cx: Cx<'_>, (of, value): (Resource<Gauge>, f64)| {
            series(&cx, of.rep()).map(|series| series.set(value))
        },
    )?;
    metrics.func_wrap(
        "[method]histogram.observe",
        |cx: Cx<'_>, (of, value): (Resource<Histogram>, f64)| {
            series(&cx, of.rep()).map(|series| series.observe(value))
        },
    )
}

fn series<'a>(cx: &'a Cx<'_>, at: u32) -> wasmtime::Result<&'a Series> {
    cx.data().meter.call()?;
    Ok(cx.data().series.get(at)?)
}

fn resource<T: 'static>(
    metrics: &mut LinkerInstance<'_, State>,
    name: &str,
    kind: Kind,
) -> wasmtime::Result<()> {
    metrics.resource(name, ResourceType::host::<T>(), |mut cx, at| {
        cx.data_mut().series.remove(at);
        Ok(())
    })?;
    metrics.func_wrap(
        &format!("[constructor]{name}"),
        move |mut cx: Cx<'_>, (name, labels): (WasmStr, WasmList<(WasmStr, WasmStr)>)| {
            cx.data().meter.call()?;
            let series = if labels.len() > LABELS {
                cx.data().binding.metrics.refused()
            } else {
                let mut owned = Vec::with_capacity(labels.len());
                for at in 0..labels.len() {
                    let Some(label) = labels.get(&mut cx, at) else {
                        break;
                    };
                    let (name, value) = label?;
                    let (name, value) = (
                        name.to_str(cx.as_context())?,
                        value.to_str(cx.as_context())?,
                    );
                    cx.data().meter.bytes(name.len() + value.len())?;
                    owned.push((name.into_owned(), value.into_owned()));
                }
                let name = name.to_str(cx.as_context())?;
                let binding = &cx.data().binding;
                binding
                    .metrics
                    .open(kind, &name, owned, binding.most_series)
            };
            if matches!(*series, Series::Inert) {
                let limit = "metric_series, or what a metric's name and labels may be";
                cx.data().journal.exceeded(limit, Instant::now());
            }
            Ok((Resource::<T>::new_own(cx.data_mut().series.insert(series)?),))
        },
    )
}
