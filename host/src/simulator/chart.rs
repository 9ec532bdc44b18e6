//! Numbers as bars of text.

/// Eighths of a cell.
const PARTS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
/// Heights, from nothing to all.
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A bar of `share` (0 to 1) of `width` cells.
pub(super) fn bar(share: f64, width: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (width * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(PARTS[eighths % 8 - 1]);
    }
    bar
}

/// One cell a share, its height the share.
pub(super) fn strip(shares: impl IntoIterator<Item = f64>) -> String {
    let height = |share: f64| (share.clamp(0.0, 1.0) * 8.0).ceil() as usize;
    shares
        .into_iter()
        .map(|share| HEIGHTS[height(share)])
        .collect()
}

/// `12345` as `12,345`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_strips_are_as_long_and_high_as_their_shares() {
        for (share, due) in [
            (0.0, ""),
            (0.5, "██"),
            (1.0, "████"),
            (0.28, "█▏"),
            (9.0, "████"),
        ] {
            assert_eq!(bar(share, 4), due, "{share}");
        }
        assert_eq!(strip([0.0, 0.01, 0.5, 1.0]), " ▁▄█");
    }

    #[test]
    fn digits_stand_in_threes() {
        for (number, due) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), due);
        }
    }
}
