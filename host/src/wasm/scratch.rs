//! Buffers that are filled again and again.

use std::{cell::Cell, sync::Arc};

/// Buffers that a host function fills and wasmtime copies into the guest. Kept
/// between calls: the counters of a pool are asked for at every pick.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) bytes: Reused<Vec<u8>>,
    pub(super) text: Reused<String>,
    pub(super) narrow: Reused<Vec<u32>>,
    pub(super) wide: Reused<Vec<u64>>,
}

/// One reused buffer. wasmtime wants results it can own for the copy; a shared
/// pointer is one, and is ours alone again once it has copied.
#[derive(Default)]
pub(super) struct Reused<B>(Cell<Option<Arc<B>>>);

/// Buffers larger than this are not kept.
const KEPT: usize = 64 << 10;

/// A buffer that can be emptied.
pub(super) trait Buffer: Default {
    /// Empties it, keeping its memory.
    fn reset(&mut self);
    /// Bytes it holds on to.
    fn held(&self) -> usize;
}

impl<T> Buffer for Vec<T> {
    fn reset(&mut self) {
        self.clear();
    }
    fn held(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

impl Buffer for String {
    fn reset(&mut self) {
        self.clear();
    }
    fn held(&self) -> usize {
        self.capacity()
    }
}

impl<B: Buffer> Reused<B> {
    /// The buffer, filled anew.
    pub(super) fn fill(&self, write: impl FnOnce(&mut B)) -> Arc<B> {
        let mut shared = self.0.take().unwrap_or_default();
        match Arc::get_mut(&mut shared) {
            Some(buffer) => {
                buffer.reset();
                write(buffer);
            }
            // Still on its way into the guest: not while nothing nests, but cheap to allow for.
            None => {
                let mut buffer = B::default();
                write(&mut buffer);
                shared = Arc::new(buffer);
            }
        }
        if shared.held() <= KEPT {
            self.0.set(Some(shared.clone()));
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_buffer_is_ours_again_once_the_copy_is_done() {
        let column = Reused::<Vec<u32>>::default();
        let first = column.fill(|out| out.extend([1, 2, 3]));
        let at = first.as_ptr();
        drop(first);
        let second = column.fill(|out| out.push(4));
        assert_eq!((second.as_slice(), second.as_ptr()), ([4].as_slice(), at));
    }
}
