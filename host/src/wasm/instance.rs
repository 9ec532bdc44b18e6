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
    decision::{
        Call, Context, Descriptor, Edit, Hold, Member, Outcome, Problem, RequestPlan, ResponsePlan,
        Verdict,
    },
    members::Clock,
    policy::{Digest, Environment, Fault, Instance},
};

/// What `save` may use: whoever wants a decision meanwhile waits.
const SAVING: Duration = Duration::from_millis(10);

/// A store with its guest. Owned by one caller at a time; leaves nothing behind when dropped.
pub(super) struct WasmInstance {
    store: Store<State>,
    guests: Option<Guests>,
    body: Option<ResourceAny>,
    ticker: Arc<Ticker>,
    running: Arc<Running>,
    clock: Clock,
    fuel: Option<Arc<Fuel>>,
    deadline: Duration,
    init_deadline: Duration,
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
        self.store.data_mut().lifecycle_clock = (self.clock.now(), self.clock.calendar_ms());
        self.enter(self.init_deadline)?;
        let running = self.running.clone();
        let inside = self.ticker.enter(&running);
        let started = start(&mut self.store);
        drop(inside);
        self.store.data_mut().settle();
        self.guests = Some(started?);
        self.sound = true;
        Ok(())
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
        let context = convert::context(context);
        self.lifecycle(|guests, store| {
            Ok(guests
                .lifecycle
                .call_init(store, config, &context)?
                .map_err(convert::problems))
        })
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
    fn decide<R>(
        &mut self,
        call: &Call<'_>,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.run(self.deadline, |guests, store| {
            views::with(store, call, |store| ask(guests, store))
        })
    }

    /// A call without views, off the request's path.
    fn lifecycle<R>(
        &mut self,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.timed(self.init_deadline, ask)
    }

    /// A call without views, whose clock is the decisions'.
    fn timed<R>(
        &mut self,
        allowed: Duration,
        ask: impl FnOnce(&Guests, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.store.data_mut().lifecycle_clock = (self.clock.now(), self.clock.calendar_ms());
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

/// An interface that `policy` has seen in `Exports`; asking without is a fault of
/// the instance and not a panic.
fn exported<'a, G>(guest: &'a Option<G>, interface: &'static str) -> Result<&'a G, Stop> {
    guest.as_ref().ok_or(Stop::Absent {
        interface,
        why: "the policy does not export it",
    })
}

impl Instance for WasmInstance {
    fn memory(&self) -> usize {
        self.store.data().limiter.taken()
    }

    fn members_changed(&mut self, revision: u64, members: &[Member]) -> Result<(), Fault> {
        let members: Vec<_> = members.iter().map(convert::member).collect();
        self.lifecycle(|guests, store| {
            exported(&guests.membership, "membership")?
                .call_members_changed(store, revision, &members)
        })
    }

    fn pick(&mut self, call: &Call<'_>, attempt: u32, state: u64) -> Result<Verdict, Fault> {
        self.decide(call, |guests, store| {
            Ok(exported(&guests.balancer, "balancer")?
                .call_pick(store, attempt, state)?
                .into())
        })
    }

    fn locate(&mut self, call: &Call<'_>) -> Result<Option<Hold>, Fault> {
        self.decide(call, |guests, store| {
            Ok(exported(&guests.affinity, "affinity")?
                .call_locate(store)?
                .map(Hold::from))
        })
    }

    fn bind(&mut self, call: &Call<'_>) -> Result<Vec<Edit>, Fault> {
        self.decide(call, |guests, store| {
            Ok(convert::edits(
                exported(&guests.affinity, "affinity")?.call_bind(store)?,
            )?)
        })
    }

    fn on_request(&mut self, call: &Call<'_>) -> Result<RequestPlan, Fault> {
        self.decide(call, |guests, store| {
            Ok(convert::request_plan(
                exported(&guests.rewriter, "rewriter")?.call_on_request(store)?,
            )?)
        })
    }

    fn on_response(&mut self, call: &Call<'_>) -> Result<ResponsePlan, Fault> {
        self.decide(call, |guests, store| {
            Ok(convert::response_plan(
                exported(&guests.rewriter, "rewriter")?.call_on_response(store)?,
            )?)
        })
    }

    fn completed(&mut self, batch: &[Outcome]) -> Result<(), Fault> {
        let batch: Vec<_> = batch.iter().map(convert::outcome).collect();
        self.timed(self.deadline, |guests, store| {
            exported(&guests.observer, "observer")?.call_completed(store, &batch)
        })
    }

    fn tick(&mut self) -> Result<(), Fault> {
        self.timed(self.deadline, |guests, store| {
            exported(&guests.ticker, "ticker")?.call_tick(store)
        })
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.timed(self.init_deadline.min(SAVING), |guests, store| {
            exported(&guests.handoff, "handoff")?.call_save(store)
        })
    }

    fn restore(
        &mut self,
        previous: &Digest,
        states: &[Vec<u8>],
    ) -> Result<Result<(), String>, Fault> {
        let previous = previous.to_string();
        self.lifecycle(|guests, store| {
            exported(&guests.handoff, "handoff")?.call_restore(store, &previous, states)
        })
    }

    fn open_body(&mut self, seed: &[u8]) -> Result<(), Fault> {
        let body = self.timed(self.deadline, |guests, store| {
            exported(&guests.transformer, "transformer")?
                .body()
                .call_constructor(store, seed)
        })?;
        self.body = Some(body);
        Ok(())
    }

    fn write_body(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault> {
        let body = self.body;
        self.timed(self.deadline, |guests, store| {
            let body = *exported(&body, "transformer.body")?;
            exported(&guests.transformer, "transformer")?
                .body()
                .call_write(store, body, chunk)
        })
    }

    fn finish_body(&mut self) -> Result<Vec<u8>, Fault> {
        let body = self.body.take();
        self.timed(self.deadline, |guests, store| {
            let body = *exported(&body, "transformer.body")?;
            let rest = exported(&guests.transformer, "transformer")?
                .body()
                .call_finish(&mut *store, body)?;
            // Runs the guest's destructor.
            body.resource_drop(store)?;
            Ok(rest)
        })
    }
}
