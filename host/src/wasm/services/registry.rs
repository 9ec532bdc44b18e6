//! Finds the shared things of one instance.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{Group, Quota, Sample, SampleValue, SharedCells, TenantStore};
use crate::{
    policy::{Digest, Environment},
    snapshot::TenantName,
    wasm::{engine::INSTANCES, host::log::Ration},
};

/// A tenant's entries that nobody uses are kept for the next version or the next start,
/// up to this many; beyond it its own are let go, and nobody else's.
const UNUSED: usize = 64;

/// The same for all tenants together.
const ALL_UNUSED: usize = 16_384;

/// Instances that one tenant may have at one time, of all that there can be: a quarter. It takes
/// sixteen policies with 32 bindings each.
const TENANTS_OWN: usize = INSTANCES as usize / 4;

/// All that instances share, for every tenant.
#[derive(Debug, Default)]
pub(in crate::wasm) struct Services {
    cells: Shelf<(Arc<str>, Arc<str>, String), SharedCells>,
    stores: Shelf<Arc<str>, TenantStore>,
    groups: Shelf<(Arc<str>, Arc<str>, Digest), Group>,
    /// Whose things these begin as copies of.
    origin: Option<Arc<Self>>,
    /// Of each policy.
    rations: Shelf<(Arc<str>, Arc<str>), Mutex<Ration>>,
    /// Instances there are of a policy's that decide,
    seats: Shelf<(Arc<str>, Arc<str>), AtomicUsize>,
    /// of its shadows,
    shadows: Shelf<(Arc<str>, Arc<str>), AtomicUsize>,
    /// and of all of a tenant's policies.
    tenants: Shelf<Arc<str>, AtomicUsize>,
}

/// One of the instances that a policy and its tenant may have; free again when it is dropped.
#[derive(Debug)]
pub(in crate::wasm) struct Seat([Arc<AtomicUsize>; 2]);

impl Drop for Seat {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Relaxed);
        }
    }
}

/// What one instance was given.
#[derive(Debug)]
pub(in crate::wasm) struct Binding {
    /// `None` in `describe`, which has no binding yet.
    pub(in crate::wasm) cells: Option<Arc<SharedCells>>,
    pub(in crate::wasm) store: Arc<TenantStore>,
    pub(in crate::wasm) metrics: Arc<Group>,
    /// What its policy may log.
    pub(in crate::wasm) ration: Arc<Mutex<Ration>>,
    /// Up to where the store may be filled.
    pub(in crate::wasm) quota: Quota,
    /// Cells that it may have.
    pub(in crate::wasm) most_cells: usize,
    /// Metric series that its version may have.
    pub(in crate::wasm) most_series: usize,
}

