//! Measuring something again and again, and telling how the results are spread.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// Results of one measurement: enough for a 95th percentile that means something.
const SAMPLES: usize = 200;
/// What one sample is to take: long against reading the clock, short against being preempted.
const SAMPLE: Duration = Duration::from_micros(500);
/// What one measurement is to take at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// Calls of one sample, at most.
const CALLS: u32 = 10_000;

/// Nanoseconds a call, the shortest first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread(Vec<f64>);

impl Spread {
    /// Calls `once` until there are enough samples or it has taken long enough.
    pub fn measure<E>(mut once: impl FnMut() -> Result<(), E>) -> Result<Self, E> {
        // The first call finds cold caches; the second tells how many make a sample.
        once()?;
        let started = Instant::now();
        once()?;
        let single = started.elapsed().max(Duration::from_nanos(1));
        let calls = (SAMPLE.as_nanos() / single.as_nanos()).clamp(1, CALLS.into()) as u32;
        let begun = Instant::now();
        let mut samples = Vec::with_capacity(SAMPLES);
        while samples.is_empty() || samples.len() < SAMPLES && begun.elapsed() < PATIENCE {
            let started = Instant::now();
            for _ in 0..calls {
                once()?;
            }
            samples.push(started.elapsed().as_nanos() as f64 / f64::from(calls));
        }
        samples.sort_by(f64::total_cmp);
        Ok(Self(samples))
    }

    /// The sample below which so many hundredths of all lie.
    fn at(&self, percent: usize) -> Span {
        let last = self.0.len().saturating_sub(1);
        Span(self.0.get(last * percent / 100).copied().unwrap_or(0.0))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = [self.at(50), self.at(0), self.at(95)];
        for column in columns {
            write!(f, "  {:>10}", column.to_string())?;
        }
        Ok(())
    }
}

/// Nanoseconds, shown with the unit that suits them.
struct Span(f64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ns if ns < 10_000.0 => write!(f, "{ns:.0} ns"),
            ns if ns < 10_000_000.0 => write!(f, "{:.1} us", ns / 1e3),
            ns => write!(f, "{:.1} ms", ns / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_told_by_their_middle_and_their_ends() {
        let spread = Spread((1..=100).map(f64::from).collect());
        let text = spread.to_string();
        let columns: Vec<_> = text
            .split("  ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        assert_eq!(columns, ["50 ns", "1 ns", "95 ns"]);
    }

    #[test]
    fn times_have_the_unit_that_suits_them() {
        for (ns, due) in [
            (310.4, "310 ns"),
            (43_210.0, "43.2 us"),
            (12_345_678.0, "12.3 ms"),
        ] {
            assert_eq!(Span(ns).to_string(), due);
        }
    }

    #[test]
    fn the_first_failure_ends_a_measurement() {
        let mut calls = 0;
        let measured = Spread::measure(|| {
            calls += 1;
            if calls == 5 { Err("broken") } else { Ok(()) }
        });
        assert_eq!((measured, calls), (Err("broken"), 5));
    }
}
