//! Work that must not happen on a worker thread.

use std::{
    any::Any,
    cmp::Reverse,
    collections::BinaryHeap,
    fmt, io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Arc, Mutex, Weak,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::error;

use super::cpu;
use crate::members::locked;

/// A piece of slow work.
pub type Job = Box<dyn FnOnce() + Send>;

/// For whom it is done: without it there is nothing to do.
pub type Owner = Weak<dyn Any + Send + Sync>;

/// Runs slow work off the workers, such as rebuilding an instance after a fault.
pub trait Background: Send + Sync {
    /// Runs `job` on a thread that may block, not before `delay` is over.
    fn after(&self, delay: Duration, job: Job);

    /// Likewise, unless its owner is gone by then. What waits for long is forgotten with its owner.
    fn after_for(&self, owner: Owner, delay: Duration, job: Job) {
        let unless_gone = move || {
            if owner.strong_count() > 0 {
                job();
            }
        };
        self.after(delay, Box::new(unless_gone));
    }
}

/// Behind the workers, which serve everybody: a policy that is busy all the time gets a third of
/// what a busy worker gets on the same core. With less, a new version would take seconds to start under full load.
pub(super) const NICE: i32 = 5;

/// Longer than the workers' slices, which are of 1 to 4 ms: the longest that Linux takes.
const SLICE: Duration = Duration::from_millis(100);

/// A thread without a job stays for so long: starting one takes 30 us, keeping one some 1 MB, since the
/// allocator gives each thread pages of its own.
pub(super) const LINGER: Duration = Duration::from_secs(1);

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
    /// `None`: it is done whoever is gone.
    owner: Option<Owner>,
}

impl Due {
    fn is_wanted(&self) -> bool {
        let owner = self.owner.as_ref();
        owner.is_none_or(|owner| owner.strong_count() > 0)
    }
}

/// So many jobs wait before those are looked for that nobody wants any more; then twice as many as were
/// left. A policy that is replaced again and again leaves a job each time that is due in minutes.
const SWEEP: usize = 64;

impl BackgroundThread {
    /// No thread yet. `nice`: so much more than the process's first thread; 0 = like whoever starts it.
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
        let at = Instant::now() + delay;
        let owner = None;
        self.send(Due { at, job, owner });
    }

    fn after_for(&self, owner: Owner, delay: Duration, job: Job) {
        let at = Instant::now() + delay;
        let owner = Some(owner);
        self.send(Due { at, job, owner });
    }
}

impl BackgroundThread {
    fn send(&self, due: Due) {
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

/// Makes this thread one that the others need not wait for, as far as the system lets it.
///
/// Being nice is not enough: whoever wakes up on a busy thread's core waits for the end of that thread's slice, or of the
/// policy's call, unless its own slice is shorter (Linux 6.12; an older system takes no notice).
fn step_back(nice: i32) {
    if nice == 0 {
        return;
    }
    let nice = cpu::step_back(process::id(), nice);
    // SAFETY: all of it are integers, of which zero is one.
    let mut attributes: libc::sched_attr = unsafe { mem::zeroed() };
    attributes.size = size_of::<libc::sched_attr>() as u32;
    attributes.sched_policy = libc::SCHED_OTHER as u32;
    attributes.sched_nice = nice;
    attributes.sched_runtime = SLICE.as_nanos() as u64;
    // SAFETY: the kernel reads as many bytes as `size` says.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

fn run(inbox: &mpsc::Receiver<Due>, shared: &Weak<Mutex<Option<Sender<Due>>>>) {
    let mut waiting: BinaryHeap<Reverse<Entry>> = BinaryHeap::new();
    let (mut number, mut enough) = (0, SWEEP);
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
                if waiting.len() >= enough {
                    enough = sweep(&mut waiting);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        while let Some(Reverse(entry)) = pop_due(&mut waiting) {
            if !entry.due.is_wanted() {
                continue;
            }
            if catch_unwind(AssertUnwindSafe(entry.due.job)).is_err() {
                error!("A background job panicked; the others go on");
            }
        }
    }
}

/// Lets go of what nobody wants any more; how many may wait before the next time.
fn sweep(waiting: &mut BinaryHeap<Reverse<Entry>>) -> usize {
    waiting.retain(|Reverse(entry)| entry.due.is_wanted());
    waiting.shrink_to(SWEEP);
    SWEEP.max(2 * waiting.len())
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
                owner: None,
            };
            waiting.push(Reverse(Entry { number, due }));
        }
        let due = Due {
            at: now + Duration::from_secs(3_600),
            job: Box::new(|| unreachable!("not due")),
            owner: None,
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
    fn jobs_of_who_is_gone_do_not_wait() {
        let mut waiting = BinaryHeap::new();
        let stays: Arc<dyn Any + Send + Sync> = Arc::new(());
        let due = |owner: Option<Owner>| Due {
            at: Instant::now() + Duration::from_secs(600),
            job: Box::new(|| ()),
            owner,
        };
        waiting.push(Reverse(Entry {
            number: 0,
            due: due(None),
        }));
        let owner = Arc::downgrade(&stays);
        waiting.push(Reverse(Entry {
            number: 1,
            due: due(Some(owner)),
        }));
        for number in 2..1_000 {
            let gone: Arc<dyn Any + Send + Sync> = Arc::new(());
            let owner = Some(Arc::downgrade(&gone));
            waiting.push(Reverse(Entry {
                number,
                due: due(owner),
            }));
        }
        assert_eq!(sweep(&mut waiting), SWEEP);
        assert_eq!(waiting.len(), 2);
        assert!(waiting.capacity() <= 2 * SWEEP, "{}", waiting.capacity());
    }

    #[test]
    fn job_of_who_is_gone_is_not_run() {
        let background = BackgroundThread::on_demand("test", 0);
        let (done, results) = mpsc::channel();
        let say = |word: &'static str| {
            let done = done.clone();
            Box::new(move || done.send(word).unwrap())
        };
        let stays: Arc<dyn Any + Send + Sync> = Arc::new(());
        let gone: Owner = Arc::downgrade(&(Arc::new(()) as Arc<dyn Any + Send + Sync>));
        background.after_for(gone, Duration::ZERO, say("gone"));
        background.after_for(Arc::downgrade(&stays), Duration::ZERO, say("stays"));
        assert_eq!(results.recv_timeout(Duration::from_secs(60)), Ok("stays"));
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
            owner: None,
        };
        sender.send(due).unwrap();
        assert!(last_look(&inbox, &Arc::downgrade(&shared)).is_some());
        assert!(locked(&shared).is_some());
        assert!(last_look(&inbox, &Arc::downgrade(&shared)).is_none());
        assert!(locked(&shared).is_none());
    }
}
