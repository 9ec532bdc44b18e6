//! A compiled policy: checked against the contract, ready to be instantiated.

use std::{fmt, sync::Arc, time::Duration};

use wasmtime::component::{Component, InstancePre, Linker};

use super::{
    check,
    engine::PolicyEngine,
    fault::classify,
    guests::Probed,
    instance::WasmInstance,
    services::{Binding, Seat, Services},
    state::State,
    wasi,
};
use crate::{
    decision::{Context, Descriptor},
    policy::{Digest, Environment, Exports, Fault, Instance, Module, Refusal},
    recording::{self, Source, Tape},
    snapshot::PolicyLimits,
};

/// Code of one policy, shared by all its instances.
#[derive(Clone)]
pub(super) struct WasmModule {
    engine: PolicyEngine,
    services: Arc<Services>,
    pre: InstancePre<State>,
    probed: Probed,
    digest: Digest,
    size: usize,
    /// One of the host's own, without a bound on its instances.
    built_in: bool,
}

impl fmt::Debug for WasmModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmModule")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl WasmModule {
    /// Links and probes, and tries one instance, since only that shows whether
    /// the functions' types are the contract's.
    pub(super) fn new(
        engine: PolicyEngine,
        services: Arc<Services>,
        linker: &Linker<State>,
        component: &Component,
        (digest, size): (Digest, usize),
        built_in: bool,
        limits: &PolicyLimits,
    ) -> Result<Self, Refusal> {
        check::contract(&engine.engine, component)?;
        let with_system = wasi::link(linker, &engine.engine, component)
            .map_err(|error| check::mismatch(&error))?;
        let pre = with_system
            .as_ref()
            .unwrap_or(linker)
            .instantiate_pre(component)
            .map_err(|error| check::mismatch(&error))?;
        let probed = Probed::new(component, &pre).map_err(|error| check::mismatch(&error))?;
        let module = Self {
            engine,
            services,
            pre,
            probed,
            digest,
            size,
            built_in,
        };
        let environment = Environment {
            tenant: "".into(),
            policy: "".into(),
            limits: limits.clone(),
            seed: 0,
            clock: Default::default(),
            tape: Source::None,
        };
        // A binding of its own: what a start function counts or stores is nobody's.
        let binding = Services::default().bind(&environment, digest, None);
        module.start(&environment, binding, 0, (None, Tape::Off))?;
        Ok(module)
    }

    fn start(
        &self,
        environment: &Environment,
        binding: Arc<Binding>,
        replica: u32,
        (seat, tape): (Option<Seat>, Tape),
    ) -> Result<WasmInstance, Refusal> {
        let mut instance = WasmInstance::empty(&self.engine, environment, binding, replica);
        instance.occupy(seat);
        instance.tape(tape);
        let mut typed = true;
        let started = instance.start(|store| {
            let instance = self.pre.instantiate(&mut *store)?;
            self.probed
                .load(store, &instance)
                .inspect_err(|_| typed = false)
        });
        match started {
            Ok(()) => Ok(instance),
            Err(error) if !typed => Err(check::mismatch(&error)),
            Err(error) => Err(Refusal::Faulted {
                during: "instantiation",
                fault: classify(&error),
            }),
        }
    }

    /// Room for one more instance, whatever it shares.
    fn seat(&self, environment: &Environment) -> Result<Option<Seat>, Refusal> {
        if self.built_in {
            return Ok(None);
        }
        let most = environment.limits.instances;
        let seat = self.services.seat(environment, most);
        seat.map(Some).ok_or(Refusal::Faulted {
            during: "instantiation",
            fault: Fault::HostLimit("instances at one time"),
        })
    }

    /// A fresh instance that shares what `services` have for its binding, `init` done.
    fn instance(
        &self,
        services: &Services,
        config: &str,
        context: &Context,
        environment: &Environment,
        tape: Tape,
    ) -> Result<Box<dyn Instance>, Refusal> {
        let binding = services.bind(environment, self.digest, Some(&context.binding));
        let held = (self.seat(environment)?, tape);
        let mut instance = self.start(environment, binding, context.replica, held)?;
        let answer = instance.init(config, context);
        answer
            .map_err(|fault| Refusal::Faulted {
                during: "init",
                fault,
            })?
            .map_err(Refusal::Config)?;
        Ok(Box::new(instance))
    }
}

/// What is recorded is in service; what stands apart may be a replay.
fn replayed(tape: &Source) -> Tape {
    match tape {
        Source::Replay(script) => Tape::Replay(Arc::clone(script)),
        Source::None | Source::Record(_) => Tape::Off,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Module for WasmModule {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn size(&self) -> usize {
        self.size
    }

    fn exports(&self) -> Exports {
        self.probed.exports()
    }

    fn apart(&self) -> Arc<dyn Module> {
        Arc::new(Self {
            services: self.services.fork(),
            ..self.clone()
        })
    }

    fn describe(&self, config: &str, environment: &Environment) -> Result<Descriptor, Refusal> {
        let binding = self.services.bind(environment, self.digest, None);
        let held = (self.seat(environment)?, Tape::Off);
        let mut instance = self.start(environment, binding, 0, held)?;
        let answer = instance.describe(config);
        answer
            .map_err(|fault| Refusal::Faulted {
                during: "describe",
                fault,
            })?
            .map_err(Refusal::Config)
    }

    fn instantiate(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        let limits = &environment.limits;
        let about = recording::Instance {
            digest: self.digest.to_string(),
            config,
            context,
            deadline_us: micros(limits.deadline),
            init_deadline_us: micros(limits.init_deadline),
            memory: limits.memory as u64,
        };
        let tape = match &environment.tape {
            Source::Record(recording) => recording.begin(&about).unwrap_or_default(),
            other => replayed(other),
        };
        self.instance(&self.services, config, context, environment, tape)
    }

    fn instantiate_apart(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        let tape = replayed(&environment.tape);
        self.instance(&self.services.fork(), config, context, environment, tape)
    }
}
