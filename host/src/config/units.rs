//! Values with a unit or a grammar of their own: sizes, durations, weights, statuses, networks.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::{
    problems::{Place, Problems},
    read::{Read, Value, integer_of},
};
use crate::snapshot::StatusRange;

/// Bytes: an integer, or a string such as `64KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Time: a string with a unit, such as `5s`, `200ms` or `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A weight in hundredths: 1 to 100 with two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadFactor(pub u32);

/// A share in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u32);

/// One status, or a range as `502-504`, or a class as `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses(pub StatusRange);

/// A network as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// Parses `64KiB`, `1 MB`, `512`.
pub fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = split_number(text.trim());
    let number: u64 = digits.parse().ok()?;
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Parses `5s`, `200ms`, `1m30s`. A year is the longest: beyond it is a typing error.
pub fn parse_time(text: &str) -> Option<Duration> {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (digits, tail) = split_number(rest);
        let number: u32 = digits.parse().ok()?;
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let unit = match &tail[..letters] {
            "us" => Duration::from_micros(1),
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(86_400),
            _ => return None,
        };
        total = unit
            .checked_mul(number)
            .and_then(|part| total.checked_add(part))?;
        rest = tail[letters..].trim_start();
    }
    (total <= YEAR).then_some(total)
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// Parses `503`, `502-504`, `5xx`.
pub fn parse_statuses(text: &str) -> Option<StatusRange> {
    let text = text.trim();
    let code = |s: &str| {
        s.trim()
            .parse::<u16>()
            .ok()
            .filter(|n| s.trim().len() == 3 && (100..=599).contains(n))
    };
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok().filter(|n| (1..=5).contains(n))?;
        return Some(StatusRange {
            first: class * 100,
            last: class * 100 + 99,
        });
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (code(first)?, code(last)?),
        None => (code(text)?, code(text)?),
    };
    (first <= last).then_some(StatusRange { first, last })
}

impl Read for Size {
    const WHAT: &'static str = "a size such as \"64KiB\"";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer() || value.is_str()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let size = match value.get_ref() {
            DeValue::Integer(integer) => integer_of(integer).and_then(|n| u64::try_from(n).ok()),
            DeValue::String(text) => parse_size(text),
            other => {
                out.mismatch(at, Self::WHAT, other);
                return None;
            }
        };
        if size.is_none() {
            out.error(
                at,
                "not a size",
                "write bytes as a number, or a string with B, KiB, MiB, GiB, KB, MB or GB",
            );
        }
        size.map(Self)
    }
}

impl Read for Time {
    const WHAT: &'static str = "a duration such as \"5s\"";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_str() || value.is_integer() || value.is_float()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                out.error(
                    at,
                    "a duration needs its unit",
                    format!("write \"{number}s\" for seconds"),
                );
                return None;
            }
            other => {
                out.mismatch(at, Self::WHAT, other);
                return None;
            }
        };
        let time = parse_time(text);
        if time.is_none() {
            out.error(
                at,
                format!("{text:?} is not a duration"),
                "write whole numbers with ms, s, m, h or d, such as \"200ms\" or \"1m30s\", a year at most",
            );
        }
        time.map(Self)
    }
}

/// A number, whole or not, where a `T` is to be; something else is told. Inside: `None` where it is
/// too large to be one.
pub(super) fn number<T: Read>(
    value: &Value<'_>,
    at: &Place,
    out: &mut Problems,
) -> Option<Option<f64>> {
    match value.get_ref() {
        DeValue::Integer(integer) => Some(integer_of(integer).map(|n| n as f64)),
        DeValue::Float(float) => Some(float.as_str().parse().ok()),
        other => {
            out.mismatch(at, T::WHAT, other);
            None
        }
    }
}

impl Read for LoadFactor {
    const WHAT: &'static str = "a number from 1 to 100";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer() || value.is_float()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let number = number::<Self>(value, at, out)?;
        // Written so that NaN fails too.
        match number.filter(|n| (1.0..=100.0).contains(n)) {
            // Cut off after two decimals, as httpd does; the millionth keeps 2.3 from becoming 229.
            Some(number) => Some(Self((number * 100.0 + 1e-6) as u32)),
            None => {
                let zero = number == Some(0.0);
                let remedy = if zero {
                    "use 1 to 100; to take a member out of service set status = \"disabled\""
                } else {
                    "use 1 to 100, decimals allowed"
                };
                out.error(at, "a loadfactor lies between 1 and 100", remedy);
                None
            }
        }
    }
}

