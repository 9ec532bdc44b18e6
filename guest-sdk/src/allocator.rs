//! A guest's allocator: blocks that were given back are handed out again.
//!
//! A decision makes some dozens of short strings and drops them all. The standard library's allocator for wasm
//! keeps its blocks in order of size and joins neighbours, which costs each of them more than writing it. Here
//! a block's size is rounded up to a power of two, and each power has a list of free blocks: taking one and
//! giving it back is a few instructions. Fresh and large blocks come from the standard library's.
//!
//! What a list has is not given to other sizes, so a guest may hold twice what it needs at the peak of each
//! size. That is counted against its memory like everything else.

// Raw memory is what an allocator is about; the rest of this crate has no `unsafe` but what is generated.
#![allow(unsafe_code)]

use core::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    ptr,
};
use std::alloc::System;

/// Of the smallest blocks: 16 bytes.
const SMALLEST: u32 = 4;
/// Of the largest in a list: 4 KiB.
const LARGEST: u32 = 12;
/// What the standard library's allocator gives to every block.
const ALIGN: usize = 8;

/// See the module's doc.
pub struct Recycling<A = System> {
    free: [Cell<*mut Free>; (LARGEST - SMALLEST + 1) as usize],
    fresh: A,
}

/// A free block begins with the next one.
struct Free {
    next: *mut Free,
}

// SAFETY: shared only in name. A guest has one thread: the contract has no threads, and the host compiles
// no module with shared memory.
unsafe impl<A: Sync> Sync for Recycling<A> {}

impl<A> Recycling<A> {
    /// With empty lists.
    pub const fn new(fresh: A) -> Self {
        Self {
            free: [const { Cell::new(ptr::null_mut()) }; (LARGEST - SMALLEST + 1) as usize],
            fresh,
        }
    }

    /// The list for a block of this layout; `None` where it is too large for one.
    fn list(&self, layout: Layout) -> Option<usize> {
        if layout.align() > ALIGN || layout.size() > 1 << LARGEST {
            return None;
        }
        let power = layout.size().next_power_of_two().trailing_zeros();
        Some(power.saturating_sub(SMALLEST) as usize)
    }
}

fn block(list: usize) -> Layout {
    // SAFETY: 8 is a power of two, and no block is larger than `LARGEST` says.
    unsafe { Layout::from_size_align_unchecked(1 << (SMALLEST as usize + list), ALIGN) }
}

// SAFETY: a block is in one list or with one owner: taken out before it is handed out, put in when it is given
// back. It is as large as its list says, which the layout alone decides, so it comes back to the list it is of.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recycling<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = self.list(layout) else {
            return unsafe { self.fresh.alloc(layout) };
        };
        let head = &self.free[list];
        let first = head.get();
        if first.is_null() {
            return unsafe { self.fresh.alloc(block(list)) };
        }
        head.set(unsafe { (*first).next });
        first.cast()
    }

    unsafe fn dealloc(&self, given: *mut u8, layout: Layout) {
        let Some(list) = self.list(layout) else {
            return unsafe { self.fresh.dealloc(given, layout) };
        };
        let head = &self.free[list];
        let given: *mut Free = given.cast();
        unsafe { (*given).next = head.get() };
        head.set(given);
    }

    unsafe fn realloc(&self, given: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size does not overflow with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (self.list(layout), self.list(wanted)) {
            (None, None) => unsafe { self.fresh.realloc(given, layout, size) },
            (had, has) if had == has => given,
            _ => {
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    unsafe {
                        ptr::copy_nonoverlapping(given, moved, size.min(layout.size()));
                        self.dealloc(given, layout);
                    }
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 1).unwrap()
    }

    #[test]
    fn a_block_is_handed_out_again_to_its_own_size() {
        let all = Recycling::new(System);
        unsafe {
            let (a, b) = (all.alloc(layout(17)), all.alloc(layout(32)));
            assert_ne!(a, b);
            all.dealloc(a, layout(17));
            all.dealloc(b, layout(32));
            // The last that was given back is the first.
            assert_eq!(all.alloc(layout(20)), b);
            let (other, larger) = (all.alloc(layout(16)), all.alloc(layout(33)));
            assert!(other != a && larger != a);
            assert_eq!(all.alloc(layout(31)), a);
            for (given, size) in [(a, 31), (b, 20), (other, 16), (larger, 33)] {
                all.dealloc(given, layout(size));
            }
        }
    }

    /// Whatever is asked for in whatever order: nobody writes into another's block.
    #[test]
    fn blocks_never_overlap_and_keep_their_bytes() {
        let all = Recycling::new(System);
        let mut state = 7_u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let whole = |(given, layout, mark): &(*mut u8, Layout, u8)| unsafe {
            let bytes = std::slice::from_raw_parts(*given, layout.size());
            assert!(bytes.iter().all(|byte| byte == mark), "{layout:?}");
        };
        for turn in 0..20_000 {
            // Sizes around each power, some larger than any list's, some for wide words.
            let size = ((1_usize << random(14)) + random(3))
                .saturating_sub(1)
                .max(1);
            let mark = turn as u8;
            match random(3) {
                0 if !live.is_empty() => {
                    let old = live.swap_remove(random(live.len()));
                    whole(&old);
                    unsafe { all.dealloc(old.0, old.1) };
                }
                1 if !live.is_empty() => {
                    let at = random(live.len());
                    let (given, layout, mark) = live[at];
                    let wanted = Layout::from_size_align(size, layout.align()).unwrap();
                    let moved = unsafe { all.realloc(given, layout, size) };
                    let kept = (
                        moved,
                        Layout::from_size_align(size.min(layout.size()), 1).unwrap(),
                        mark,
                    );
                    whole(&kept);
                    unsafe { moved.write_bytes(mark, size) };
                    live[at] = (moved, wanted, mark);
                }
                _ => {
                    let layout = Layout::from_size_align(size, 1 << random(6)).unwrap();
                    let given = unsafe { all.alloc(layout) };
                    assert_eq!(given as usize % layout.align(), 0, "{layout:?}");
                    unsafe { given.write_bytes(mark, size) };
                    live.push((given, layout, mark));
                }
            }
        }
        live.iter().for_each(whole);
        for (given, layout, _) in live {
            unsafe { all.dealloc(given, layout) };
        }
    }
}
