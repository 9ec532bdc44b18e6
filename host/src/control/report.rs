//! What the writer tells: the log, the status, and what to watch.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::error;

use super::{Cause, ControlFacts, Failure, Trouble, Writer, tracked::Tracked, trail::Watched};
use crate::{
    members::Clock,
    snapshot::{Snapshot, TenantName},
};

impl Writer {
    /// The same trouble twice in a row is told once, unless somebody asks.
    pub(super) fn refuse(&mut self, failure: &Failure, cause: Cause) -> String {
        let what = failure.to_string();
        if cause == Cause::Signal || self.trouble.as_ref().is_none_or(|t| t.what != what) {
            for line in failure.lines().lines() {
                error!("{line}");
            }
            error!(config = %self.setup.path.display(), "The new configuration is refused; the one in service stays");
            self.trouble = Some(Trouble {
                at_ms: Clock::wall_ms(),
                what: what.clone(),
            });
        }
        what
    }

    pub(super) fn refuse_tenant(
        &mut self,
        tenant: &TenantName,
        failure: &Failure,
        cause: Cause,
    ) -> String {
        let resident = self.residents.entry(tenant.clone()).or_default();
        resident.refuse(tenant, failure, cause)
    }

    /// About the folder that holds the tenants' own; told once.
    pub(super) fn folder_is(&mut self, what: Option<String>) {
        let said = self.folder_trouble.as_ref().map(|trouble| &trouble.what);
        if said == what.as_ref() {
            return;
        }
        if let Some(what) = &what {
            error!("{what}; the tenants in service stay");
        }
        self.folder_trouble = what.map(|what| Trouble {
            at_ms: Clock::wall_ms(),
            what,
        });
    }

    /// Publishes facts and what to watch.
    pub(super) fn tell(&mut self) {
        let live = self.current.load();
        let residents = self.residents.iter();
        let facts = Arc::new(ControlFacts {
            generation: live.number,
            loaded_at_ms: live.loaded_at_ms,
            config: self.setup.path.clone(),
            last_error: self.trouble.clone(),
            tenants_error: self.folder_trouble.clone(),
            tenants: residents
                .map(|(name, resident)| resident.facts(name, &self.operator))
                .collect(),
            policies: self.policies.values().map(Tracked::facts).collect(),
        });
        let state_dir = live.snapshot.state_dir.as_deref();
        self.archive.keep(state_dir, &facts.policies, &self.earlier);
        self.facts.store(facts);
        let watched = Arc::new(self.watched());
        self.watched.store(Arc::clone(&watched));
        if let Some(watch) = self.watch.load().as_ref() {
            watch.paths(&watched);
        }
    }

    /// All that generations are made of, those that were refused included.
    fn watched(&self) -> Watched {
        let path = &self.setup.path;
        let main = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let dir = self.operator.tenancy.dir.as_deref();
        let mut watched = Watched {
            files: std::iter::once(main).chain(files(&self.operator)).collect(),
            all_tenants: dir.map(Path::to_owned),
            tenants: Vec::new(),
        };
        watched
            .files
            .extend(self.pending.iter().flat_map(|next| files(next)));
        for (name, resident) in &self.residents {
            let quota = self.operator.tenancy.quota(name.as_str());
            let folder = dir.map(|dir| dir.join(name.as_str()));
            let watched = &mut watched.tenants;
            watched.extend(folder.map(|folder| resident.watched(folder, quota)));
        }
        watched.sort();
        watched
    }
}

fn files(snapshot: &Snapshot) -> impl Iterator<Item = PathBuf> {
    let sources = snapshot.policies.values().map(|policy| &policy.source);
    snapshot.files.iter().chain(sources).cloned()
}
