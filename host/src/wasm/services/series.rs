//! Metrics that policies keep, one group for each (tenant, policy, digest).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::policy::Digest;

/// Labels of one series.
pub(in crate::wasm) const LABELS: usize = 8;
/// Bytes of a metric's or label's name.
const NAME: usize = 64;
/// Bytes of a label's value.
const VALUE: usize = 128;

/// Upper bounds of a histogram's buckets. Powers of ten in three steps, since the
/// contract lets a policy observe anything: seconds, bytes or shares.
const BOUNDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0, 1000.0,
    10_000.0,
];

/// What a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wasm) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One series; written without a lock.
#[derive(Debug)]
pub(in crate::wasm) enum Series {
    Counter(AtomicU64),
    /// Bits of an `f64`.
    Gauge(AtomicU64),
    Histogram(Box<Buckets>),
    /// Over a cap or misnamed: does nothing.
    Inert,
}

/// Of a histogram.
#[derive(Debug, Default)]
pub(in crate::wasm) struct Buckets {
    /// One for each bound and one for what exceeds them; not cumulated.
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// Bits of an `f64`.
    sum: AtomicU64,
}

impl Series {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(AtomicU64::new(0)),
            Kind::Gauge => Self::Gauge(AtomicU64::new(0)),
            Kind::Histogram => Self::Histogram(Box::default()),
        }
    }

    fn is(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::Counter(_), Kind::Counter)
                | (Self::Gauge(_), Kind::Gauge)
                | (Self::Histogram(_), Kind::Histogram)
        )
    }

    /// To a counter.
    pub(in crate::wasm) fn add(&self, value: u64) {
        if let Self::Counter(total) = self {
            total.fetch_add(value, Relaxed);
        }
    }

    /// A gauge. What is not a number is left out: exposition formats choke on it.
    pub(in crate::wasm) fn set(&self, value: f64) {
        if let (Self::Gauge(bits), true) = (self, value.is_finite()) {
            bits.store(value.to_bits(), Relaxed);
        }
    }

    /// Into a histogram.
    pub(in crate::wasm) fn observe(&self, value: f64) {
        if let (Self::Histogram(buckets), true) = (self, value.is_finite()) {
            let at = BOUNDS.partition_point(|bound| *bound < value);
            buckets.counts[at].fetch_add(1, Relaxed);
            let add = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
            // The closure always returns a value, so this cannot fail.
            let _ = buckets.sum.fetch_update(Relaxed, Relaxed, add);
        }
    }

    fn read(&self) -> Option<SampleValue> {
        Some(match self {
            Self::Counter(total) => SampleValue::Counter(total.load(Relaxed)),
            Self::Gauge(bits) => SampleValue::Gauge(f64::from_bits(bits.load(Relaxed))),
            Self::Histogram(buckets) => SampleValue::Histogram(Histogram {
                bounds: &BOUNDS,
                counts: buckets
                    .counts
                    .iter()
                    .map(|count| count.load(Relaxed))
                    .collect(),
                sum: f64::from_bits(buckets.sum.load(Relaxed)),
            }),
            Self::Inert => return None,
        })
    }
}

/// The series of one version of one policy.
#[derive(Debug)]
pub(in crate::wasm) struct Group {
    pub(in crate::wasm) tenant: Arc<str>,
    pub(in crate::wasm) policy: Arc<str>,
    pub(in crate::wasm) digest: Digest,
    series: Mutex<HashMap<Key, Arc<Series>>>,
    inert: Arc<Series>,
    refused: AtomicU64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    labels: Vec<(String, String)>,
}

impl Group {
    /// Without any series.
    pub(in crate::wasm) fn new(tenant: Arc<str>, policy: Arc<str>, digest: Digest) -> Self {
        let (series, inert) = (Mutex::default(), Arc::new(Series::Inert));
        Self {
            tenant,
            policy,
            digest,
            series,
            inert,
            refused: AtomicU64::new(0),
        }
    }

    /// The series of that name and labels; an inert one where that is not allowed, or where there are `most`.
    pub(in crate::wasm) fn open(
        &self,
        kind: Kind,
        name: &str,
        mut labels: Vec<(String, String)>,
        most: usize,
    ) -> Arc<Series> {
        let legal = is_name(name)
            && labels.len() <= LABELS
            && labels
                .iter()
                .all(|(name, value)| is_name(name) && value.len() <= VALUE);
        labels.sort_unstable();
        let twice = labels.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if legal && !twice {
            let key = Key {
                name: name.to_owned(),
                labels,
            };
            let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            match all.get(&key) {
                Some(series) if series.is(kind) => return series.clone(),
                Some(_) => {}
                None if all.len() < most => {
                    return all
                        .entry(key)
                        .or_insert_with(|| Arc::new(Series::new(kind)))
                        .clone();
                }
                None => {}
            }
        }
        self.refused()
    }