impl Services {
    /// Others that begin as copies of these, each where it is first used: what is written there is
    /// seen by nobody here. Metrics begin anew.
    pub(in crate::wasm) fn fork(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self {
            origin: Some(Arc::clone(self)),
            ..Self::default()
        })
    }

    /// For an instance of `binding` (`None`: while describing).
    pub(in crate::wasm) fn bind(
        &self,
        environment: &Environment,
        digest: Digest,
        binding: Option<&str>,
    ) -> Arc<Binding> {
        let Environment {
            tenant,
            policy,
            limits,
            ..
        } = environment;
        // Two balancers with one policy are two bindings: their cells must not meet.
        let cells = binding.map(|binding| {
            let key = (tenant.clone(), policy.clone(), binding.to_owned());
            let origin = self.origin.as_ref();
            let origin = origin.and_then(|origin| origin.cells.find(&key));
            let copied = || origin.map_or_else(SharedCells::default, |origin| origin.copied());
            self.cells.take(key, copied)
        });
        let origin = self.origin.as_ref();
        let origin = origin.and_then(|origin| origin.stores.find(tenant));
        let store = || origin.map_or_else(TenantStore::default, |origin| origin.copied());
        let group = || Group::new(tenant.clone(), policy.clone(), digest);
        Arc::new(Binding {
            cells,
            store: self.stores.take(tenant.clone(), store),
            metrics: self
                .groups
                .take((tenant.clone(), policy.clone(), digest), group),
            ration: {
                let key = (tenant.clone(), policy.clone());
                let ration = || Mutex::new(Ration::new(limits.log_bytes));
                self.root().rations.take(key, ration)
            },
            quota: Quota {
                keys: limits.store_keys,
                bytes: limits.store_bytes,
            },
            most_cells: limits.shared_cells,
            most_series: limits.metric_series,
        })
    }

    /// Room for one more instance of a policy; `None`: it has as many as it may. A shadow gets what those
    /// that decide leave of it, and takes nothing from them.
    pub(in crate::wasm) fn seat(&self, environment: &Environment, most: usize) -> Option<Seat> {
        let (tenant, policy) = (&environment.tenant, &environment.policy);
        let key = (tenant.clone(), policy.clone());
        let root = self.root();
        let (of_policy, others) = match &self.origin {
            None => (root.seats.take(key, AtomicUsize::default), 0),
            Some(_) => {
                let deciding = root.seats.find(&key);
                let deciding = deciding.map_or(0, |count| count.load(Relaxed));
                (root.shadows.take(key, AtomicUsize::default), deciding)
            }
        };
        let of_tenant = root.tenants.take(tenant.clone(), AtomicUsize::default);
        let tenants_own = match **tenant == *TenantName::operator().as_str() {
            true => usize::MAX,
            false => TENANTS_OWN,
        };
        let taken = of_policy.fetch_add(1, Relaxed);
        let taken_by_tenant = of_tenant.fetch_add(1, Relaxed);
        // Whoever is refused gives back what it took.
        let seat = Seat([of_policy, of_tenant]);
        (taken + others < most && taken_by_tenant < tenants_own).then_some(seat)
    }

    /// What is counted is counted there, whatever is a copy.
    fn root(&self) -> &Self {
        self.origin.as_ref().map_or(self, |origin| origin.root())
    }

    /// Every series of every policy, and the host's own of the tenants' stores.
    pub(in crate::wasm) fn collect(&self) -> Vec<Sample> {
        let mut out = Vec::new();
        self.groups.each(|_, group| group.collect(&mut out));
        self.stores.each(|tenant, store| {
            let dropped = store.dropped();
            if dropped > 0 {
                out.push(Sample {
                    tenant: tenant.clone(),
                    policy: "".into(),
                    digest: Digest([0; 32]),
                    name: "switchyard_store_writes_dropped".into(),
                    labels: Vec::new(),
                    value: SampleValue::Counter(dropped),
                });
            }
        });
        out
    }
}

/// Shared things by key.
#[derive(Debug)]
struct Shelf<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Something that is kept for a tenant.
trait Kept: Hash + Eq {
    fn tenant(&self) -> &str;
}

impl Kept for Arc<str> {
    fn tenant(&self) -> &str {
        self
    }
}

impl Kept for (Arc<str>, Arc<str>) {
    fn tenant(&self) -> &str {
        &self.0
    }
}

impl<T: Hash + Eq> Kept for (Arc<str>, Arc<str>, T) {
    fn tenant(&self) -> &str {
        &self.0
    }
}

