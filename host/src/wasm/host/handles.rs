//! Host objects that a guest holds by number.

use crate::wasm::fault::Stop;

/// A slab; how many there may be is bounded by the store's handle limit.
#[derive(Debug)]
pub(in crate::wasm) struct Handles<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Handles<T> {
    /// Its number, reused once it is removed.
    pub(super) fn insert(&mut self, value: T) -> wasmtime::Result<u32> {
        if let Some(at) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(at as usize)
        {
            *slot = Some(value);
            return Ok(at);
        }
        let at = u32::try_from(self.slots.len()).map_err(|_| Stop::HostLimit("handles"))?;
        self.slots.push(Some(value));
        Ok(at)
    }

    /// What it stands for.
    pub(super) fn get(&self, at: u32) -> wasmtime::Result<&T> {
        self.slots
            .get(at as usize)
            .and_then(Option::as_ref)
            .ok_or_else(|| Stop::Handle.into())
    }

    /// The guest let go of it.
    pub(super) fn remove(&mut self, at: u32) {
        if self
            .slots
            .get_mut(at as usize)
            .and_then(Option::take)
            .is_some()
        {
            self.free.push(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_number_is_dead_until_it_is_given_again() {
        let mut handles = Handles::default();
        let (a, b) = (handles.insert('a').unwrap(), handles.insert('b').unwrap());
        handles.remove(a);
        handles.remove(a);
        handles.remove(99);
        assert!(handles.get(a).is_err());
        assert_eq!(handles.insert('c').unwrap(), a);
        assert_eq!(
            (handles.get(a).unwrap(), handles.get(b).unwrap()),
            (&'c', &'b')
        );
        assert_eq!(handles.insert('d').unwrap(), 2);
    }
}
