//! All recorders, across reloads.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::{Recorder, RecorderStatus};
use crate::snapshot::Record;

/// Finds the recorder of a policy. One whose settings a reload leaves as they are goes on.
#[derive(Debug, Default)]
pub struct Recorders {
    /// By file: no two policies write to one.
    open: Mutex<BTreeMap<PathBuf, Open>>,
}

#[derive(Debug)]
struct Open {
    tenant: String,
    policy: String,
    recorder: Weak<Recorder>,
}

impl Recorders {
    /// The recorder with these settings; started where there is none.
    pub fn open(&self, tenant: &str, policy: &str, settings: &Record) -> io::Result<Arc<Recorder>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, open| open.recorder.strong_count() > 0);
        let found = open.get(&settings.path).and_then(|o| o.recorder.upgrade());
        match found {
            Some(recorder) if recorder.settings() == settings => return Ok(recorder),
            // Its versions may stay warm for long, and two must not put each other's files aside.
            Some(other) => other.close(),
            None => {}
        }
        let recorder = Recorder::start(tenant, policy, settings.clone())?;
        let entry = Open {
            tenant: tenant.to_owned(),
            policy: policy.to_owned(),
            recorder: Arc::downgrade(&recorder),
        };
        open.insert(settings.path.clone(), entry);
        Ok(recorder)
    }

    /// The process ends: waits until what was recorded is in its files.
    pub fn finish(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = open.values().filter_map(|open| open.recorder.upgrade());
        alive.for_each(|recorder| recorder.finish());
    }

    /// Tenant, policy and what its recorder has done, for each that is in service.
    pub fn status(&self) -> Vec<(String, String, RecorderStatus)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let each = open.values().filter_map(|open| {
            let status = open.recorder.upgrade()?.status();
            Some((open.tenant.clone(), open.policy.clone(), status))
        });
        each.collect()
    }
}
