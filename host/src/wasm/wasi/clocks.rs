//! `wasi:clocks`: the call's own clock, which stands still while it runs.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower},
};

use super::io;
use crate::wasm::state::State;

type Cx<'a> = StoreContextMut<'a, State>;

/// `wall-clock.datetime`
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl Datetime {
    fn of_ms(ms: u64) -> Self {
        Self {
            seconds: ms / 1000,
            // Below a thousand million.
            nanoseconds: (ms % 1000) as u32 * 1_000_000,
        }
    }
}

/// `monotonic-clock`, in nanoseconds.
pub(super) fn monotonic(clock: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    clock.func_wrap("now", |cx: Cx<'_>, (): ()| {
        Ok((cx.data().clock()?.0.saturating_mul(1000),))
    })?;
    clock.func_wrap("resolution", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((1000_u64,))
    })?;
    // Whoever sleeps wakes up at once, to find the clock where it was.
    for name in ["subscribe-instant", "subscribe-duration"] {
        clock.func_wrap(name, |cx: Cx<'_>, (_,): (u64,)| {
            cx.data().meter.call()?;
            Ok((io::ready(),))
        })?;
    }
    Ok(())
}

/// `wall-clock`
pub(super) fn wall(clock: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    clock.func_wrap("now", |cx: Cx<'_>, (): ()| {
        Ok((Datetime::of_ms(cx.data().clock()?.1),))
    })?;
    clock.func_wrap("resolution", |cx: Cx<'_>, (): ()| {
        cx.data().meter.call()?;
        Ok((Datetime::of_ms(1),))
    })
}

/// `timezone`: UTC. (`display` is a trap: no toolchain calls it.)
pub(super) fn timezone(zone: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    zone.func_wrap("utc-offset", |cx: Cx<'_>, (_,): (Datetime,)| {
        cx.data().meter.call()?;
        Ok((0_i32,))
    })
}

#[cfg(test)]
mod tests {
    use super::Datetime;

    #[test]
    fn milliseconds_split_into_seconds_and_nanoseconds() {
        let time = Datetime::of_ms(1_234_567);
        assert_eq!((time.seconds, time.nanoseconds), (1234, 567_000_000));
    }
}
