//! Medians, spreads and ratios over rounds.

use super::measure::Turn;

/// Median and the two ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half lie below it.
    pub median: f64,
    /// Smallest.
    pub least: f64,
    /// Largest.
    pub most: f64,
}

/// Of at least one value; what has none is no number.
pub fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    };
    Spread {
        median,
        least: at(0),
        most: at(values.len().wrapping_sub(1)),
    }
}

/// Each round's value divided by the other's of the same round: what slows the machine for a while slows both.
pub fn ratio(of: &[Turn], by: &[Turn], what: impl Fn(&Turn) -> f64) -> Spread {
    spread(of.iter().zip(by).map(|(turn, by)| what(turn) / what(by)))
}

/// The median over rounds.
pub fn median(of: &[Turn], what: impl Fn(&Turn) -> f64) -> f64 {
    spread(of.iter().map(what)).median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_the_same_round() {
        let turns = |times: [f64; 3]| times.map(Turn::of_time);
        let found = ratio(
            &turns([20.0, 40.0, 15.0]),
            &turns([10.0, 20.0, 10.0]),
            Turn::total,
        );
        let expected = Spread {
            median: 2.0,
            least: 1.5,
            most: 2.0,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(spread([4.0, 1.0, 3.0, 2.0].into_iter()).median, 2.5);
        let one = spread([7.0].into_iter());
        assert_eq!((one.median, one.least, one.most), (7.0, 7.0, 7.0));
        assert!(spread(std::iter::empty()).median.is_nan());
    }
}
