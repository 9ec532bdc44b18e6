//! Requests that somebody made, from an access log.
//!
//! Common and combined format (httpd's, ours, everybody's) begin alike:
//! `client identity user [time] "request line" status bytes`. Who asked, when, and
//! for what is enough to ask again.

use std::{fs::File, io::Read as _, net::IpAddr, path::Path, sync::Arc, time::Duration};

/// 300,000 lines of 200 bytes.
const LARGEST: u64 = 64 << 20;

/// One request of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Since the one before.
    pub after: Duration,
    /// As logged; a session of its own.
    pub client: Arc<str>,
    /// Where that is an address.
    pub address: Option<IpAddr>,
    pub method: String,
    pub path: String,
}

/// The requests of a log in the order in which they were made. Lines without a request (`"-"`) are
/// passed over; the error names the first that is no line of such a log.
pub(super) fn read(file: &Path) -> Result<Vec<Recorded>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(format!("{} is no file", file.display()));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{} is larger than 64 MiB", file.display()));
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut timed = Vec::new();
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let entry = entry(line).ok_or_else(|| {
            let place = format!("{}:{}", file.display(), index + 1);
            format!("{place} is no line of the common or combined format")
        })?;
        timed.extend(entry);
    }
    // A line is written when the answer ends, so they are not quite in order.
    timed.sort_by_key(|(at, _)| *at);
    let mut before = timed.first().map_or(0, |(at, _)| *at);
    let each = timed.into_iter().map(|(at, recorded)| {
        let after = Duration::from_secs((at - before).unsigned_abs());
        before = at;
        Recorded { after, ..recorded }
    });
    Ok(each.collect())
}

/// `Some(None)` = a line without a request.
fn entry(line: &str) -> Option<Option<(i64, Recorded)>> {
    let (who, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once("] \"")?;
    let (request, _) = rest.split_once('"')?;
    let at = seconds(time)?;
    let client = who.split(' ').next().filter(|client| !client.is_empty())?;
    let mut words = request.split(' ');
    let (Some(method), Some(path), Some(_)) = (words.next(), words.next(), words.next()) else {
        return Some(None);
    };
    let recorded = Recorded {
        after: Duration::ZERO,
        client: client.into(),
        address: client.parse().ok(),
        method: method.to_owned(),
        path: path.to_owned(),
    };
    Some(Some((at, recorded)))
}

/// `10/Oct/2000:13:55:36 -0700` in seconds since 1970.
fn seconds(time: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (local, zone) = time.split_once(' ')?;
    let mut parts = local.split(['/', ':']);
    let (day, month) = (parts.next()?, parts.next()?);
    let month = MONTHS
        .find(month)
        .filter(|at| month.len() == 3 && at % 3 == 0)? as i64
        / 3
        + 1;
    let within = |text: &str, most: i64| {
        let number: i64 = text.parse().ok()?;
        (0..=most).contains(&number).then_some(number)
    };
    let day = within(day, 31)?;
    let mut number = |most| within(parts.next()?, most);
    let (year, hour, minute, second) = (number(9999)?, number(23)?, number(59)?, number(60)?);
    let zone: i64 = zone.parse().ok()?;
    let offset = (zone / 100 * 60 + zone % 100) * 60;
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

/// Days from 1970-01-01 in the Gregorian calendar (Howard Hinnant's algorithm: years begin in March).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_logs_are_seconds_since_1970() {
        for (time, due) in [
            ("01/Jan/1970:00:00:00 +0000", Some(0)),
            ("10/Oct/2000:13:55:36 -0700", Some(971_211_336)),
            ("29/Feb/2024:12:00:00 +0530", Some(1_709_188_200)),
            ("10/Okt/2000:13:55:36 -0700", None),
            ("10/Oct/2000:25:55:36 -0700", None),
            ("", None),
        ] {
            assert_eq!(seconds(time), due, "{time}");
        }
    }

    #[test]
    fn lines_are_requests_in_the_order_of_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        let text = "192.0.2.7 - - [10/Oct/2000:13:55:38 -0700] \"GET /b?x=1 HTTP/1.1\" 200 5 \"-\" \"curl\"\n\
            alice - u [10/Oct/2000:13:55:36 -0700] \"POST /a HTTP/1.1\" 200 5\n\
            192.0.2.7 - - [10/Oct/2000:13:55:37 -0700] \"-\" 408 0\n";
        std::fs::write(&file, text).unwrap();
        let all = read(&file).unwrap();
        let shown: Vec<_> = all
            .iter()
            .map(|one| {
                (
                    one.after.as_secs(),
                    &*one.client,
                    one.method.as_str(),
                    one.path.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (0, "alice", "POST", "/a"),
                (2, "192.0.2.7", "GET", "/b?x=1")
            ]
        );
        assert_eq!(all[1].address, "192.0.2.7".parse().ok());
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("access.log");
        std::fs::write(&file, "\nno log\n").unwrap();
        let error = read(&file).unwrap_err();
        assert!(error.contains("access.log:2 is no line"), "{error}");
        assert!(read(folder.path()).unwrap_err().contains("is no file"));
        let missing = folder.path().join("none");
        assert!(read(&missing).unwrap_err().contains("cannot be read"));
    }
}
