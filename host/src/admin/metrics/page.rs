//! Writes the text formats: OpenMetrics 1.0, and Prometheus' own (0.0.4).
//!
//! Both name a family, its kind and its samples. They differ in the name of a counter's family
//! (`requests` or `requests_total`; its samples end in `_total` in both), in units, and in the
//! end, which only OpenMetrics marks.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Format {
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
    /// `text/plain; version=0.0.4`
    Prometheus,
}

impl Format {
    /// What a client that sends this `Accept` understands. Whoever asks for nothing reads text.
    pub fn accepted(accept: &str) -> Self {
        let mut ranges = accept.split(',').map(str::trim);
        match ranges.any(|range| range.starts_with("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// For `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What kind of series a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::admin) enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// As both formats write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Family {
    /// Ends in its unit, and never in `_total`.
    pub name: Cow<'static, str>,
    /// Its kind.
    pub kind: Kind,
    /// `seconds`, `bytes`, or empty.
    pub unit: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

impl Family {
    /// The name that queries use, a histogram's without its suffixes.
    pub fn query_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_string(),
        }
    }

    /// Names that its samples have or may have.
    fn sample_names(&self) -> Vec<String> {
        let name = &self.name;
        match self.kind {
            Kind::Counter => ["_total", "_created"]
                .map(|suffix| format!("{name}{suffix}"))
                .to_vec(),
            Kind::Gauge => vec![name.to_string()],
            Kind::Histogram => ["_bucket", "_sum", "_count", "_created"]
                .map(|suffix| format!("{name}{suffix}"))
                .to_vec(),
        }
    }
}

/// What a series stands at.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::admin) enum Number {
    /// A whole number.
    Whole(u64),
    /// Any finite one.
    Real(f64),
    /// A distribution.
    Spread {
        /// Upper bounds, rising, without the last, which is infinite.
        bounds: Vec<f64>,
        /// Observations of each bucket alone; one more than bounds.
        counts: Vec<u64>,
        /// Of all observations.
        sum: f64,
    },
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Number {
    fn from(flag: bool) -> Self {
        Self::Whole(flag.into())
    }
}

/// Label names and values of one series, as many as its family has.
pub(in crate::admin) type Series = (Vec<(Cow<'static, str>, String)>, Number);

/// A page under way.
#[derive(Debug)]
pub(in crate::admin) struct Page {
    format: Format,
    out: String,
    /// Names of families and samples: no two families may share one.
    taken: BTreeSet<String>,
}

impl Page {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            out: String::with_capacity(64 << 10),
            taken: BTreeSet::new(),
        }
    }

    /// Appends a family of the host's own, whose series give a value for each label.
    pub fn put<const N: usize>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = ([String; N], Number)>,
    ) {
        debug_assert_eq!(family.labels.len(), N, "{}", family.name);
        let named = |(values, number): ([String; N], Number)| {
            let names = family.labels.iter().map(|name| Cow::Borrowed(*name));
            (names.zip(values).collect(), number)
        };
        let series: Vec<Series> = series.into_iter().map(named).collect();
        let fits = self.put_any(family, &series);
        debug_assert!(fits, "{} is there twice", family.name);
    }

    /// Appends a family; `false`, and nothing is appended, where its name means something else on
    /// this page already.
    pub fn put_any(&mut self, family: &Family, series: &[Series]) -> bool {
        let mut names = family.sample_names();
        names.push(family.name.to_string());
        names.sort_unstable();
        names.dedup();
        if names.iter().any(|name| self.taken.contains(name)) {
            return false;
        }
        self.taken.extend(names);
        // Writing to a string cannot fail.
        let _ = self.write(family, series);
        true
    }

    fn write(&mut self, family: &Family, series: &[Series]) -> std::fmt::Result {
        let shown = match self.format {
            Format::OpenMetrics => family.name.to_string(),
            Format::Prometheus => family.query_name(),
        };
        let out = &mut self.out;
        writeln!(out, "# TYPE {shown} {}", family.kind.word())?;
        if self.format == Format::OpenMetrics && !family.unit.is_empty() {
            writeln!(out, "# UNIT {shown} {}", family.unit)?;
        }
        writeln!(out, "# HELP {shown} {}", family.help)?;
        let name = &family.name;
        for (labels, number) in series {
            match number {
                Number::Spread {
                    bounds,
                    counts,
                    sum,
                } => {
                    let mut below = 0;
                    let bounds = bounds.iter().map(|bound| format!("{bound:?}"));
                    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
                        below += count;
                        write_series(out, &[name, "_bucket"], labels, Some(&bound))?;
                        writeln!(out, " {below}")?;
                    }
                    write_series(out, &[name, "_count"], labels, None)?;
                    writeln!(out, " {below}")?;
                    write_series(out, &[name, "_sum"], labels, None)?;
                    writeln!(out, " {sum:?}")?;
                }
                Number::Whole(number) => {
                    write_series(out, &[name, suffix(family.kind)], labels, None)?;
                    writeln!(out, " {number}")?;
                }
                Number::Real(number) => {
                    write_series(out, &[name, suffix(family.kind)], labels, None)?;
                    writeln!(out, " {number:?}")?;
                }
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "_total",
        Kind::Gauge | Kind::Histogram => "",
    }
}

fn write_series(
    out: &mut String,
    name: &[&str],
    labels: &[(Cow<'static, str>, String)],
    bound: Option<&str>,
) -> std::fmt::Result {
    name.iter().for_each(|part| out.push_str(part));
    let bound = bound.map(|bound| ("le", bound));
    let labels = labels.iter().map(|(name, value)| (&**name, &**value));
    let mut before = '{';
    for (name, value) in labels.chain(bound) {
        out.push(before);
        before = ',';
        write!(out, "{name}=\"")?;
        for letter in value.chars() {
            match letter {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    if before == ',' {
        out.push('}');
    }
    Ok(())
}
