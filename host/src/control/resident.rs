//! One tenant as the writer knows it: what of it is in service, and what its files looked like.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{error, info, warn};

use super::{
    Cause, Failure, TenantFacts, TenantState, Trouble,
    seen::Seen,
    trail::{TenantWatched, Trail},
};
use crate::{
    config::{self, LoadedTenant, TenantPart},
    members::Clock,
    snapshot::{Quota, Snapshot, TenantName},
    telemetry::timestamp,
};

/// A tenant whose policies take this long to be tried holds nobody up.
const NOTICED: Duration = Duration::from_millis(50);

/// One that takes longer waits so many times longer before its next change is looked at: it has a
/// tenth of the time at most, however often it changes its files.
const REST: u32 = 9;

/// Problems of one change that are logged: the log is everybody's.
const TOLD: usize = 20;

/// Bytes of them that the status tells.
const SHOWN: usize = 16 << 10;

/// One tenant. Default: nothing is known of it yet.
#[derive(Debug, Default)]
pub(super) struct Resident {
    /// In service.
    part: Option<Arc<TenantPart>>,
    /// How everything looked that was read last.
    seen: Vec<(PathBuf, Seen)>,
    /// What is on disk is right in itself but not in service: what somebody else does may mend it.
    waits: bool,
    /// It waits for a policy that is being loaded.
    loads: bool,
    /// It has held up the others and is not looked at before this.
    rests: Option<Instant>,
    trouble: Option<Trouble>,
    /// Why it cannot get back what it served last.
    unrecalled: Option<String>,
    /// Nobody was told yet what becomes of it, now that it was refused.
    untold: bool,
}

impl Resident {
    /// What of it is in service.
    pub fn part(&self) -> Option<&Arc<TenantPart>> {
        self.part.as_ref()
    }

    /// What it is made of, as far as that was looked at, and what of it is in service.
    pub fn watched(&self, folder: PathBuf, quota: &Quota) -> TenantWatched {
        let seen = self.seen.iter().map(|(path, _)| path.clone());
        let served = self.part.iter().flat_map(|part| named(part));
        TenantWatched {
            folder,
            files: served.chain(seen).collect(),
            most: quota.folders,
        }
    }

    /// Whether its files may say something else than when they were read last.
    pub fn may_have_changed(&self) -> bool {
        let same = |(path, seen): &(PathBuf, Seen)| seen.is_same(path);
        self.waits || self.seen.is_empty() || !self.seen.iter().all(same)
    }

    /// Everybody's changes waited for so long while its policies were tried.
    pub fn held_up(&mut self, now: Instant, spent: Duration) {
        if spent > NOTICED {
            self.rests = Some(now + spent * REST);
        }
    }

    /// When it is looked at again, where it has held up the others for too long.
    pub fn rests(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.rests = self.rests.filter(|until| now < *until);
        self.rests
    }

    /// How its folder and its files look, now that they are about to be read.
    pub fn look(&mut self, folder: PathBuf) {
        let files = config::tenant_files(&folder).unwrap_or_default();
        self.seen.clear();
        self.seen_too(std::iter::once(folder).chain(files));
    }

    /// Likewise, of what they name.
    pub fn seen_too(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        for path in files {
            let seen = Seen::look(&path);
            self.seen.push((path, seen));
        }
    }

    /// These were read. What nobody looked at before is looked at the next time.
    pub fn read(&mut self, files: &[PathBuf]) {
        let unseen = |path: &&PathBuf| !self.seen.iter().any(|(seen, _)| seen == *path);
        let unseen: Vec<_> = files.iter().filter(unseen).cloned().collect();
        self.seen
            .extend(unseen.into_iter().map(|path| (path, Seen::never())));
    }

    /// A policy of it is being loaded: there is nothing wrong, and it is not over.
    pub fn waits(&mut self) {
        self.waits = true;
        self.loads = true;
    }

    /// It is in service.
    pub fn entered(&mut self, part: Arc<TenantPart>) {
        info!(tenant = %part.name, "Tenant's configuration is in service");
        self.serve(part);
        self.trouble = None;
    }

    /// What it served last is in service; what is on disk is not.
    pub fn recalled(&mut self, part: Arc<TenantPart>, at_ms: u64) {
        let (tenant, since) = (&part.name, timestamp(at_ms));
        let why = self.trouble.as_ref().map_or("", |trouble| &trouble.what);
        warn!(%tenant, %since, why, "The tenant serves its last good configuration");
        self.serve(part);
    }

