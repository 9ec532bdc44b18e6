//! The thread that advances the engine's epoch while policies run.
//!
//! An epoch is two milliseconds: compiled code looks at it on every loop and
//! function entry, which is what makes a deadline possible. Without any call the
//! thread sleeps for good; the first call afterwards wakes it with one futex
//! call (some 25 us after at least 50 ms without any). Callers touch no lock: one
//! flag of their own and one shared word that is written at most once an epoch.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, Thread},
    time::Duration,
};

use wasmtime::{Engine, EngineWeak};

/// The length of an epoch. A call is ended by the third epoch after its deadline at the latest, which is
/// soon enough for a deadline of 5 ms; each epoch costs a busy worker some 5 us. Epochs only have the clock read:
/// what is found there `bounds` judges, and a call that sees fewer than three of them is never ended.
pub(super) const PERIOD: Duration = Duration::from_millis(2);

/// Epochs without a new call after which the thread looks whether it may sleep.
/// 25: a gateway with twenty requests a second never pays a wake-up.
const QUIET_EPOCHS: u32 = 25;

/// Nobody has called for a while; the thread sleeps until it is unparked.
const PARKED: u8 = 0;
/// The thread runs; nobody has called since its last epoch.
const QUIET: u8 = 1;
/// The thread runs; somebody has called since its last epoch.
const BUSY: u8 = 2;

/// Set while an instance is inside its guest. On a cache line of its own, since
/// each is written twice a call by whichever thread runs that instance.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Running(AtomicBool);

/// The caller's side of the ticker thread.
#[derive(Debug)]
pub(super) struct Ticker {
    state: AtomicU8,
    epochs: AtomicU64,
    running: Mutex<Vec<Weak<Running>>>,
    thread: Mutex<Option<Thread>>,
}

impl Ticker {
    /// Starts the thread; it ends when the last engine is dropped.
    pub(super) fn start(engine: &Engine) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            state: AtomicU8::new(QUIET),
            epochs: AtomicU64::new(0),
            running: Mutex::default(),
            thread: Mutex::new(None),
        });
        let weak = Arc::downgrade(&ticker);
        let engine = engine.weak();
        // Held until the thread is known, so that nobody can fail to wake it.
        let mut thread = ticker.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = thread::Builder::new().name("epoch".into()).spawn(move || {
            raise_priority();
            run(&weak, &engine);
        })?;
        *thread = Some(handle.thread().clone());
        drop(thread);
        Ok(ticker)
    }

    /// A flag for one new instance.
    pub(super) fn register(&self) -> Arc<Running> {
        let flag = Arc::new(Running::default());
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&flag));
        flag
    }

    /// Flags that instances hold: as many as there are instances.
    pub(super) fn registered(&self) -> usize {
        let all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|flag| flag.strong_count() > 0).count()
    }

    /// Makes sure epochs pass until the returned guard is dropped.
    pub(super) fn enter<'a>(&self, flag: &'a Running) -> Inside<'a> {
        // The flag is stored before `state` is read, and the thread stores
        // `PARKED` before it reads the flags: with sequential consistency one of
        // the two sees the other, so no call can run without epochs.
        flag.0.store(true, SeqCst);
        if self.state.load(SeqCst) != BUSY {
            self.wake();
        }
        Inside(flag)
    }

    #[cold]
    fn wake(&self) {
        if self.state.swap(BUSY, SeqCst) == PARKED
            && let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner)
        {
            thread.unpark();
        }
    }

    /// Epochs so far: stands still while the thread sleeps.
    #[cfg(test)]
    pub(super) fn epochs(&self) -> u64 {
        self.epochs.load(SeqCst)
    }

    #[cfg(test)]
    pub(super) fn is_parked(&self) -> bool {
        self.state.load(SeqCst) == PARKED
    }

    fn is_any_running(&self) -> bool {
        let all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter_map(Weak::upgrade)
            .any(|flag| flag.0.load(SeqCst))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // The thread may be parked; it finds its `Weak` dead and ends.
        self.state.store(BUSY, SeqCst);
        if let Some(thread) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }
}

/// A call under way; dropping it lets the ticker sleep again.
pub(super) struct Inside<'a>(&'a Running);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, SeqCst);
    }
}

fn run(ticker: &Weak<Ticker>, engine: &EngineWeak) {
    let mut quiet = 0;
    loop {
        thread::sleep(PERIOD);
        let (Some(ticker), Some(engine)) = (ticker.upgrade(), engine.upgrade()) else {
            return;
        };
        engine.increment_epoch();
        ticker.epochs.fetch_add(1, SeqCst);
        if ticker
            .state
            .compare_exchange(BUSY, QUIET, SeqCst, SeqCst)
            .is_ok()
        {
            quiet = 0;
            continue;
        }
        quiet += 1;
        if quiet < QUIET_EPOCHS
            || ticker
                .state
                .compare_exchange(QUIET, PARKED, SeqCst, SeqCst)
                .is_err()
        {
            continue;
        }
        quiet = 0;
        if ticker.is_any_running() {
            // A long `init`, or a thread that was not scheduled for a while.
            let _ = ticker.state.compare_exchange(PARKED, QUIET, SeqCst, SeqCst);
            continue;
        }
        // Nothing of the ticker may be held while asleep, or its `Drop` never runs.
        let weak = Arc::downgrade(&ticker);
        drop((ticker, engine));
        while weak
            .upgrade()
            .is_some_and(|ticker| ticker.state.load(SeqCst) == PARKED)
        {
            thread::park();
        }
    }
}

/// A late epoch is a late deadline, so the thread asks to go first. Only root
/// may; everybody else keeps the ordinary priority.
fn raise_priority() {
    // SAFETY: plain system calls without pointers. On Linux a "process" of
    // setpriority is a thread.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid) as libc::id_t;
        libc::setpriority(libc::PRIO_PROCESS as _, thread, -10);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn wait(what: &str, mut until: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !until() {
            assert!(Instant::now() < deadline, "{what}: not within 30 s");
            thread::yield_now();
        }
    }

    #[test]
    fn sleeps_without_calls_and_wakes_for_one() {
        let engine = crate::wasm::engine::compiler().unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        let flag = ticker.register();
        for _ in 0..2 {
            wait("parked", || ticker.is_parked());
            let before = ticker.epochs();
            let _inside = ticker.enter(&flag);
            wait("epochs pass", || ticker.epochs() > before + 2);
        }
    }

    #[test]
    fn stays_awake_for_one_long_call() {
        let engine = crate::wasm::engine::compiler().unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        let flag = ticker.register();
        let inside = ticker.enter(&flag);
        let long = ticker.epochs() + 4 * u64::from(QUIET_EPOCHS);
        wait("epochs pass", || ticker.epochs() > long);
        drop(inside);
        wait("parked", || ticker.is_parked());
    }

    #[test]
    fn ends_with_its_owner_even_while_asleep() {
        let engine = crate::wasm::engine::compiler().unwrap();
        let ticker = Ticker::start(&engine).unwrap();
        wait("parked", || ticker.is_parked());
        let weak = Arc::downgrade(&ticker);
        drop(ticker);
        wait("dropped", || weak.strong_count() == 0);
    }
}
