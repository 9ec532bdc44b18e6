//! Tenants that have nothing in service and whose files are broken: they get back what they served last.

use std::{path::Path, sync::Arc};

use super::{
    Cause, Failure, Writer,
    bid::{Bid, Change, Lost, Named, Parts},
    kept::{self, Damage, Page},
    shelf::{self, Unkept},
};
use crate::{
    config::{self, TenantPart},
    members::Clock,
    snapshot::TenantName,
};

/// Why a tenant cannot get back what it served last.
#[derive(Debug, thiserror::Error)]
enum Unrecalled {
    #[error("{0}")]
    Damage(#[from] Damage),
    #[error("its version of the policy `{name}`: {why}")]
    Version { name: String, why: Unkept },
    #[error("{0}")]
    Failure(#[from] Failure),
}

impl Writer {
    /// What a tenant served last, if nothing of it is in service. Told where it cannot be used.
    pub(super) fn recall(&mut self, tenant: &TenantName) -> Option<Bid> {
        let state_dir = self.operator.state_dir.clone()?;
        if self.residents.get(tenant)?.part().is_some() {
            return None;
        }
        match self.recalled(&state_dir, tenant) {
            Ok(bid) => bid,
            Err(Unrecalled::Failure(Failure::Loading { .. })) => {
                self.residents.get_mut(tenant)?.waits();
                None
            }
            Err(why) => {
                self.not_recalled(tenant, &why.to_string());
                None
            }
        }
    }

    fn recalled(&self, state_dir: &Path, tenant: &TenantName) -> Result<Option<Bid>, Unrecalled> {
        let Some(page) = kept::read(state_dir, tenant)? else {
            return Ok(None);
        };
        let loaded = config::recall_tenant(tenant, &self.operator, &page.files);
        let part = match loaded.outcome {
            Ok(part) => part,
            Err(report) => return Err(Failure::Config(Box::new(report)).into()),
        };
        self.built_ins(&part.vhosts, &part.balancers)?;
        let versions = self.kept_versions(state_dir, &part, &page)?;
        let at_ms = page.at_ms;
        Ok(Some(Bid {
            tenant: tenant.clone(),
            change: Change::Recalled { part, at_ms },
            versions: vec![versions],
        }))
    }

    fn kept_versions(
        &self,
        state_dir: &Path,
        part: &TenantPart,
        page: &Page,
    ) -> Result<Named, Unrecalled> {
        let mut versions = Named::new();
        for (qualified, policy) in &part.policies {
            let name = policy.name.clone();
            let digest = page.policies.get(&name).cloned().unwrap_or_default();
            let wasm = match shelf::find_named(state_dir, &digest, policy.largest()) {
                Ok(wasm) => wasm,
                Err(why) => return Err(Unrecalled::Version { name, why }),
            };
            match self.setup.stock.fetch(policy, wasm) {
                None => return Err(Failure::Loading { name }.into()),
                Some(Ok(module)) => drop(versions.insert(qualified.clone(), module)),
                Some(Err(refusal)) => {
                    let why = refusal.to_string();
                    return Err(Failure::Policy { name, why }.into());
                }
            }
        }
        Ok(versions)
    }

    fn not_recalled(&mut self, tenant: &TenantName, why: &str) {
        let file = self.operator.state_dir.as_deref();
        let file = file.map(|state_dir| kept::path(state_dir, tenant));
        if let Some(resident) = self.residents.get_mut(tenant) {
            resident.not_recalled(tenant, &file.unwrap_or_default(), why);
        }
    }

    /// Tells tenants why their bids lost; who has nothing in service gets back what it had.
    pub(super) fn second_chance(&mut self, lost: Vec<Lost>, cause: Cause) -> Vec<String> {
        let (mut refused, mut again) = (Vec::new(), Vec::new());
        for (bid, failure) in lost {
            if let Change::Recalled { .. } = bid.change {
                self.not_recalled(&bid.tenant, &failure.to_string());
                continue;
            }
            refused.push(self.refuse_tenant(&bid.tenant, &failure, cause));
            again.extend(self.recall(&bid.tenant));
        }
        for (bid, failure) in self.settle(again, cause) {
            self.not_recalled(&bid.tenant, &failure.to_string());
        }
        for (tenant, resident) in &mut self.residents {
            resident.tell_left_out(tenant);
        }
        refused
    }

    /// Keeps what these serve now, for a start that finds their files broken.
    pub(super) fn keep_good(&mut self, tenants: &[TenantName]) {
        let Some(state_dir) = self.operator.state_dir.clone() else {
            return;
        };
        for tenant in tenants {
            let Some(part) = self.residents.get(tenant).and_then(|r| r.part().cloned()) else {
                continue;
            };
            let page = self.page_of(&part);
            self.kept.keep(&state_dir, tenant, page);
        }
    }

    fn page_of(&self, part: &Arc<TenantPart>) -> Page {
        let name = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let files = part.texts.iter();
        let files = files.map(|(path, text)| (name(path), text.clone()));
        let policies = part.policies.iter().filter_map(|(qualified, policy)| {
            let module = self.policies.get(qualified)?.in_service()?;
            Some((policy.name.clone(), module.digest().to_string()))
        });
        Page::new(Clock::wall_ms(), files.collect(), policies.collect())
    }

    /// What of the tenants has hosts: in service, or before the start and not yet again.
    pub(super) fn holders(&self) -> Parts {
        let mut all = self.absent.clone();
        all.extend(self.parts());
        all
    }

    /// Whoever had a host before the start keeps it, also while its policies are compiled.
    pub(super) fn recall_holders(&mut self) {
        let Some(state_dir) = &self.operator.state_dir else {
            return;
        };
        let part = |tenant: &TenantName| {
            let page = kept::read(state_dir, tenant).ok()??;
            let loaded = config::recall_tenant(tenant, &self.operator, &page.files);
            Some((tenant.clone(), loaded.outcome.ok()?))
        };
        self.absent = self.kept.tenants().filter_map(part).collect();
    }

    /// A tenant's folder is gone.
    pub(super) fn forget_kept(&mut self, tenant: &TenantName) {
        self.absent.remove(tenant);
        if let Some(state_dir) = &self.operator.state_dir {
            self.kept.forget(state_dir, tenant);
        }
    }
}
