//! Compiled policies, kept by digest, and the lanes in which others are loaded.
//!
//! Whoever loads has a lane of its own, a thread while there is something to do: a policy that
//! takes seconds to compile holds up nobody else's, and never the writer.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};

use crate::{
    members::locked,
    policy::{Client, Digest, Loader, Module, Refusal},
    snapshot::{PolicyLimits, PolicySource, TenantName},
};

/// Modules kept beyond those in service, so that going back and forth between versions costs no
/// compiling. Rust policies have 20 KB, so it is the number that counts for them, and for
/// those with an interpreter within, the size.
const KEPT: usize = 32;

/// A pass waits so long for policies that are being loaded: from the cache it takes a few
/// milliseconds. What takes longer has a pass of its own when it is there.
const PATIENCE: Duration = Duration::from_millis(30);

/// A start waits so many times longer for all tenants' policies together, 3 s: hundreds of tenants' are read
/// from the cache in that time.
const START: u32 = 100;

/// Bytes of `.wasm` likewise; code takes a few times that.
const KEPT_BYTES: usize = 8 << 20;

/// Results that nobody has fetched, for one tenant: a file that is replaced meanwhile leaves one.
const DONE: usize = 32;

/// Gives the bytes of a built-in policy by its name.
pub type BuiltIn = fn(&str) -> Option<&'static [u8]>;

/// A module, or why there is none.
type Loaded = Result<Arc<dyn Module>, Refusal>;

/// Loads policies and remembers them.
pub struct Stock {
    shop: Arc<Shop>,
    patience: Duration,
    /// How long the writer waits for what is being loaded; `None` = to the end.
    until: Mutex<Option<Instant>>,
    /// A start waits for built-in policies to the end: they are the host's own.
    starts: AtomicBool,
}

struct Shop {
    loader: Arc<dyn Loader>,
    built_in: BuiltIn,
    shelves: Mutex<Shelves>,
    /// Something was loaded.
    ready: Condvar,
    /// Told so as well.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Shelves {
    built_in: Vec<(&'static [u8], Arc<dyn Module>)>,
    /// The latest used last.
    own: VecDeque<Arc<dyn Module>>,
    /// Whatever is in service: code is shared by all who have the same file.
    alive: HashMap<Digest, Weak<dyn Module>>,
    lanes: BTreeMap<TenantName, Lane>,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Order>,
    /// Under way.
    working: Option<Digest>,
    done: VecDeque<Done>,
}

/// What came of an order, until somebody fetches it.
struct Done {
    name: String,
    digest: Digest,
    loaded: Loaded,
}

struct Order {
    name: String,
    digest: Digest,
    wasm: Vec<u8>,
    limits: PolicyLimits,
}

impl Stock {
    /// Nothing loaded yet. Whoever asks waits until it is, unless [`Self::begin_pass`] says less.
    pub fn new(loader: Arc<dyn Loader>, built_in: BuiltIn) -> Self {
        let shop = Shop {
            loader,
            built_in,
            shelves: Mutex::default(),
            ready: Condvar::new(),
            wake: OnceLock::new(),
        };
        Self {
            shop: Arc::new(shop),
            patience: PATIENCE,
            until: Mutex::new(None),
            starts: AtomicBool::new(false),
        }
    }

    /// Calls this whenever something was loaded that somebody did not wait for.
    pub(super) fn wake_with(&self, wake: Box<dyn Fn() + Send + Sync>) {
        // There is one writer, and it says so once.
        let _ = self.shop.wake.set(wake);
    }

    /// Orders that wait, of everybody.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let shelves = locked(&self.shop.shelves);
        shelves.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    /// Another patience than usual.
    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A pass begins: whoever asks waits for a moment, all together.
    pub(super) fn begin_pass(&self) {
        self.wait_for(Some(self.patience));
    }

    /// A start: what is in the cache shall be there when it is over. Nobody waits for a tenant's policy that
    /// takes a compiler seconds.
    pub(super) fn begin_start(&self) {
        self.wait_for(Some(self.patience * START));
        self.starts.store(true, Ordering::Relaxed);
    }

