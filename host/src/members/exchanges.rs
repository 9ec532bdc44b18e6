//! Finished requests by virtual host; outlives reloads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::locked;
use crate::snapshot::TenantName;

/// Answers by the first digit of their status; 0 where there was none.
pub const CLASSES: usize = 6;

/// Finished requests of one virtual host, or of those that reached none.
#[derive(Debug, Default)]
pub struct Exchanges {
    classes: [AtomicU64; CLASSES],
    received: AtomicU64,
    sent: AtomicU64,
    retries: AtomicU64,
    broken: AtomicU64,
}

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Of the answer; 0 where there was none.
    pub status: u16,
    /// Bytes from the client, heads included.
    pub received: u64,
    /// Bytes to the client, heads included.
    pub sent: u64,
    /// Members asked after the first one.
    pub retries: u32,
    /// The answer was broken off.
    pub broken: bool,
}

/// What [`Exchanges`] has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExchangeCounts {
    /// By the first digit of the status; 0 = without an answer.
    pub classes: [u64; CLASSES],
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// Members asked after the first one.
    pub retries: u64,
    /// Answers that were broken off.
    pub broken: u64,
}

impl Exchanges {
    /// Counts one.
    pub fn count(&self, finished: Finished) {
        let class = usize::from(finished.status / 100);
        let class = self.classes.get(class).unwrap_or(&self.classes[0]);
        class.fetch_add(1, Relaxed);
        self.received.fetch_add(finished.received, Relaxed);
        self.sent.fetch_add(finished.sent, Relaxed);
        if finished.retries > 0 {
            self.retries.fetch_add(finished.retries.into(), Relaxed);
        }
        if finished.broken {
            self.broken.fetch_add(1, Relaxed);
        }
    }

    /// What was counted so far.
    pub fn counts(&self) -> ExchangeCounts {
        ExchangeCounts {
            classes: std::array::from_fn(|class| self.classes[class].load(Relaxed)),
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            retries: self.retries.load(Relaxed),
            broken: self.broken.load(Relaxed),
        }
    }
}

/// Finds the counters of a virtual host. One that leaves the configuration is forgotten.
#[derive(Debug, Default)]
pub struct ExchangeBook {
    open: Mutex<BTreeMap<(TenantName, String), Weak<Exchanges>>>,
}

impl ExchangeBook {
    /// Of the virtual host of that name; an empty one stands for requests that reach none.
    pub fn of(&self, tenant: &TenantName, vhost: &str) -> Arc<Exchanges> {
        let mut open = locked(&self.open);
        let key = (tenant.clone(), vhost.to_owned());
        if let Some(known) = open.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        open.retain(|_, known| known.strong_count() > 0);
        let new = Arc::default();
        open.insert(key, Arc::downgrade(&new));
        new
    }

    /// All that are in use, by tenant and name.
    pub fn counts(&self) -> Vec<(TenantName, String, ExchangeCounts)> {
        let open = locked(&self.open);
        let each = open.iter().filter_map(|((tenant, vhost), known)| {
            Some((tenant.clone(), vhost.clone(), known.upgrade()?.counts()))
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(status: u16) -> Finished {
        Finished {
            status,
            received: 10,
            sent: 20,
            retries: u32::from(status == 502),
            broken: status == 0,
        }
    }

    #[test]
    fn each_request_counts_once_and_in_its_class() {
        let exchanges = Exchanges::default();
        for status in [0, 101, 200, 204, 502, 999] {
            exchanges.count(finished(status));
        }
        let counts = exchanges.counts();
        assert_eq!(counts.classes, [2, 1, 2, 0, 0, 1]);
        assert_eq!((counts.received, counts.sent), (60, 120));
        assert_eq!((counts.retries, counts.broken), (1, 1));
    }

    #[test]
    fn counters_outlive_a_reload_and_not_their_virtual_host() {
        let (book, tenant) = (ExchangeBook::default(), TenantName::operator());
        let first = book.of(&tenant, "www");
        first.count(finished(200));
        assert!(Arc::ptr_eq(&first, &book.of(&tenant, "www")));
        assert_eq!(book.counts()[0].2.classes[2], 1);
        drop(first);
        assert!(book.counts().is_empty());
    }
}
