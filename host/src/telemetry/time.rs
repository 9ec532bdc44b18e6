//! Times in log lines.

use std::{
    cell::RefCell,
    ffi::CString,
    io::Write,
    mem::MaybeUninit,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What `%{…}t` asks for.
#[derive(Debug, PartialEq)]
pub(super) struct TimeFormat {
    moment: Moment,
    shape: Shape,
}

/// Of which moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// The request's first byte.
    Begin,
    /// The answer's last byte.
    End,
}

#[derive(Debug, PartialEq)]
enum Shape {
    /// `[22/Nov/2026:23:48:12 +0000]`
    Clf,
    /// Since 1970, in these units.
    Since(Duration),
    /// Of the second, in milliseconds (3 digits).
    MillisOfSecond,
    /// Of the second, in microseconds (6 digits).
    MicrosOfSecond,
    /// strftime(3).
    Calendar(CString),
}

impl TimeFormat {
    /// Of `%{name}t`; an empty name is `%t`.
    pub fn parse(name: &str) -> Self {
        let (moment, name) = match (name.strip_prefix("begin:"), name.strip_prefix("end:")) {
            (Some(rest), _) => (Moment::Begin, rest),
            (None, Some(rest)) => (Moment::End, rest),
            (None, None) if name == "end" => (Moment::End, ""),
            (None, None) if name == "begin" => (Moment::Begin, ""),
            (None, None) => (Moment::Begin, name),
        };
        let shape = match name {
            "" => Shape::Clf,
            "sec" => Shape::Since(Duration::from_secs(1)),
            "msec" => Shape::Since(Duration::from_millis(1)),
            "usec" => Shape::Since(Duration::from_micros(1)),
            "msec_frac" => Shape::MillisOfSecond,
            "usec_frac" => Shape::MicrosOfSecond,
            // The configuration's text has no NUL; one that had is cut there as C would.
            other => Shape::Calendar(
                CString::new(other.split('\0').next().unwrap_or_default()).unwrap_or_default(),
            ),
        };
        Self { moment, shape }
    }

    /// Of which moment.
    pub fn moment(&self) -> Moment {
        self.moment
    }
}

thread_local! {
    /// The second that was written last, and how: most lines share it with the one before.
    static LAST: RefCell<(i64, Vec<u8>)> = const { RefCell::new((i64::MIN, Vec::new())) };
}

/// Appends a time of day, in the machine's time zone.
pub(super) fn write(out: &mut Vec<u8>, format: &TimeFormat, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    // A Vec takes all that is written to it.
    let _ = match &format.shape {
        Shape::Clf => {
            LAST.with_borrow_mut(|(last, text)| {
                if *last != second {
                    text.clear();
                    calendar(text, c"[%d/%b/%Y:%H:%M:%S %z]", second);
                    *last = second;
                }
                out.extend_from_slice(text);
            });
            Ok(())
        }
        Shape::Since(unit) => write!(out, "{}", since.as_micros() / unit.as_micros().max(1)),
        Shape::MillisOfSecond => write!(out, "{:03}", since.subsec_millis()),
        Shape::MicrosOfSecond => write!(out, "{:06}", since.subsec_micros()),
        Shape::Calendar(format) => {
            calendar(out, format, second);
            Ok(())
        }
    };
}

fn calendar(out: &mut Vec<u8>, format: &std::ffi::CStr, second: i64) {
    let mut fields = MaybeUninit::<libc::tm>::zeroed();
    let mut text = [0u8; 256];
    // SAFETY: both pointers are valid for the call; localtime_r writes `fields` before strftime
    // reads it, and all-zero fields are valid too, should it fail (a year beyond what fits).
    // strftime writes at most the length given, and reads a string that ends in NUL. The process
    // never changes its environment (clippy.toml), so nothing races with TZ.
    let written = unsafe {
        libc::localtime_r(&second, fields.as_mut_ptr());
        libc::strftime(
            text.as_mut_ptr().cast(),
            text.len(),
            format.as_ptr(),
            fields.as_ptr(),
        )
    };
    out.extend_from_slice(&text[..written]);
}

/// Milliseconds since 1970 as `2026-11-22T23:48:12.345Z`.
pub fn timestamp(ms: u64) -> String {
    let mut out = Vec::with_capacity(24);
    rfc3339(&mut out, UNIX_EPOCH + Duration::from_millis(ms), 3);
    String::from_utf8(out).unwrap_or_default()
}

/// Appends `2026-11-22T23:48:12.345Z`, with `digits` of the fraction (RFC 3339).
pub(super) fn rfc3339(out: &mut Vec<u8>, at: SystemTime, digits: usize) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let fraction = format!("{:09}", since.subsec_nanos());
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        &fraction[..digits.clamp(1, 9)],
    );
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
///
/// Counts from 1 March of the year 0, so that the leap day is the last of its year: 400 years
/// have 146,097 days, and the months from March on have 31 30 31 30 31 | 31 30 31 30 31 | 31 x
/// days, that is 153 in each five.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let era = day / 146_097;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        10.. => (year + 1, month - 9),
        _ => (year, month + 3),
    };
    (era * 400 + year, month, day)
}

/// The system's number of the calling thread.
pub(super) fn thread_id() -> i32 {
    // SAFETY: takes nothing, returns a number, cannot fail.
    unsafe { libc::gettid() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(name: &str, at: SystemTime) -> String {
        let mut out = Vec::new();
        write(&mut out, &TimeFormat::parse(name), at);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats_are_httpds() {
        let at = UNIX_EPOCH + Duration::from_micros(1_795_391_292_045_678);
        for (name, expected) in [
            ("sec", "1795391292"),
            ("msec", "1795391292045"),
            ("usec", "1795391292045678"),
            ("msec_frac", "045"),
            ("usec_frac", "045678"),
            ("end:sec", "1795391292"),
            ("begin:msec", "1795391292045"),
            // Whatever the time zone is, of this second.
            ("%s", "1795391292"),
            ("%%", "%"),
        ] {
            assert_eq!(written(name, at), expected, "%{{{name}}}t");
        }
        let clf = regex::Regex::new(r"^\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]$");
        assert!(clf.unwrap().is_match(&written("", at)));
        assert_eq!(
            written("", at),
            written("[%d/%b/%Y:%H:%M:%S %z]".to_owned().as_str(), at)
        );
    }

    #[test]
    fn next_second_is_not_taken_for_the_last() {
        let at = UNIX_EPOCH + Duration::from_secs(1_795_391_292);
        assert_ne!(written("", at), written("", at + Duration::from_secs(1)));
    }

    proptest! {
        #[test]
        fn dates_agree_with_those_of_http(second in 0_u64..253_402_300_799) {
            let at = UNIX_EPOCH + Duration::from_secs(second);
            let mut ours = Vec::new();
            rfc3339(&mut ours, at, 3);
            let http = httpdate::fmt_http_date(at);
            let words: Vec<&str> = http.split([' ', ',']).filter(|w| !w.is_empty()).collect();
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months.iter().position(|m| *m == words[2]).unwrap() + 1;
            let expected = format!("{}-{month:02}-{}T{}.000Z", words[3], words[1], words[4]);
            prop_assert_eq!(String::from_utf8(ours).unwrap(), expected);
        }
    }
}
