//! A thread of its own for every tenant, while there is something to do for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use super::background::{Background, BackgroundThread, Job, LINGER, NICE, Owner};
use crate::members::locked;

/// Gives every tenant a thread of its own, so that whoever is slow holds up nobody else.
pub trait Lanes: Send + Sync {
    /// The tenant's.
    fn lane(&self, tenant: &str) -> Arc<dyn Background>;
}

/// Lanes that are threads, each there only while it has something to do.
pub struct TenantThreads {
    /// Holds what is due much later, for all of them.
    later: Arc<BackgroundThread>,
    lanes: Mutex<HashMap<Arc<str>, Weak<Lane>>>,
}

impl Default for TenantThreads {
    fn default() -> Self {
        Self {
            later: BackgroundThread::on_demand("policy later", 0),
            lanes: Mutex::default(),
        }
    }
}

/// One tenant's. A job that is due much later keeps no thread of the tenant's waiting.
struct Lane {
    thread: Arc<BackgroundThread>,
    later: Arc<BackgroundThread>,
}

impl Background for Lane {
    fn after(&self, delay: Duration, job: Job) {
        if delay <= LINGER {
            return self.thread.after(delay, job);
        }
        self.later.after(delay, self.forward(job));
    }

    fn after_for(&self, owner: Owner, delay: Duration, job: Job) {
        if delay <= LINGER {
            return self.thread.after_for(owner, delay, job);
        }
        self.later.after_for(owner, delay, self.forward(job));
    }
}

impl Lane {
    fn forward(&self, job: Job) -> Job {
        let thread = Arc::downgrade(&self.thread);
        Box::new(move || {
            // Gone with the tenant: what is not due by then is not run.
            if let Some(thread) = thread.upgrade() {
                thread.after(Duration::ZERO, job);
            }
        })
    }
}

impl Lanes for TenantThreads {
    fn lane(&self, tenant: &str) -> Arc<dyn Background> {
        let mut lanes = locked(&self.lanes);
        if let Some(lane) = lanes.get(tenant).and_then(Weak::upgrade) {
            return lane;
        }
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Lane {
            thread: BackgroundThread::on_demand(&format!("policy {tenant}"), NICE),
            later: Arc::clone(&self.later),
        });
        lanes.insert(tenant.into(), Arc::downgrade(&lane));
        lane
    }
}

impl fmt::Debug for TenantThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantThreads").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_one_lane_while_somebody_uses_it() {
        let lanes = TenantThreads::default();
        let address = |lane: &Arc<dyn Background>| Arc::as_ptr(lane).addr();
        let (one, same, other) = (lanes.lane("a"), lanes.lane("a"), lanes.lane("b"));
        assert_eq!(address(&one), address(&same));
        assert_ne!(address(&one), address(&other));
        drop((one, same));
        drop(lanes.lane("c"));
        assert!(!locked(&lanes.lanes).contains_key("a"));
    }
}
