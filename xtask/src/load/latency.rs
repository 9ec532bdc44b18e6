//! How long answers took, counted in buckets that are each within a hundredth of what they hold.

use std::time::Duration;

/// 128 buckets between a power of two and the next: none is wider than 0.8 % of its values.
const BITS: u32 = 7;

/// Counts of latencies, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanos);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// Adds all of another.
    pub fn add(&mut self, more: &Self) {
        if more.counts.len() > self.counts.len() {
            self.counts.resize(more.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&more.counts) {
            *count += more;
        }
        self.total += more.total;
    }

    /// The latency that the share `of` (0 to 1) of all did not exceed; nothing where there are none.
    pub fn quantile(&self, of: f64) -> Option<Duration> {
        // The smallest rank that covers the share: of one latency every share is that one.
        let rank = ((self.total as f64 * of).ceil() as u64).clamp(1, self.total.max(1));
        let mut below = 0;
        self.counts.iter().enumerate().find_map(|(bucket, count)| {
            below += count;
            (below >= rank).then(|| Duration::from_nanos(middle(bucket)))
        })
    }
}

/// Exact below 128; then the leading eight bits and how far they were shifted.
fn bucket(nanos: u64) -> usize {
    let shift = (64 - BITS - 1).saturating_sub(nanos.leading_zeros());
    ((u64::from(shift) << BITS) + (nanos >> shift)) as usize
}

/// What stands for all values of a bucket.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket >> BITS).saturating_sub(1);
    let first = (bucket - (shift << BITS)) << shift;
    first + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_rise_without_gaps_and_stay_close_to_their_values() {
        const STEPS: u64 = 1 << BITS;
        assert_eq!(
            (0..2 * STEPS).map(bucket).collect::<Vec<_>>(),
            (0..2 * STEPS as usize).collect::<Vec<_>>()
        );
        for nanos in [1, 127, 128, 255, 256, 1_000, 65_535, 65_536, 1_234_567_890] {
            let bucket = bucket(nanos);
            let found = middle(bucket);
            assert!(
                found.abs_diff(nanos) as f64 <= nanos as f64 / 128.0,
                "{nanos} became {found}"
            );
            assert!(super::bucket(nanos + nanos / 64 + 1) > bucket);
        }
        assert!(bucket(u64::MAX) < 8_000);
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for micros in 1..=1_000 {
            latencies.record(Duration::from_micros(micros));
        }
        for (of, micros) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let found = latencies.quantile(of).unwrap().as_secs_f64() * 1e6;
            assert!((found - micros).abs() <= micros / 100.0, "{of}: {found}");
        }
        let mut longer = Latencies::default();
        longer.record(Duration::from_secs(1));
        latencies.add(&longer);
        assert!(latencies.quantile(1.0).unwrap() > Duration::from_millis(990));
        assert!(latencies.quantile(0.99).unwrap() < Duration::from_millis(2));
    }
}
