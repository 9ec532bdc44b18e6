//! How tests of `policy` put native policies into service.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Background, Binding, BindingParts, Environment, Job, testing::Native};
use crate::{
    members::{Clock, Pool, locked},
    snapshot::{OnError, PolicyLimits},
};

/// Keeps jobs until a test runs them.
#[derive(Default)]
pub(super) struct Later {
    jobs: Mutex<Vec<(Duration, Job)>>,
}

impl Background for Later {
    fn after(&self, delay: Duration, job: Job) {
        locked(&self.jobs).push((delay, job));
    }
}

impl Later {
    /// Runs what is waiting now; returns the delays it was given.
    pub fn run(&self) -> Vec<Duration> {
        let jobs = std::mem::take(&mut *locked(&self.jobs));
        let run = |(delay, job): (Duration, Job)| {
            job();
            delay
        };
        jobs.into_iter().map(run).collect()
    }
}

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
        },
        allowance: None,
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

pub(super) fn in_service(parts: BindingParts, predecessor: Option<&Arc<Binding>>) -> Arc<Binding> {
    let binding = Binding::prepare(parts).unwrap();
    binding.enter_service(predecessor).unwrap();
    binding
}
