//! The policy under test, with every call written down.
//!
//! A binding turns a fault into a fallback and tells its operator. An author wants
//! to know which call it was, and what calls cost.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{
    decision::{
        Call, Context, Descriptor, Edit, Hold, Member, Outcome, RequestPlan, ResponsePlan, Verdict,
    },
    members::locked,
    policy::{Digest, Environment, Exports, Fault, Instance, Module, Refusal},
    wasm::Fuel,
};

/// What the calls of a policy cost, and which of them failed.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    fuel: Arc<Fuel>,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    costs: BTreeMap<&'static str, Vec<u64>>,
    faults: Vec<(&'static str, Fault)>,
}

impl Ledger {
    /// Empty; `fuel` tells what the latest call cost.
    pub fn new(fuel: Arc<Fuel>) -> Arc<Self> {
        Arc::new(Self {
            fuel,
            written: Mutex::default(),
        })
    }

    /// How many calls failed so far.
    pub fn faults(&self) -> usize {
        locked(&self.written).faults.len()
    }

    /// The call that failed first, counted from `since`.
    pub fn fault(&self, since: usize) -> Option<(&'static str, Fault)> {
        locked(&self.written).faults.get(since).cloned()
    }

    /// How many calls of each hook there were so far.
    pub fn marks(&self) -> BTreeMap<&'static str, usize> {
        let written = locked(&self.written);
        written
            .costs
            .iter()
            .map(|(hook, costs)| (*hook, costs.len()))
            .collect()
    }

    /// The dearest decision since then, and its hook.
    pub fn dearest(&self, since: &BTreeMap<&'static str, usize>) -> Option<(&'static str, u64)> {
        let written = locked(&self.written);
        let dearest = written.costs.iter().filter_map(|(hook, costs)| {
            let new = costs.get(since.get(hook).copied().unwrap_or(0)..)?;
            Some((*hook, *new.iter().max()?))
        });
        dearest.max_by_key(|(_, cost)| *cost)
    }

    /// Every hook that was called, with what its calls cost, the cheapest first.
    pub fn costs(&self) -> Vec<(&'static str, Vec<u64>)> {
        let written = locked(&self.written);
        let mut all: Vec<_> = written.costs.clone().into_iter().collect();
        all.iter_mut().for_each(|(_, costs)| costs.sort_unstable());
        all
    }

    fn write<T>(&self, hook: &'static str, result: &Result<T, Fault>) {
        let cost = self.fuel.last();
        let mut written = locked(&self.written);
        written.costs.entry(hook).or_default().push(cost);
        if let Err(fault) = result {
            written.faults.push((hook, fault.clone()));
        }
    }
}

/// A module whose instances are watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub module: Arc<dyn Module>,
    pub ledger: Arc<Ledger>,
}

impl Module for Watched {
    fn digest(&self) -> Digest {
        self.module.digest()
    }

    fn size(&self) -> usize {
        self.module.size()
    }

    fn exports(&self) -> Exports {
        self.module.exports()
    }

    fn apart(&self) -> Arc<dyn Module> {
        self.module.apart()
    }

    fn describe(&self, config: &str, environment: &Environment) -> Result<Descriptor, Refusal> {
        self.module.describe(config, environment)
    }

    fn instantiate(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        let instance = self.module.instantiate(config, context, environment)?;
        let ledger = Arc::clone(&self.ledger);
        Ok(Box::new(Noted { instance, ledger }))
    }

    /// What it is tried with before it decides is no part of the scenario.
    fn instantiate_apart(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        self.module.instantiate_apart(config, context, environment)
    }
}

struct Noted {
    instance: Box<dyn Instance>,
    ledger: Arc<Ledger>,
}

impl Noted {
    fn note<T>(
        &mut self,
        hook: &'static str,
        ask: impl FnOnce(&mut dyn Instance) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let result = ask(self.instance.as_mut());
        self.ledger.write(hook, &result);
        result
    }
}

impl Instance for Noted {
    fn members_changed(&mut self, revision: u64, members: &[Member]) -> Result<(), Fault> {
        self.note("members-changed", |i| i.members_changed(revision, members))
    }

    fn pick(&mut self, call: &Call<'_>, attempt: u32, state: u64) -> Result<Verdict, Fault> {
        self.note("pick", |i| i.pick(call, attempt, state))
    }

    fn locate(&mut self, call: &Call<'_>) -> Result<Option<Hold>, Fault> {
        self.note("locate", |i| i.locate(call))
    }

    fn bind(&mut self, call: &Call<'_>) -> Result<Vec<Edit>, Fault> {
        self.note("bind", |i| i.bind(call))
    }

    fn on_request(&mut self, call: &Call<'_>) -> Result<RequestPlan, Fault> {
        self.note("on-request", |i| i.on_request(call))
    }

    fn on_response(&mut self, call: &Call<'_>) -> Result<ResponsePlan, Fault> {
        self.note("on-response", |i| i.on_response(call))
    }

    fn completed(&mut self, batch: &[Outcome]) -> Result<(), Fault> {
        self.note("completed", |i| i.completed(batch))
    }

    fn tick(&mut self) -> Result<(), Fault> {
        self.note("tick", |i| i.tick())
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.note("save", |i| i.save())
    }

    fn restore(
        &mut self,
        previous: &Digest,
        states: &[Vec<u8>],
    ) -> Result<Result<(), String>, Fault> {
        self.note("restore", |i| i.restore(previous, states))
    }

    fn open_body(&mut self, seed: &[u8]) -> Result<(), Fault> {
        self.note("body", |i| i.open_body(seed))
    }

    fn write_body(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault> {
        self.note("body.write", |i| i.write_body(chunk))
    }

    fn finish_body(&mut self) -> Result<Vec<u8>, Fault> {
        self.note("body.finish", |i| i.finish_body())
    }
}
