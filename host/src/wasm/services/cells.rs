//! 64-bit cells shared by the replicas of one binding, kept over reloads.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

/// Arrays a binding may have. One or two are usual.
const NAMES: usize = 64;
/// Bytes of an array's name.
const NAME: usize = 256;

/// One array.
pub(in crate::wasm) type Cells = Arc<[AtomicI64]>;

/// All arrays of a binding, by name.
#[derive(Debug, Default)]
pub(in crate::wasm) struct SharedCells(Mutex<HashMap<String, Cells>>);

impl SharedCells {
    /// The same arrays with the same values, of its own.
    pub(in crate::wasm) fn copied(&self) -> Self {
        let arrays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = |cells: &Cells| cells.iter().map(|cell| cell.load(Relaxed).into()).collect();
        let copies = arrays
            .iter()
            .map(|(name, cells)| (name.clone(), copy(cells)));
        Self(Mutex::new(copies.collect()))
    }

    /// Opens or creates, up to `most` cells in all; the error is for the guest's author.
    pub(in crate::wasm) fn open(
        &self,
        name: &str,
        length: u32,
        most: usize,
    ) -> Result<Cells, String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut arrays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cells) = arrays.get(name) {
            if cells.len() == length {
                return Ok(cells.clone());
            }
            return Err(format!("has {} cells, not {length}", cells.len()));
        }
        let used: usize = arrays.values().map(|cells| cells.len()).sum();
        if name.len() > NAME {
            return Err(format!("the name is longer than {NAME} bytes"));
        }
        if arrays.len() >= NAMES {
            return Err(format!("a binding may have {NAMES} arrays"));
        }
        if length > most.saturating_sub(used) {
            return Err(format!(
                "a binding may have {most} cells (`shared_cells`), {used} are in use"
            ));
        }
        let cells: Cells = (0..length).map(|_| AtomicI64::new(0)).collect();
        arrays.insert(name.to_owned(), cells.clone());
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn one_name_is_one_array_of_one_length() {
        let shared = SharedCells::default();
        shared.open("tickets", 2, 10).unwrap()[1].store(7, Relaxed);
        assert_eq!(shared.open("tickets", 2, 10).unwrap()[1].load(Relaxed), 7);
        assert!(shared.open("tickets", 3, 10).is_err());
    }

    #[test]
    fn quotas_hold() {
        const MOST: usize = 100;
        let shared = SharedCells::default();
        assert!(shared.open("all", u32::MAX, MOST).is_err());
        shared.open("all", 100, MOST).unwrap();
        assert!(shared.open("more", 1, MOST).is_err());
        let names = SharedCells::default();
        for i in 0..NAMES {
            names.open(&i.to_string(), 1, MOST).unwrap();
        }
        assert!(names.open("one more", 1, MOST).is_err());
        assert!(
            SharedCells::default()
                .open(&"n".repeat(NAME + 1), 1, MOST)
                .is_err()
        );
    }
}