    /// From now on all who ask wait so long together; `None` = to the end.
    pub(super) fn wait_for(&self, patience: Option<Duration>) {
        self.starts.store(false, Ordering::Relaxed);
        *locked(&self.until) = patience.map(|patience| Instant::now() + patience);
    }

    /// The module of a policy of the operator's or a tenant's own. `None`: it is being loaded, and
    /// whoever is to be woken is woken when it is.
    pub(super) fn fetch(&self, policy: &PolicySource, wasm: Vec<u8>) -> Option<Loaded> {
        let digest = digest(&wasm);
        // One that was let in under other limits may still be too large now.
        let limits = policy.limits_of(&digest.to_string());
        let fits = wasm.len() <= limits.module_size;
        let mut shelves = locked(&self.shop.shelves);
        if fits && let Some(module) = shelves.find(digest) {
            return Some(Ok(module));
        }
        let order = Order {
            name: policy.name.clone(),
            digest,
            wasm,
            limits,
        };
        if shelves.order(&policy.tenant, order) {
            self.shop.open_lane(&policy.tenant);
        }
        let until = *locked(&self.until);
        loop {
            let lane = shelves.lanes.entry(policy.tenant.clone()).or_default();
            if let Some(at) = lane.done.iter().position(|done| done.digest == digest) {
                return lane.done.remove(at).map(|done| done.loaded);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            let ready = &self.shop.ready;
            shelves = match left {
                None => ready.wait(shelves).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = ready.wait_timeout(shelves, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// A built-in policy; `None`: there is none of that name.
    pub fn built_in(
        &self,
        name: &str,
        limits: &PolicyLimits,
    ) -> Option<Result<Arc<dyn Module>, Refusal>> {
        self.shop.load_built_in(name, limits)
    }

    /// Whether a built-in policy can be had without waiting. If not it is loaded meanwhile, and
    /// whoever is to be woken is woken when it is.
    pub(super) fn has_built_in(&self, name: &'static str, limits: &PolicyLimits) -> bool {
        let Some(wasm) = (self.shop.built_in)(name) else {
            return true;
        };
        let waits = self.starts.load(Ordering::Relaxed) || locked(&self.until).is_none();
        if waits || locked(&self.shop.shelves).finds_built_in(wasm) {
            return true;
        }
        let (shop, limits) = (Arc::clone(&self.shop), limits.clone());
        let load = move || {
            // What is wrong with it is said when it is asked for.
            let _ = shop.load_built_in(name, &limits);
            shop.tell();
        };
        let started = thread::Builder::new().name("load".into()).spawn(load);
        // Without a thread the writer itself must wait.
        started.is_err()
    }
}

impl Shop {
    fn load_built_in(&self, name: &str, limits: &PolicyLimits) -> Option<Loaded> {
        let wasm = (self.built_in)(name)?;
        let find = |shelves: &Shelves| {
            let same = |(other, _): &&(&[u8], _)| std::ptr::eq(*other, wasm);
            let found = shelves.built_in.iter().find(same);
            found.map(|(_, module)| Arc::clone(module))
        };
        if let Some(module) = find(&locked(&self.shelves)) {
            return Some(Ok(module));
        }
        // The operator's bounds are for what strangers wrote: ours must start under any of them.
        let limits = PolicyLimits {
            module_size: limits.module_size.max(wasm.len()),
            compile_time: limits.compile_time.max(Duration::from_secs(60)),
            compile_memory: limits.compile_memory.max(512 << 20),
            ..limits.clone()
        };
        let operator = TenantName::operator();
        let client = Client {
            tenant: operator.as_str(),
            name,
            built_in: true,
        };
        let loaded = self.loader.load_for(&client, wasm, &limits);
        let mut shelves = locked(&self.shelves);
        if let Some(module) = find(&shelves) {
            return Some(Ok(module));
        }
        if let Ok(module) = &loaded {
            shelves.built_in.push((wasm, Arc::clone(module)));
        }
        Some(loaded)
    }

    /// Has the tenant's orders carried out, by a thread that ends with the last of them.
    fn open_lane(self: &Arc<Self>, tenant: &TenantName) {
        let (shop, owner) = (Arc::clone(self), tenant.clone());
        let work = move || while shop.work(&owner) {};
        let started = thread::Builder::new().name("load".into()).spawn(work);
        if started.is_err() {
            // The next who asks tries again.
            if let Some(lane) = locked(&self.shelves).lanes.get_mut(tenant) {
                lane.working = None;
            }
        }
    }

    /// One order. False: there is none left.
    fn work(&self, tenant: &TenantName) -> bool {
        let order = {
            let mut shelves = locked(&self.shelves);
            let Some(lane) = shelves.lanes.get_mut(tenant) else {
                return false;
            };
            let Some(order) = lane.waiting.pop_front() else {
                lane.working = None;
                if lane.done.is_empty() {
                    shelves.lanes.remove(tenant);
                }
                return false;
            };
            lane.working = Some(order.digest);
            // Somebody else may have had the same loaded.
            match shelves.find(order.digest) {
                Some(module) if order.wasm.len() <= order.limits.module_size => {
                    shelves.finish(tenant, (order.name, order.digest), Ok(module));
                    drop(shelves);
                    self.tell();
                    return true;
                }
                _ => order,
            }
        };
        let client = Client {
            tenant: tenant.as_str(),
            name: &order.name,
            built_in: false,
        };
        let load = || self.loader.load_for(&client, &order.wasm, &order.limits);
        // A lane that ended halfway would wait for ever.
        let loaded = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
            let what = "loading it ended with a defect of the gateway's";
            Err(Refusal::Compile(what.to_owned()))
        });
        locked(&self.shelves).finish(tenant, (order.name, order.digest), loaded);
        self.tell();
        true
    }

    fn tell(&self) {
        self.ready.notify_all();
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }
}

impl Shelves {
    fn finds_built_in(&self, wasm: &'static [u8]) -> bool {
        let mut all = self.built_in.iter();
        all.any(|(other, _)| std::ptr::eq(*other, wasm))
    }

    fn find(&mut self, digest: Digest) -> Option<Arc<dyn Module>> {
        let module = self.alive.get(&digest).and_then(Weak::upgrade)?;
        self.keep(&module);
        Some(module)
    }

    /// True: somebody has to carry it out.
    fn order(&mut self, tenant: &TenantName, order: Order) -> bool {
        let lane = self.lanes.entry(tenant.clone()).or_default();
        let digest = order.digest;
        let known = lane.working == Some(digest)
            || lane.waiting.iter().any(|other| other.digest == digest)
            || lane.done.iter().any(|done| done.digest == digest);
        if !known {
            // What was in the file before is wanted no more: who replaces a file faster than it can be
            // compiled has one order waiting for it.
            lane.waiting.retain(|other| other.name != order.name);
            lane.waiting.push_back(order);
        }
        let idle = lane.working.is_none() && !lane.waiting.is_empty();
        if idle {
            // Taken, until the thread knows better.
            lane.working = Some(digest);
        }
        idle
    }

    fn finish(&mut self, tenant: &TenantName, of: (String, Digest), loaded: Loaded) {
        let (name, digest) = of;
        if let Ok(module) = &loaded {
            self.alive.retain(|_, module| module.strong_count() > 0);
            self.alive.insert(digest, Arc::downgrade(module));
            self.keep(&Arc::clone(module));
        }
        let lane = self.lanes.entry(tenant.clone()).or_default();
        lane.done.retain(|done| done.name != name);
        lane.done.push_back(Done {
            name,
            digest,
            loaded,
        });
        if lane.done.len() > DONE {
            lane.done.pop_front();
        }
    }

    fn keep(&mut self, module: &Arc<dyn Module>) {
        self.own.retain(|other| other.digest() != module.digest());
        self.own.push_back(Arc::clone(module));
        while self.own.len() > KEPT
            || self.own.len() > 1 && self.own.iter().map(|m| m.size()).sum::<usize>() > KEPT_BYTES
        {
            self.own.pop_front();
        }
    }
}

/// Of a policy's file.
pub(super) fn digest(wasm: &[u8]) -> Digest {
    Digest(Sha256::digest(wasm).into())
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock").finish_non_exhaustive()
    }
}