    /// An inert series, counted.
    pub(in crate::wasm) fn refused(&self) -> Arc<Series> {
        self.refused.fetch_add(1, Relaxed);
        self.inert.clone()
    }

    /// Appends what can be read now.
    pub(in crate::wasm) fn collect(&self, out: &mut Vec<Sample>) {
        let sample = |name: &str, labels: Vec<(String, String)>, value| Sample {
            tenant: self.tenant.clone(),
            policy: self.policy.clone(),
            digest: self.digest,
            name: name.to_owned(),
            labels,
            value,
        };
        let all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend(all.iter().filter_map(|(key, series)| {
            Some(sample(&key.name, key.labels.clone(), series.read()?))
        }));
        let refused = self.refused.load(Relaxed);
        if refused > 0 {
            out.push(sample(
                "switchyard_policy_series_refused",
                Vec::new(),
                SampleValue::Counter(refused),
            ));
        }
    }
}

/// What every exposition format accepts as a name.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.len() <= NAME
        && name.bytes().next().is_some_and(letter)
        && name
            .bytes()
            .all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// One series as it stands, for telemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Whose policy.
    pub tenant: Arc<str>,
    /// Its name.
    pub policy: Arc<str>,
    /// Its version.
    pub digest: Digest,
    /// `[A-Za-z_][A-Za-z0-9_]*`
    pub name: String,
    /// Sorted, each name once.
    pub labels: Vec<(String, String)>,
    /// As it stands.
    pub value: SampleValue,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// Only rises.
    Counter(u64),
    /// Always finite.
    Gauge(f64),
    /// A distribution.
    Histogram(Histogram),
}

/// A distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bounds of all buckets but the last.
    pub bounds: &'static [f64],
    /// Observations of each bucket alone, the last beyond every bound.
    pub counts: Vec<u64>,
    /// Of all observations.
    pub sum: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group::new("default".into(), "canary".into(), Digest([7; 32]))
    }

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn the_order_of_labels_makes_no_new_series() {
        let group = group();
        group
            .open(Kind::Counter, "hits", labels(&[("a", "1"), ("b", "2")]), 10)
            .add(2);
        group
            .open(Kind::Counter, "hits", labels(&[("b", "2"), ("a", "1")]), 10)
            .add(3);
        let mut all = Vec::new();
        group.collect(&mut all);
        assert_eq!(
            all.iter().map(|s| s.value.clone()).collect::<Vec<_>>(),
            [SampleValue::Counter(5)]
        );
    }

    #[test]
    fn what_is_not_allowed_does_nothing_and_is_counted() {
        const MOST: usize = 100;
        let group = group();
        group.open(Kind::Counter, "hits", Vec::new(), MOST);
        let bad = [
            (Kind::Gauge, "hits", Vec::new()),
            (Kind::Counter, "", Vec::new()),
            (Kind::Counter, "1st", Vec::new()),
            (Kind::Counter, "a", labels(&[("x y", "")])),
            (Kind::Counter, "a", labels(&[("x", ""), ("x", "")])),
            (Kind::Counter, "a", labels(&[("x", &"v".repeat(VALUE + 1))])),
        ];
        for (kind, name, labels) in bad {
            let series = group.open(kind, name, labels, MOST);
            assert!(matches!(*series, Series::Inert), "{name}");
        }
        for i in 0..MOST {
            group.open(Kind::Counter, &format!("n{i}"), Vec::new(), MOST);
        }
        let mut all = Vec::new();
        group.collect(&mut all);
        assert_eq!(all.len(), MOST + 1);
        assert_eq!(all.last().unwrap().value, SampleValue::Counter(7));
    }

    #[test]
    fn histogram_counts_each_observation_once() {
        let series = Series::new(Kind::Histogram);
        for value in [0.001, 0.002, 1e9, f64::NAN, f64::INFINITY] {
            series.observe(value);
        }
        let Some(SampleValue::Histogram(histogram)) = series.read() else {
            panic!("not a histogram")
        };
        assert_eq!(
            (
                histogram.counts[0],
                histogram.counts[1],
                histogram.counts[16]
            ),
            (1, 1, 1)
        );
        assert!((histogram.sum - 1_000_000_000.003).abs() < 1e-3);
    }
}