    fn serve(&mut self, part: Arc<TenantPart>) {
        self.part = Some(part);
        self.waits = false;
        self.loads = false;
        self.untold = false;
        self.unrecalled = None;
    }

    /// It cannot get back what it served last. Told once.
    pub fn not_recalled(&mut self, tenant: &TenantName, file: &Path, why: &str) {
        self.loads = false;
        if self.unrecalled.as_deref() != Some(why) {
            let file = file.display();
            error!(%tenant, %file, why, "The tenant's last good configuration cannot be used");
            self.unrecalled = Some(why.to_owned());
        }
    }

    /// Says once that nothing of it is in service and nothing will be by itself.
    pub fn tell_left_out(&mut self, tenant: &TenantName) {
        if self.untold && self.part.is_none() && !self.loads {
            self.untold = false;
            error!(%tenant, "The tenant is left out");
        }
    }

    /// Nothing of it is in service any longer.
    pub fn left(&mut self) {
        if let Some(part) = self.part.take() {
            info!(tenant = %part.name, "Tenant is no longer in service");
        }
    }

    /// What is on disk is what is in service.
    pub fn unchanged(&mut self, tenant: &TenantName) {
        if self.trouble.take().is_some() {
            info!(%tenant, "The tenant's configuration on disk is the one in service again");
        }
        self.waits = false;
        self.loads = false;
    }

    /// What is on disk is not taken. The same twice in a row is told once, unless somebody asks.
    pub fn refuse(&mut self, tenant: &TenantName, failure: &Failure, cause: Cause) -> String {
        self.waits = matches!(failure, Failure::Claim(_) | Failure::Surroundings(_));
        self.loads = false;
        let what = shortened(failure);
        if cause == Cause::Signal || self.trouble.as_ref().is_none_or(|t| t.what != what) {
            let lines = failure.worst_first();
            for line in lines.lines().take(TOLD) {
                error!(%tenant, "{line}");
            }
            if let more @ 1.. = lines.lines().count().saturating_sub(TOLD) {
                error!(%tenant, more, "There are more problems; `switchyard check` tells all of them");
            }
            if self.part.is_some() {
                error!(%tenant, "The tenant's new configuration is refused; the one in service stays");
            } else {
                self.untold = true;
            }
            self.trouble = Some(Trouble {
                at_ms: Clock::wall_ms(),
                what: what.clone(),
            });
        }
        what
    }

    /// What was hardly meant.
    pub fn warn(tenant: &TenantName, loaded: &LoadedTenant) {
        let lines = loaded.lines();
        for warning in lines.lines().take(TOLD) {
            warn!(%tenant, "{warning}");
        }
        if let more @ 1.. = lines.lines().count().saturating_sub(TOLD) {
            warn!(%tenant, more, "There are more warnings; `switchyard check` tells all of them");
        }
    }

    fn state(&self) -> TenantState {
        match (&self.part, &self.trouble) {
            (Some(_), None) => TenantState::Serving,
            (Some(_), Some(_)) => TenantState::LastGood,
            (None, _) if self.loads => TenantState::Compiling,
            (None, _) => TenantState::LeftOut,
        }
    }

    /// For `switchyard status`.
    pub fn facts(&self, tenant: &TenantName, operator: &Snapshot) -> TenantFacts {
        let dir = operator.tenancy.dir.as_deref();
        TenantFacts {
            name: tenant.clone(),
            folder: dir.map(|dir| dir.join(tenant.as_str())).unwrap_or_default(),
            state: self.state(),
            last_error: self.trouble.clone(),
            unrecalled: self.unrecalled.clone(),
        }
    }
}

/// Every file that it names.
fn named(part: &TenantPart) -> impl Iterator<Item = PathBuf> {
    let sources = part.policies.values().map(|policy| &policy.source);
    part.files.iter().chain(sources).cloned()
}

/// Refuses what would have more folders watched than the tenant may have.
pub fn within_folders(part: &TenantPart) -> Result<(), Failure> {
    let most = part.tenant.quota.folders;
    let watched = TenantWatched {
        folder: part.tenant.folder.to_path_buf(),
        files: named(part).collect(),
        most,
    };
    match Trail::default().follow_tenant(&watched) {
        true => Ok(()),
        false => Err(Failure::Folders { most }),
    }
}

/// As much of it as the status tells.
fn shortened(failure: &Failure) -> String {
    let drawn = failure.to_string();
    if drawn.len() <= SHOWN {
        return drawn;
    }
    let lines = failure.worst_first();
    format!("{}…", &lines[..lines.floor_char_boundary(SHOWN)])
}
