//! Work that must not happen on a worker thread.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, Weak,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::error;

use crate::members::locked;

/// A piece of slow work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs slow work off the workers, such as rebuilding an instance after a fault.
pub trait Background: Send + Sync {
    /// Runs `job` on a thread that may block, not before `delay` is over.
    fn after(&self, delay: Duration, job: Job);
}

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
        let thread = Arc::downgrade(&self.thread);
        let forward = move || {
            // Gone with the tenant: what is not due by then is not run.
            if let Some(thread) = thread.upgrade() {
                thread.after(Duration::ZERO, job);
            }
        };
        self.later.after(delay, Box::new(forward));
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

/// Behind the workers, which serve everybody: a policy that is busy all the time gets a third of
/// what a worker gets on the same core.
const NICE: i32 = 5;

/// A thread without a job stays for so long: starting one takes 30 us, keeping one some 1 MB, since the
/// allocator gives each thread pages of its own.
const LINGER: Duration = Duration::from_secs(1);

/// One thread that runs jobs when they are due. It starts with the first job and ends when there
/// has been none for a while, or when the last handle is dropped; what is not due by then is not run.
pub struct BackgroundThread {
    name: String,
    nice: i32,
    /// Of the thread, while there is one.
    jobs: Arc<Mutex<Option<Sender<Due>>>>,
}

struct Due {
    at: Instant,
    job: Job,
}

impl BackgroundThread {
    /// No thread yet. `nice` as the system counts: 0 = like everybody, 19 = behind everybody.
    pub fn on_demand(name: &str, nice: i32) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            nice,
            jobs: Arc::default(),
        })
    }

    fn start(&self) -> io::Result<Sender<Due>> {
        let (jobs, inbox) = mpsc::channel::<Due>();
        // The thread must not keep itself alive.
        let (shared, nice) = (Arc::downgrade(&self.jobs), self.nice);
        thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || {
                step_back(nice);
                run(&inbox, &shared);
            })?;
        Ok(jobs)
    }
}

impl Background for BackgroundThread {
    fn after(&self, delay: Duration, job: Job) {
        let due = Due {
            at: Instant::now() + delay,
            job,
        };
        // Held while sending: a thread ends only when it finds nothing while it has this.
        let mut jobs = locked(&self.jobs);
        let due = match jobs.as_ref() {
            Some(jobs) => match jobs.send(due) {
                Ok(()) => return,
                Err(unsent) => unsent.0,
            },
            None => due,
        };
        match self.start() {
            Ok(started) => {
                // Its thread waits for this.
                let _ = started.send(due);
                *jobs = Some(started);
            }
            Err(error) => {
                error!(%error, thread = self.name, "A thread cannot be started; raise the limit of processes (ulimit -u)");
            }
        }
    }
}

/// Lowers this thread's priority; where that is refused it is like everybody.
fn step_back(nice: i32) {
    if nice != 0 {
        // SAFETY: no pointers; 0 is the calling thread, for Linux counts these by thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    }
}

fn run(inbox: &mpsc::Receiver<Due>, shared: &Weak<Mutex<Option<Sender<Due>>>>) {
    let mut waiting: BinaryHeap<Reverse<Entry>> = BinaryHeap::new();
    let mut number = 0;
    loop {
        let next = waiting.peek().map(|Reverse(entry)| entry.due.at);
        let patience = next.map_or(LINGER, |at| at.saturating_duration_since(Instant::now()));
        let received = match inbox.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) if next.is_none() => match last_look(inbox, shared) {
                Some(due) => Ok(due),
                None => return,
            },
            received => received,
        };
        match received {
            Ok(due) => {
                number += 1;
                waiting.push(Reverse(Entry { number, due }));
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        while let Some(Reverse(entry)) = pop_due(&mut waiting) {
            if catch_unwind(AssertUnwindSafe(entry.due.job)).is_err() {
                error!("A background job panicked; the others go on");
            }
        }
    }
}

/// What came at the last moment; else nobody will send to this thread any more.
fn last_look(
    inbox: &mpsc::Receiver<Due>,
    shared: &Weak<Mutex<Option<Sender<Due>>>>,
) -> Option<Due> {
    let shared = shared.upgrade()?;
    let mut jobs = locked(&shared);
    let due = inbox.try_recv().ok();
    if due.is_none() {
        *jobs = None;
    }
    due
}

fn pop_due(waiting: &mut BinaryHeap<Reverse<Entry>>) -> Option<Reverse<Entry>> {
    let is_due = waiting
        .peek()
        .is_some_and(|Reverse(entry)| entry.due.at <= Instant::now());
    is_due.then(|| waiting.pop()).flatten()
}

/// Jobs in the order they are due, those of one instant in the order they came.
struct Entry {
    number: u64,
    due: Due,
}

impl Entry {
    fn key(&self) -> (Instant, u64) {
        (self.due.at, self.number)
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Debug for BackgroundThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundThread").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_job_is_taken_first_and_none_before_its_time() {
        let now = Instant::now();
        let (done, results) = mpsc::channel();
        let mut waiting = BinaryHeap::new();
        for (number, ago, word) in [(1, 10, "third"), (2, 20, "first"), (3, 20, "second")] {
            let done = done.clone();
            let due = Due {
                at: now - Duration::from_millis(ago),
                job: Box::new(move || done.send(word).unwrap()),
            };
            waiting.push(Reverse(Entry { number, due }));
        }
        let due = Due {
            at: now + Duration::from_secs(3_600),
            job: Box::new(|| unreachable!("not due")),
        };
        waiting.push(Reverse(Entry { number: 4, due }));
        while let Some(Reverse(entry)) = pop_due(&mut waiting) {
            (entry.due.job)();
        }
        assert_eq!(waiting.len(), 1);
        let order: Vec<_> = results.try_iter().collect();
        assert_eq!(order, ["first", "second", "third"]);
    }

    #[test]
    fn thread_survives_a_job_that_panics() {
        let background = BackgroundThread::on_demand("test", 0);
        let (done, results) = mpsc::channel();
        background.after(Duration::ZERO, Box::new(|| panic!("expected by the test")));
        background.after(
            Duration::from_millis(1),
            Box::new(move || done.send(()).unwrap()),
        );
        results.recv_timeout(Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn thread_that_has_ended_is_followed_by_another() {
        let background = BackgroundThread::on_demand("test", 0);
        let (done, results) = mpsc::channel();
        let report = move || {
            let done = done.clone();
            Box::new(move || done.send(thread::current().id()).unwrap())
        };
        background.after(Duration::ZERO, report());
        let first = results.recv_timeout(Duration::from_secs(60)).unwrap();
        // As it does itself when it has lingered.
        *locked(&background.jobs) = None;
        background.after(Duration::ZERO, report());
        let second = results.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn last_look_finds_what_came_meanwhile_and_closes_otherwise() {
        let (sender, inbox) = mpsc::channel();
        let shared = Arc::new(Mutex::new(Some(sender.clone())));
        let due = Due {
            at: Instant::now(),
            job: Box::new(|| ()),
        };
        sender.send(due).unwrap();
        assert!(last_look(&inbox, &Arc::downgrade(&shared)).is_some());
        assert!(locked(&shared).is_some());
        assert!(last_look(&inbox, &Arc::downgrade(&shared)).is_none());
        assert!(locked(&shared).is_none());
    }

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
