//! Comparing bytes eight at a time.
//!
//! What the compiler brings for wasm goes byte by byte, and every turn of a loop also looks whether the call's
//! deadline has come: names and addresses with long beginnings in common took more time than all else about them.

// Raw memory is what this is about; the rest of this crate has no `unsafe` but what is generated.
#![allow(unsafe_code)]

use core::cmp::Ordering;

/// The order of the first `length` bytes at `one` and at `other`.
///
/// # Safety
///
/// So many bytes must be readable at both.
#[inline]
pub unsafe fn bytes(one: *const u8, other: *const u8, length: usize) -> Ordering {
    // Where the words before are equal, the last may overlap them.
    if let Some(last) = length.checked_sub(8) {
        for at in (0..last).step_by(8).chain([last]) {
            // SAFETY: `at` is `last` at most, and from there on there are eight bytes.
            let (one, other) = unsafe { (word(one.add(at)), word(other.add(at))) };
            if one != other {
                return one.swap_bytes().cmp(&other.swap_bytes());
            }
        }
        return Ordering::Equal;
    }
    for at in 0..length {
        // SAFETY: within the length.
        let order = unsafe { (*one.add(at)).cmp(&*other.add(at)) };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Eight bytes, the first of them the least.
#[inline]
unsafe fn word(at: *const u8) -> u64 {
    // SAFETY: the caller's promise; an array of bytes may lie anywhere.
    u64::from_le_bytes(unsafe { at.cast::<[u8; 8]>().read() })
}

/// The C function, which the compiler calls for all comparisons of slices.
///
/// # Safety
///
/// As [`bytes`].
#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { bytes(one, other, length) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_first_difference_has_the_order_of_slices() {
        for length in 0..40 {
            let one: Vec<u8> = (0..length).map(|n| 0x7e + n % 3).collect();
            // SAFETY: both have `length` bytes.
            let compared = |other: &[u8]| unsafe {
                assert_eq!(other.len(), one.len());
                bytes(one.as_ptr(), other.as_ptr(), one.len())
            };
            assert_eq!(compared(&one), Ordering::Equal);
            for at in 0..one.len() {
                for value in [0, 0x7f, 0x80, 0xff] {
                    let mut other = one.clone();
                    other[at] = value;
                    // What comes behind the first difference does not count.
                    other[at + 1..].fill(one[at]);
                    assert_eq!(compared(&other), one.cmp(&other), "{length}, {at}, {value}");
                }
            }
        }
    }
}
