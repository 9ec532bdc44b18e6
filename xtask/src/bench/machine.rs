//! Where and when it was measured.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

/// Date, processor and kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Of today, in UTC: `2026-11-23`
    pub date: String,
    /// Model of the processor.
    pub processor: String,
    /// How many cores may be used.
    pub cores: usize,
    /// Linux's version.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn here(cores: usize) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let model = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        Self {
            date: date(seconds / 86_400),
            processor: model(&read("/proc/cpuinfo")).unwrap_or_else(|| "unknown".to_owned()),
            cores,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "date": self.date, "processor": self.processor, "cores": self.cores, "kernel": self.kernel })
    }
}

/// The date so many days after the first of January 1970, in the Gregorian calendar.
fn date(days: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_780, "2026-11-23"),
            (20_818, "2026-12-31"),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}
