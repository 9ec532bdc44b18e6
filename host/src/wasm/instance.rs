//! One running copy of a policy.

use std::{sync::Arc, time::Duration};

use wasmtime::{Store, component::ResourceAny};

use super::{
    convert,
    fault::{Stop, classify},
    fuel::{self, Fuel},
    guests::Guests,
    services::{Binding, Seat},
    state::State,
    ticker::{Running, Ticker},
    views,
};
use crate::{
    decision::{Call, Context, Descriptor, Problem},
    members::Clock,
    policy::{Environment, Fault},
    recording::{Answer, Asked, Began, Tape},
};

/// A store with its guest. Owned by one caller at a time; leaves nothing behind when dropped.
pub(super) struct WasmInstance {
    store: Store<State>,
    guests: Option<Guests>,
    pub(super) body: Option<ResourceAny>,
    ticker: Arc<Ticker>,
    running: Arc<Running>,
    clock: Clock,
    fuel: Option<Arc<Fuel>>,
    pub(super) deadline: Duration,
    pub(super) init_deadline: Duration,
    /// Cleared before each call and set again after it went well, so that a
    /// panic in the middle of one ends the instance too.
    sound: bool,
    /// Given back with the instance.
    seat: Option<Seat>,
}

impl WasmInstance {
    /// A store without a guest yet.
    pub(super) fn empty(
        engine: &super::engine::PolicyEngine,
        environment: &Environment,
        binding: Arc<Binding>,
        replica: u32,
    ) -> Self {
        Self {
            store: State::new(environment, binding, replica).into_store(&engine.engine),
            guests: None,
            body: None,
            ticker: engine.ticker.clone(),
            running: engine.ticker.register(),
            clock: environment.clock,
            fuel: engine.fuel.clone(),
            deadline: environment.limits.deadline,
            init_deadline: environment.limits.init_deadline,
            sound: true,
            seat: None,
        }
    }

    /// It is one of those that its policy may have.
    pub(super) fn occupy(&mut self, seat: Option<Seat>) {
        self.seat = seat;
    }

    /// Instantiates; start functions of the guest run here, under its limits.
    pub(super) fn start(
        &mut self,
        start: impl FnOnce(&mut Store<State>) -> wasmtime::Result<Guests>,
    ) -> Result<(), wasmtime::Error> {
        let began = self.begin(&Asked::Instantiate, self.moment(), u64::MAX);
        self.enter(self.init_deadline)?;
        let running = self.running.clone();
        let inside = self.ticker.enter(&running);
        let started = start(&mut self.store);
        drop(inside);
        self.store.data_mut().settle();
        self.guests = Some(started?);
        self.sound = true;
        let tape = &mut self.store.data_mut().tape;
        tape.finish(Asked::Instantiate, began, Answer::Done);
        Ok(())
    }

    /// Everything from here on is recorded, or replayed.
    pub(super) fn tape(&mut self, tape: Tape) {
        self.store.data_mut().tape = tape;
    }

    /// Bytes of linear memory it has.
    pub(super) fn memory_taken(&self) -> usize {
        self.store.data().limiter.taken()
    }

    /// `lifecycle.describe`
    pub(super) fn describe(
        &mut self,
        config: &str,
    ) -> Result<Result<Descriptor, Vec<Problem>>, Fault> {
        self.lifecycle(
            |guests, store| match guests.lifecycle.call_describe(store, config)? {
                Ok(descriptor) => Ok(Ok(convert::descriptor(descriptor)?)),
                Err(problems) => Ok(Err(convert::problems(problems))),
            },
        )
    }

    /// `lifecycle.init`
    pub(super) fn init(
        &mut self,
        config: &str,
        context: &Context,
    ) -> Result<Result<(), Vec<Problem>>, Fault> {
        let asked = || Asked::Init {
            config: config.to_owned(),
            context: context.clone(),
        };
        self.taped(asked, None, |me| {
            let context = convert::context(context);
            me.lifecycle(|guests, store| {
                Ok(guests
                    .lifecycle
                    .call_init(store, config, &context)?
                    .map_err(convert::problems))
            })
        })
    }

    /// One call, written down where the instance is recorded.
    pub(super) fn taped<R>(
        &mut self,
        asked: impl FnOnce() -> Asked,
        call: Option<&Call<'_>>,
        run: impl FnOnce(&mut Self) -> Result<R, Fault>,
    ) -> Result<R, Fault>
    where
        for<'a> Answer: From<&'a R>,
    {
        if self.store.data().tape.is_off() {
            return run(self);
        }
        let asked = asked();
        let began = match call {
            Some(call) => self.begin(&asked, (call.now_us, call.wall_ms), call.triggered),
            None => self.begin(&asked, self.moment(), u64::MAX),
        };
        let answer = run(self);
        let tape = &mut self.store.data_mut().tape;
        let said = match &answer {
            Ok(answer) => Answer::from(answer),
            Err(fault) => fault.answer(),
        };
        tape.finish(asked, began, said);
        answer
    }

    /// The clock of calls that bring none.
    fn moment(&self) -> (u64, u64) {
        (self.clock.now(), self.clock.calendar_ms())
    }

    fn begin(&mut self, asked: &Asked, clock: (u64, u64), triggered: u64) -> Began {
        let state = self.store.data_mut();
        state.lifecycle_clock = clock;
        let began = state.tape_begins(asked, triggered);
        state.lifecycle_clock = (began.now_us, began.wall_ms);
        began
    }

    /// Readies the store for a call that may use `allowed` of CPU time.
    fn enter(&mut self, allowed: Duration) -> Result<(), wasmtime::Error> {
        if !std::mem::replace(&mut self.sound, false) {
            return Err(Stop::Ended.into());
        }
        self.store.set_epoch_deadline(1);
        if self.fuel.is_some() {
            self.store.set_fuel(fuel::of(allowed))?;
        }
        let state = self.store.data_mut();
        state.meter.reset();
        state.budget.start(allowed);
        Ok(())
    }

    /// A call with `call`'s views, within the deadline of a decision.
    pub(super) fn decide<R>(
        &mut self,
        call: &Call<'_>,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.run(self.deadline, |guests, store| {
            views::with(store, call, |store| ask(guests, store))
        })
    }

    /// A call without views, off the request's path.
    pub(super) fn lifecycle<R>(
        &mut self,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.timed(self.init_deadline, ask)
    }

    /// A call without views, whose clock is the decisions'.
    pub(super) fn timed<R>(
        &mut self,
        allowed: Duration,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        let moment = self.moment();
        let state = self.store.data_mut();
        if state.tape.is_off() {
            state.lifecycle_clock = moment;
        }
        self.run(allowed, ask)
    }

    fn run<R>(
        &mut self,
        allowed: Duration,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.enter(allowed).map_err(|error| classify(&error))?;
        let inside = self.ticker.enter(&self.running);
        let Some(guests) = &self.guests else {
            return Err(Fault::Ended);
        };
        let answer = ask(guests, &mut self.store);
        drop(inside);
        if let Some(fuel) = &self.fuel {
            fuel.spent(fuel::of(allowed).saturating_sub(self.store.get_fuel().unwrap_or(0)));
        }
        self.store.data_mut().settle();
        match answer {
            Ok(answer) => {
                self.sound = true;
                Ok(answer)
            }
            Err(error) if fuel::is_out(&error) => Err(Fault::Deadline(allowed)),
            Err(error) => Err(classify(&error)),
        }
    }
}