impl Read for Percent {
    const WHAT: &'static str = "a number from 0 to 100";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer() || value.is_float()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let number = number::<Self>(value, at, out)?;
        // Written so that NaN fails too.
        let share = number.filter(|n| (0.0..=100.0).contains(n));
        if share.is_none() {
            let remedy = "use 0 to 100, two decimals allowed";
            out.error(at, "a share lies between 0 and 100 percent", remedy);
        }
        share.map(|percent| Self((percent * 100.0).round() as u32))
    }
}

impl Read for Statuses {
    const WHAT: &'static str = "a status such as 503 or \"502-504\"";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer() || value.is_str()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let statuses = match value.get_ref() {
            DeValue::Integer(integer) => integer_of(integer)
                .and_then(|n| u16::try_from(n).ok())
                .filter(|n| (100..=599).contains(n))
                .map(|n| StatusRange { first: n, last: n }),
            DeValue::String(text) => parse_statuses(text),
            other => {
                out.mismatch(at, Self::WHAT, other);
                return None;
            }
        };
        if statuses.is_none() {
            out.error(
                at,
                "not a status",
                "use 100 to 599, a range such as \"502-504\", or a class such as \"5xx\"",
            );
        }
        statuses.map(Self)
    }
}

impl Read for Network {
    const WHAT: &'static str = "a network such as \"10.0.0.0/8\"";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_str()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let text = String::read(value, at, out)?;
        let network = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(network) = network else {
            out.error(
                at,
                format!("{text:?} is not a network"),
                "write an address, or a network such as \"10.0.0.0/8\"",
            );
            return None;
        };
        if network.trunc() != network {
            let remedy = format!("write \"{}\"", network.trunc());
            out.error(
                at,
                format!("{text:?} has bits set behind its prefix"),
                remedy,
            );
            return None;
        }
        Some(Self(network))
    }
}

/// Gives each type its JSON schema, inlined where it is used.
macro_rules! schema {
    ($($name:ident => $schema:tt,)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schema! {
    Size => { "anyOf": [
        { "type": "integer", "minimum": 0 },
        { "type": "string", "pattern": "^ *[0-9]+ *([bB]|[kKmMgG]([iI])?[bB])? *$" },
    ] },
    Time => { "type": "string", "pattern": "^ *([0-9]+(us|ms|s|m|min|h|d) *)+$" },
    LoadFactor => { "type": "number", "minimum": 1, "maximum": 100 },
    Percent => { "type": "number", "minimum": 0, "maximum": 100 },
    Statuses => { "anyOf": [
        { "type": "integer", "minimum": 100, "maximum": 599 },
        { "type": "string", "pattern": "^ *([1-5][xX]{2}|[1-5][0-9]{2}( *- *[1-5][0-9]{2})?) *$" },
    ] },
    Network => { "type": "string", "description": "An address, or a network as 10.0.0.0/8." },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        let cases = [
            ("512", 512),
            ("64KiB", 65_536),
            ("1 MiB", 1 << 20),
            ("2kb", 2_000),
            ("1GiB", 1 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "1.5MiB",
            "-1",
            "5 parsecs",
            "99999999999999999999",
            "18446744073709551615GiB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn times_need_units_and_may_have_several() {
        let cases = [
            ("5s", 5_000),
            ("200ms", 200),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(
                parse_time(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "5 s",
            "2y",
            "366d",
            "4294967296s",
            "5µs",
            "1s2",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn statuses_take_codes_ranges_and_classes() {
        let range = |first, last| Some(StatusRange { first, last });
        assert_eq!(parse_statuses("503"), range(503, 503));
        assert_eq!(parse_statuses("502-504"), range(502, 504));
        assert_eq!(parse_statuses("5xx"), range(500, 599));
        for text in [
            "", "99", "600", "504-502", "6xx", "xx", "50x", "5xx-", "0503", "+50",
        ] {
            assert_eq!(parse_statuses(text), None, "{text}");
        }
    }
}