impl<K: Kept, V> Shelf<K, V> {
    fn take(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&key) {
            let (mut own, mut unused) = (0, 0);
            for (other, _) in all
                .iter()
                .filter(|(_, value)| Arc::strong_count(value) == 1)
            {
                unused += 1;
                own += usize::from(other.tenant() == key.tenant());
            }
            if own >= UNUSED || unused >= ALL_UNUSED {
                let everybody = unused >= ALL_UNUSED;
                all.retain(|other, value| {
                    let goes = everybody || other.tenant() == key.tenant();
                    Arc::strong_count(value) > 1 || !goes
                });
            }
        }
        all.entry(key).or_insert_with(|| Arc::new(make())).clone()
    }

    fn find(&self, key: &K) -> Option<Arc<V>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key).cloned()
    }

    fn each(&self, mut read: impl FnMut(&K, &V)) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|(key, value)| read(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fork_begins_as_a_copy_and_is_seen_by_nobody() {
        let environment = crate::wasm::tests::guests::environment();
        let digest = Digest([1; 32]);
        let services = Arc::new(Services::default());
        let live = services.bind(&environment, digest, Some("t/p"));
        let cells = |of: &Binding| of.cells.as_ref().unwrap().open("n", 1, 1).unwrap();
        cells(&live)[0].store(7, std::sync::atomic::Ordering::Relaxed);
        let now = std::time::Instant::now();
        let put = |of: &Binding, value| of.store.put(("k", value), 0, of.quota, now).unwrap();
        put(&live, b"v".as_slice());
        let fork = services.fork();
        let apart = fork.bind(&environment, digest, Some("t/p"));
        let other = fork.bind(&environment, digest, Some("t/p"));
        let read = |of: &Binding| cells(of)[0].load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(read(&apart), 7);
        cells(&apart)[0].store(8, std::sync::atomic::Ordering::Relaxed);
        put(&apart, b"other".as_slice());
        assert_eq!(
            (read(&live), read(&other)),
            (7, 8),
            "replicas share the copy"
        );
        let value = |of: &Binding| of.store.get("k", now, <[u8]>::to_vec);
        assert_eq!(value(&live).unwrap(), b"v");
        assert_eq!(value(&other).unwrap(), b"other");
    }

    #[test]
    fn things_survive_their_user_and_unused_ones_are_bounded() {
        type Key = (Arc<str>, Arc<str>, u32);
        let shelf = Shelf::<Key, u32>::default();
        let of = |tenant: &str, number| -> Key { (tenant.into(), "p".into(), number) };
        let kept = shelf.take(of("a", 0), || 7);
        shelf.take(of("a", 1), || 8);
        shelf.take(of("b", 1), || 5);
        assert_eq!(*shelf.take(of("a", 1), || 9), 8, "forgotten");
        for number in 2..10_000 {
            shelf.take(of("a", number), || 0);
        }
        assert!(shelf.0.lock().unwrap().len() <= UNUSED + 2);
        assert!(
            Arc::ptr_eq(&kept, &shelf.take(of("a", 0), || 1)),
            "dropped while in use"
        );
        assert_eq!(*shelf.take(of("b", 1), || 9), 5, "another tenant's is kept");
    }

    #[test]
    fn seats_are_counted_for_each_policy_and_given_back() {
        let services = Services::default();
        let environment = crate::wasm::tests::guests::environment();
        let two = [(); 2].map(|()| services.seat(&environment, 2));
        assert!(two.iter().all(Option::is_some));
        assert!(services.seat(&environment, 2).is_none());
        let other = Environment {
            policy: "other".into(),
            ..environment.clone()
        };
        assert!(services.seat(&other, 2).is_some());
        drop(two);
        assert!(services.seat(&environment, 1).is_some());
    }

    #[test]
    fn tenant_has_a_part_of_all_seats_and_the_operator_all() {
        let taken = |tenant: &str| {
            let services = Services::default();
            let environment = Environment {
                tenant: tenant.into(),
                ..crate::wasm::tests::guests::environment()
            };
            let policies = (0..8).map(|number| Environment {
                policy: format!("p{number}").into(),
                ..environment.clone()
            });
            let seats: Vec<_> = policies
                .flat_map(|one| {
                    (0..256)
                        .map(|_| services.seat(&one, 256))
                        .collect::<Vec<_>>()
                })
                .flatten()
                .collect();
            seats.len()
        };
        assert_eq!(taken("acme"), TENANTS_OWN);
        assert_eq!(taken(TenantName::operator().as_str()), 8 * 256);
    }

    #[test]
    fn shadows_get_what_those_that_decide_leave() {
        let services = Arc::new(Services::default());
        let environment = crate::wasm::tests::guests::environment();
        let (shadow, other) = (services.fork(), services.fork());
        let decides = services.seat(&environment, 2).unwrap();
        let watches = shadow.seat(&environment, 2).unwrap();
        assert!(shadow.seat(&environment, 2).is_none());
        assert!(other.seat(&environment, 2).is_none(), "shadows share it");
        // Whatever shadows have, those that decide get theirs.
        let second = services.seat(&environment, 2).unwrap();
        assert!(services.seat(&environment, 2).is_none());
        drop((second, watches));
        assert!(other.seat(&environment, 2).is_some());
        drop(decides);
    }
}
