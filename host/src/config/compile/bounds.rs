//! Numbers within bounds.

use std::time::Duration;

use super::super::{
    problems::Problems,
    read::Node,
    units::{Size, Time},
};

const LEAVE_OUT: &str = "leave it out for the default, or write more";

/// A duration above zero.
pub fn positive_time(node: Option<&Node<Time>>, default: Duration, out: &mut Problems) -> Duration {
    let Some(node) = node else { return default };
    if node.value.0.is_zero() {
        out.error(&node.place, "must be above zero", LEAVE_OUT);
    }
    node.value.0
}

/// A number of at least 1.
pub fn positive(node: Option<&Node<u32>>, default: u32, out: &mut Problems) -> u32 {
    let Some(node) = node else { return default };
    if node.value == 0 {
        out.error(&node.place, "must be above zero", LEAVE_OUT);
    }
    node.value
}

/// A number from `least` to `most`.
pub fn number(
    node: Option<&Node<u32>>,
    default: usize,
    (least, most): (usize, usize),
    out: &mut Problems,
) -> usize {
    let Some(node) = node else { return default };
    let number = node.value as usize;
    if !(least..=most).contains(&number) {
        out.error(
            &node.place,
            format!("{number} is out of range"),
            format!("use {least} to {most}"),
        );
    }
    number
}

/// A size from `least` to `most` bytes.
pub fn size(
    node: Option<&Node<Size>>,
    default: u64,
    (least, most): (u64, u64),
    out: &mut Problems,
) -> u64 {
    let Some(node) = node else { return default };
    let bytes = node.value.0;
    if !(least..=most).contains(&bytes) {
        let message = format!("{} is out of range", readable(bytes));
        out.error(
            &node.place,
            message,
            format!("use {} to {}", readable(least), readable(most)),
        );
    }
    bytes
}

/// A size as an operator would write it.
pub fn readable(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units
        .into_iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_largest_whole_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_025, "1025 bytes"),
            (1 << 10, "1KiB"),
            (3 << 20, "3MiB"),
            (4 << 30, "4GiB"),
        ] {
            assert_eq!(readable(bytes), text);
        }
    }
}
