//! Work that must not happen on a worker thread.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tracing::error;

/// A piece of slow work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs slow work off the workers, such as rebuilding an instance after a fault.
pub trait Background: Send + Sync {
    /// Runs `job` on a thread that may block, not before `delay` is over.
    fn after(&self, delay: Duration, job: Job);
}

/// One thread that runs jobs when they are due. Ends when the last handle is dropped;
/// what is not due by then is not run.
#[derive(Clone)]
pub struct BackgroundThread {
    jobs: Sender<Due>,
}

struct Due {
    at: Instant,
    job: Job,
}

impl BackgroundThread {
    /// Starts the thread.
    pub fn start(name: &str) -> io::Result<Arc<Self>> {
        let (jobs, inbox) = mpsc::channel::<Due>();
        thread::Builder::new()
            .name(name.into())
            .spawn(move || run(&inbox))?;
        Ok(Arc::new(Self { jobs }))
    }
}

impl Background for BackgroundThread {
    fn after(&self, delay: Duration, job: Job) {
        let at = Instant::now() + delay;
        // The receiver lives as long as its thread, which ends only after the last sender.
        if self.jobs.send(Due { at, job }).is_err() {
            error!("The background thread is gone; policies that failed stay out of service");
        }
    }
}

fn run(inbox: &mpsc::Receiver<Due>) {
    let mut waiting: BinaryHeap<Reverse<Entry>> = BinaryHeap::new();
    let mut number = 0;
    loop {
        let next = waiting.peek().map(|Reverse(entry)| entry.due.at);
        let received = match next {
            None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
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
        let background = BackgroundThread::start("test").unwrap();
        let (done, results) = mpsc::channel();
        background.after(Duration::ZERO, Box::new(|| panic!("expected by the test")));
        background.after(
            Duration::from_millis(1),
            Box::new(move || done.send(()).unwrap()),
        );
        results.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
