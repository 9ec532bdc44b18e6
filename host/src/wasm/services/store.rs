//! A tenant's key-value store: in this process, bounded, with times to live.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Bytes of one key.
const KEY: usize = 512;
/// Bytes of one value.
const VALUE: usize = 64 << 10;

/// Up to where whoever writes may fill the tenant's store.
#[derive(Debug, Clone, Copy)]
pub(in crate::wasm) struct Quota {
    /// Keys.
    pub(in crate::wasm) keys: usize,
    /// Bytes of all keys and values.
    pub(in crate::wasm) bytes: usize,
}

/// One tenant's.
#[derive(Debug, Default)]
pub(in crate::wasm) struct TenantStore {
    map: Mutex<Map>,
    dropped: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Map {
    entries: HashMap<String, Entry>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Vec<u8>,
    until: Option<Instant>,
}

impl Entry {
    fn is_live(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Map {
    fn remove(&mut self, key: &str) {
        if let Some(old) = self.entries.remove(key) {
            self.bytes -= key.len() + old.value.len();
        }
    }

    /// The error names the quota that is full.
    fn has_room(&self, key: &str, value: &[u8], quota: Quota) -> Result<(), &'static str> {
        let old = self
            .entries
            .get(key)
            .map(|entry| key.len() + entry.value.len());
        let keys = self.entries.len() + usize::from(old.is_none());
        let bytes = self.bytes - old.unwrap_or(0) + key.len() + value.len();
        match (keys <= quota.keys, bytes <= quota.bytes) {
            (true, true) => Ok(()),
            (false, _) => Err("store_keys"),
            (true, false) => Err("store_bytes"),
        }
    }

    fn expire(&mut self, now: Instant) {
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let live = entry.is_live(now);
            if !live {
                *bytes -= key.len() + entry.value.len();
            }
            live
        });
    }
}

impl TenantStore {
    /// The same keys and values, of its own.
    pub(in crate::wasm) fn copied(&self) -> Self {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            map: Mutex::new(map.clone()),
            dropped: AtomicU64::new(0),
        }
    }

    /// Calls `read` with the value while it is live.
    pub(in crate::wasm) fn get<R>(
        &self,
        key: &str,
        now: Instant,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        map.entries
            .get(key)
            .filter(|entry| entry.is_live(now))
            .map(|entry| read(&entry.value))
    }

    /// Replaces a value; `ttl_ms` 0 keeps it for good. Over a quota it is dropped and counted, since the
    /// contract has no answer; the error names the quota.
    pub(in crate::wasm) fn put(
        &self,
        (key, value): (&str, &[u8]),
        ttl_ms: u32,
        quota: Quota,
        now: Instant,
    ) -> Result<(), &'static str> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = match (key.len() <= KEY, value.len() <= VALUE) {
            (false, _) => Err("the length of a store key"),
            (_, false) => Err("the size of a store value"),
            (true, true) => map.has_room(key, value, quota).or_else(|_| {
                map.expire(now);
                map.has_room(key, value, quota)
            }),
        };
        fits.inspect_err(|_| {
            self.dropped.fetch_add(1, Relaxed);
        })?;
        map.remove(key);
        let until = (ttl_ms > 0).then(|| now + Duration::from_millis(ttl_ms.into()));
        map.entries.insert(
            key.to_owned(),
            Entry {
                value: value.to_vec(),
                until,
            },
        );
        map.bytes += key.len() + value.len();
        Ok(())
    }

    /// Forgets a value.
    pub(in crate::wasm) fn delete(&self, key: &str) {
        self.map
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// Writes dropped over a quota.
    pub(in crate::wasm) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(store: &TenantStore, key: &str, now: Instant) -> Option<Vec<u8>> {
        store.get(key, now, <[u8]>::to_vec)
    }

    const QUOTA: Quota = Quota {
        keys: 100,
        bytes: 1 << 20,
    };

    fn put(
        store: &TenantStore,
        key: &str,
        value: &[u8],
        ttl_ms: u32,
        now: Instant,
    ) -> Result<(), &'static str> {
        store.put((key, value), ttl_ms, QUOTA, now)
    }

    #[test]
    fn values_live_as_long_as_they_may() {
        let (store, now) = (TenantStore::default(), Instant::now());
        put(&store, "a", b"1", 0, now).unwrap();
        put(&store, "b", b"2", 10, now).unwrap();
        let later = now + Duration::from_millis(10);
        assert_eq!(read(&store, "b", now).as_deref(), Some(&b"2"[..]));
        assert_eq!(read(&store, "b", later), None);
        assert_eq!(read(&store, "a", later).as_deref(), Some(&b"1"[..]));
        store.delete("a");
        assert_eq!(read(&store, "a", later), None);
    }

    #[test]
    fn quotas_drop_count_and_are_named() {
        let (store, now) = (TenantStore::default(), Instant::now());
        put(&store, &"k".repeat(KEY + 1), b"", 0, now).unwrap_err();
        put(&store, "k", &vec![0; VALUE + 1], 0, now).unwrap_err();
        assert_eq!(store.dropped(), 2);
        for i in 0..QUOTA.keys {
            put(&store, &i.to_string(), b"", u32::from(i == 5), now).unwrap();
        }
        assert_eq!(put(&store, "over", b"", 0, now), Err("store_keys"));
        assert_eq!((store.dropped(), read(&store, "over", now)), (3, None));
        // Once an entry has expired there is room again.
        put(&store, "over", b"", 0, now + Duration::from_secs(1)).unwrap();
        assert_eq!(store.dropped(), 3);
        let store = TenantStore::default();
        let large = vec![0; VALUE];
        let refused =
            (0..QUOTA.keys).find_map(|i| put(&store, &i.to_string(), &large, 0, now).err());
        assert_eq!(refused, Some("store_bytes"));
    }

    #[test]
    fn bytes_are_returned_when_values_go() {
        let (store, now) = (TenantStore::default(), Instant::now());
        for _ in 0..1000 {
            put(&store, "same", &vec![0; VALUE], 0, now).unwrap();
        }
        store.delete("same");
        assert_eq!((store.dropped(), store.map.lock().unwrap().bytes), (0, 0));
    }
}
