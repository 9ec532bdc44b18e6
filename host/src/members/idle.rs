//! Idle things of one member, kept a worker each.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::signal::locked;

/// Idle values of each worker: the newest is used first, the oldest given up first.
///
/// A worker takes only its own, for a socket belongs to the runtime that opened
/// it; another worker may only take one away to close it.
#[derive(Debug)]
pub struct IdleSlots<T> {
    workers: Box<[Mutex<Kept<T>>]>,
    total: AtomicUsize,
}

/// One worker's values and since when they are idle, the oldest in front.
type Kept<T> = VecDeque<(Instant, T)>;

impl<T> IdleSlots<T> {
    /// Empty, for so many workers (at least one).
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            total: AtomicUsize::new(0),
        }
    }

    /// Over all workers.
    pub fn len(&self) -> usize {
        self.total.load(Ordering::Acquire)
    }

    /// Whether no worker has any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a value for its worker.
    pub fn put(&self, worker: usize, since: Instant, value: T) {
        let mut kept = self.of(worker);
        kept.push_back((since, value));
        self.total.fetch_add(1, Ordering::AcqRel);
    }

    /// The worker's newest.
    pub fn take(&self, worker: usize) -> Option<T> {
        let taken = self.of(worker).pop_back()?;
        self.total.fetch_sub(1, Ordering::AcqRel);
        Some(taken.1)
    }

    /// The oldest of any other worker, or of this one where the others have none.
    pub fn steal_any(&self, worker: usize) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let own = worker % self.workers.len();
        let oldest_of = |index: usize| {
            locked(&self.workers[index])
                .front()
                .map(|(since, _)| *since)
        };
        let others = (0..self.workers.len()).filter(|index| *index != own);
        let victim = others
            .filter_map(|index| oldest_of(index).map(|since| (since, index)))
            .min()
            .map_or(own, |(_, index)| index);
        // Between looking and taking somebody else may have been faster, so ask everybody again.
        let everybody = (0..self.workers.len()).map(|step| (victim + step) % self.workers.len());
        let stolen = everybody
            .filter_map(|index| locked(&self.workers[index]).pop_front())
            .next()?;
        self.total.fetch_sub(1, Ordering::AcqRel);
        Some(stolen.1)
    }

    /// Drops what has been idle for at least `max_idle`; returns how many.
    pub fn expire(&self, now: Instant, max_idle: Duration) -> usize {
        let mut expired = Vec::new();
        for slot in &self.workers {
            let mut kept = locked(slot);
            let stale = kept
                .partition_point(|(since, _)| now.saturating_duration_since(*since) >= max_idle);
            expired.extend(kept.drain(..stale));
        }
        // Dropping closes sockets: not under a lock that workers take.
        self.total.fetch_sub(expired.len(), Ordering::AcqRel);
        expired.len()
    }

    /// Drops what is not to be kept; returns how many.
    pub fn retain(&self, keep: impl Fn(&T) -> bool) -> usize {
        let mut gone = Vec::new();
        for slot in &self.workers {
            let mut kept = locked(slot);
            let (stays, goes): (Kept<T>, Kept<T>) =
                kept.drain(..).partition(|(_, value)| keep(value));
            *kept = stays;
            gone.extend(goes);
        }
        // As in `expire`.
        self.total.fetch_sub(gone.len(), Ordering::AcqRel);
        gone.len()
    }

    /// Drops everything; returns how many.
    pub fn clear(&self) -> usize {
        self.expire(Instant::now(), Duration::ZERO)
    }

    fn of(&self, worker: usize) -> MutexGuard<'_, Kept<T>> {
        locked(&self.workers[worker % self.workers.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(start: Instant) -> IdleSlots<&'static str> {
        let slots = IdleSlots::new(2);
        for (worker, after, value) in [(0, 1, "a"), (1, 2, "b"), (0, 3, "c"), (1, 4, "d")] {
            slots.put(worker, start + Duration::from_secs(after), value);
        }
        slots
    }

    #[test]
    fn worker_takes_its_own_newest_first() {
        let slots = filled(Instant::now());
        assert_eq!(slots.take(0), Some("c"));
        assert_eq!(slots.take(0), Some("a"));
        assert_eq!(slots.take(0), None);
        assert_eq!(slots.len(), 2);
    }

    #[test]
    fn thief_takes_the_oldest_of_others_and_its_own_last() {
        let slots = filled(Instant::now());
        let order: Vec<_> = std::iter::from_fn(|| slots.steal_any(0)).collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
        assert!(slots.is_empty());
    }

    #[test]
    fn expiry_drops_what_is_too_old() {
        let start = Instant::now();
        let slots = filled(start);
        assert_eq!(
            slots.expire(start + Duration::from_secs(12), Duration::from_secs(10)),
            2
        );
        assert_eq!(slots.len(), 2);
        assert_eq!((slots.take(0), slots.take(1)), (Some("c"), Some("d")));
    }
    #[test]
    fn what_is_retained_keeps_its_worker_and_its_order() {
        let slots = filled(Instant::now());
        slots.put(0, Instant::now(), "e");
        assert_eq!(slots.retain(|value| !"ad".contains(value)), 2);
        assert_eq!(slots.len(), 3);
        assert_eq!([slots.take(0), slots.take(0)], [Some("e"), Some("c")]);
        assert_eq!([slots.take(1), slots.take(1)], [Some("b"), None]);
    }
}
