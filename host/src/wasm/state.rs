//! What the store of one instance holds beside the guest.

use std::sync::Arc;

use wasmtime::Store;

use super::{
    bounds::{Budget, Limiter, Meter},
    host::{entropy::Entropy, handles::Handles, log::Journal, shared::Opened},
    scratch::Scratch,
    services::{Binding, Series},
    views::Views,
    wasi::Console,
};
use crate::{policy::Environment, recording::Tape};

/// Bytes the guest hands over in one call, either way; wasmtime counts them
/// before it copies.
const GUEST_BYTES: usize = 4 << 20;

/// Handles (cells, metrics) an instance may hold.
const HANDLES: usize = 4096;

/// The state of one instance's store.
pub(super) struct State {
    pub(super) views: Views,
    pub(super) meter: Meter,
    pub(super) limiter: Limiter,
    pub(super) scratch: Scratch,
    pub(super) budget: Budget,
    pub(super) entropy: Entropy,
    pub(super) journal: Journal,
    pub(super) console: Console,
    pub(super) binding: Arc<Binding>,
    pub(super) cells: Handles<Opened>,
    pub(super) series: Handles<Arc<Series>>,
    /// The clock of calls that bring none: frozen when the call began.
    pub(super) lifecycle_clock: (u64, u64),
    pub(super) tape: Tape,
}

impl State {
    /// Fresh state for one instance of `environment`'s policy.
    pub(super) fn new(environment: &Environment, binding: Arc<Binding>, replica: u32) -> Self {
        Self {
            views: Views::default(),
            meter: Meter::default(),
            limiter: Limiter::new(&environment.limits),
            scratch: Scratch::default(),
            budget: Budget::default(),
            entropy: Entropy::new(environment.seed, replica),
            journal: Journal::new(environment, Arc::clone(&binding.ration)),
            console: Console::default(),
            binding,
            cells: Handles::default(),
            series: Handles::default(),
            lifecycle_clock: (0, 0),
            tape: Tape::Off,
        }
    }

    /// The call's clock: monotonic microseconds, and milliseconds since 1970. It stands still.
    pub(super) fn clock(&self) -> wasmtime::Result<(u64, u64)> {
        self.meter.call()?;
        let call = self.views.call();
        Ok(call.map_or(self.lifecycle_clock, |call| (call.now_us, call.wall_ms)))
    }

    /// The next word of chance.
    pub(super) fn chance(&mut self) -> wasmtime::Result<u64> {
        self.meter.call()?;
        Ok(self.entropy.next())
    }

    /// What the guest printed becomes lines of the log, under its budget.
    pub(super) fn print(&mut self, is_error: bool, bytes: &[u8]) -> wasmtime::Result<()> {
        let (meter, journal) = (&self.meter, &self.journal);
        self.console.write(is_error, bytes, |line| {
            meter.line()?;
            journal.print(is_error, line);
            Ok(())
        })
    }

    /// A call is over, well or badly: what it began to print is a line too.
    pub(super) fn settle(&mut self) {
        if !self.console.is_empty() {
            let journal = &self.journal;
            self.console
                .finish(|is_error, line| journal.print(is_error, line));
        }
    }

    /// A store with every bound in place.
    pub(super) fn into_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let mut store = Store::new(engine, self);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(GUEST_BYTES);
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|mut store| store.data_mut().budget.spend());
        store
    }
}
