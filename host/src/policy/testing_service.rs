//! How tests of `policy` put native policies into service.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Background, Binding, BindingParts, Environment, Job, Post, Role, testing::Native};
use crate::{
    members::{Clock, Pool, locked},
    recording::Source,
    snapshot::{OnError, PolicyLimits},
};

/// Runs what is due at once, and keeps other jobs until a test runs them.
#[derive(Default)]
pub(super) struct Later {
    jobs: Mutex<Vec<(Duration, Job)>>,
}

impl Background for Later {
    fn after(&self, delay: Duration, job: Job) {
        match delay.is_zero() {
            true => job(),
            false => locked(&self.jobs).push((delay, job)),
        }
    }
}

impl Later {
    /// Runs what is waiting now, but for looks after instances; returns the delays it was given.
    pub fn run(&self) -> Vec<Duration> {
        self.run_those(|delay| !LOOKS.contains(delay))
    }

    /// Looks after instances; returns the delays.
    pub fn look(&self) -> Vec<Duration> {
        self.run_those(|delay| LOOKS.contains(delay))
    }

    fn run_those(&self, which: impl Fn(&Duration) -> bool) -> Vec<Duration> {
        let jobs = std::mem::take(&mut *locked(&self.jobs));
        let (run, keep): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|(delay, _)| which(delay));
        locked(&self.jobs).extend(keep);
        let run = run.into_iter().map(|(delay, job)| {
            job();
            delay
        });
        run.collect()
    }
}

/// For instances without and with a state to save.
const LOOKS: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(10)];

pub(super) fn limits() -> PolicyLimits {
    PolicyLimits {
        deadline: Duration::from_millis(5),
        init_deadline: Duration::from_secs(1),
        memory: 32 << 20,
        module_size: 32 << 20,
        compile_time: Duration::from_secs(5),
        compile_memory: 512 << 20,
        log_bytes: 16 << 10,
        failures: 3,
        failure_window: Duration::from_secs(60),
        quarantine: Duration::from_secs(30),
        ..PolicyLimits::default()
    }
}

/// What a binding of `native` is made of.
pub(super) fn parts(native: &Native, pool: Option<&Arc<Pool>>, later: &Arc<Later>) -> BindingParts {
    BindingParts {
        policy: native.name.into(),
        module: Arc::new(native.clone()),
        config: "{}".into(),
        binding: "test/cluster".into(),
        environment: Environment {
            tenant: "test".into(),
            policy: native.name.into(),
            limits: limits(),
            seed: 1,
            clock: pool.map_or_else(Clock::start, |pool| pool.clock()),
            tape: Source::None,
        },
        allowance: None,
        role: Role::Serving,
        recordings: None,
        on_error: OnError::BuiltIn,
        pool: pool.cloned(),
        workers: 2,
        clock: pool.map_or_else(Clock::start, |pool| pool.clock()),
        background: Arc::clone(later) as Arc<dyn Background>,
    }
}

/// A native policy in service on a pool.
pub(super) fn bound(native: &Native, pool: &Arc<Pool>) -> Arc<Binding> {
    in_service(parts(native, Some(pool), &Arc::default()), None)
}

/// In service with all instances made, as after some calls.
pub(super) fn in_service(parts: BindingParts, predecessor: Option<&Arc<Binding>>) -> Arc<Binding> {
    let binding = asleep(parts, predecessor);
    (0..binding.slots.len()).for_each(|slot| binding.make(slot));
    binding
}

/// In service as it is before the first call.
pub(super) fn asleep(parts: BindingParts, predecessor: Option<&Arc<Binding>>) -> Arc<Binding> {
    let binding = Binding::prepare(parts).unwrap();
    binding.enter_service(predecessor).unwrap();
    binding
}

/// At work without candidates.
pub(super) fn post(binding: &Arc<Binding>) -> Post {
    Arc::clone(binding).into()
}
