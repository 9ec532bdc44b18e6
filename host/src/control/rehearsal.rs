//! Everything that is on disk, tried as a start would try it, and put into service nowhere.
//!
//! For commands that look on while a gateway may run. Beside the policies' files and the loader's
//! cache nothing is read or written: what an earlier run kept or undid (`state_dir`), logs and
//! sockets are the gateway's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use super::{
    Failure, Stock,
    bid::Named,
    tracked::Tracked,
    versions::{Shop, newest},
};
use crate::{
    config::{self, TenantPart},
    generation::{AccessLogs, Generation, LinkError, Linker, Modules, Origin, Prepared},
    snapshot::{Snapshot, TenantName},
    telemetry::harmless,
};

/// What came of it.
#[derive(Debug)]
pub struct Rehearsal {
    /// Without the tenants that cannot be used; `None`: the operator's own cannot be.
    pub generation: Option<Generation>,
    /// Everything that a start would refuse, as far as one mistake does not hide the next.
    pub unfit: Vec<Unfit>,
}

/// Something that a start would refuse.
#[derive(Debug)]
pub struct Unfit {
    /// Whose it is.
    pub tenant: TenantName,
    /// The policy's, where one is to blame.
    pub file: Option<PathBuf>,
    /// As the gateway would tell it.
    pub why: Failure,
}

impl fmt::Display for Unfit {
    /// Without the file. One line, whatever a policy has said there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.why.to_string();
        let why = harmless(&why);
        match self.tenant.is_operator() {
            true => f.write_str(&why),
            false => write!(f, "tenant `{}`: {why}", self.tenant),
        }
    }
}

/// Loads, describes and tries every policy, built-in ones too, where the configuration names it.
///
/// `parts` are the tenants whose files are right in themselves.
pub fn rehearse(
    linker: &Linker,
    stock: &Stock,
    operator: &Snapshot,
    mut parts: BTreeMap<TenantName, Arc<TenantPart>>,
) -> Rehearsal {
    let (mut named, mut unfit) = load(stock, &config::compose(operator, parts.values()));
    let unloaded: BTreeSet<_> = unfit
        .iter()
        .filter_map(|one| Some((one.tenant.clone(), one.why.policy()?.to_owned())))
        .collect();
    let mut prepared = Prepared::thorough();
    loop {
        let snapshot = Arc::new(config::compose(operator, parts.values()));
        named.retain(|name, _| snapshot.policies.contains_key(name));
        let modules = Modules {
            named: &named,
            built_in: &|name| stock.built_in(name, &snapshot.policy_limits),
        };
        let origin = Origin {
            number: 1,
            before: None,
        };
        // Nobody has asked: nothing is written down.
        let silent = AccessLogs::default();
        let next = Arc::clone(&snapshot);
        let linked = linker.link_with(next, &modules, silent, origin, &mut prepared);
        let generation = linked.map_err(|errors| {
            for (tenant, error) in errors.all() {
                let known = matches!(&error, LinkError::NoPolicy { policy, .. }
                    if unloaded.contains(&(tenant.clone(), policy.clone())));
                if !known {
                    unfit.push(of_link(tenant, error, &snapshot));
                }
            }
        });
        let before = parts.len();
        parts.retain(|tenant, _| unfit.iter().all(|one| one.tenant != *tenant));
        let operators = unfit.iter().any(|one| one.tenant.is_operator());
        // Who is left may fail at what nobody came to before.
        if operators || parts.len() == before {
            return Rehearsal {
                generation: generation.ok().filter(|_| !operators),
                unfit,
            };
        }
    }
}

fn load(stock: &Stock, whole: &Snapshot) -> (Named, Vec<Unfit>) {
    let (mut named, mut unfit) = (Named::new(), Vec::new());
    let shop = Shop {
        stock,
        state_dir: None,
    };
    for (key, policy) in &whole.policies {
        let unknown = Tracked::recalling(policy, Vec::new());
        match newest(&unknown, policy, shop) {
            Ok(module) => drop(named.insert(key.clone(), module)),
            Err(why) => unfit.push(Unfit {
                tenant: policy.tenant.clone(),
                file: Some(policy.source.clone()),
                why,
            }),
        }
    }
    (named, unfit)
}

fn of_link(tenant: TenantName, error: LinkError, snapshot: &Snapshot) -> Unfit {
    // A built-in one has no file.
    let policy = error.policy().map(|policy| tenant.qualify(policy));
    let source = policy.and_then(|policy| snapshot.policies.get(&policy));
    Unfit {
        file: source.map(|source| source.source.clone()),
        tenant,
        why: error.into(),
    }
}
