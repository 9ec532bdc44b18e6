//! Ratios, the table, and whether the goals were reached.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::Turn;

/// Processor time a request, in nginx's.
const MOST_RATIO: f64 = 1.5;
/// Resident at start: 40 MB.
const MOST_MEMORY: u64 = 40_000_000;
/// For each idle client connection: 20 KB.
const MOST_IDLE: u64 = 20_000;

/// What was measured of one front.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// `nginx`
    pub name: String,
    /// One a round, at the same pace as the others.
    pub paced: Vec<Turn>,
    /// One a round, as fast as it answers.
    pub full: Vec<Turn>,
    /// Bytes of all its processes before the first request.
    pub memory: u64,
    /// Bytes.
    pub idle_connection: u64,
}

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

/// Of at least one value.
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

/// Each round's time divided by the base's of the same round: what slows the machine for a while slows both.
pub fn ratio(of: &[Turn], base: &[Turn]) -> Spread {
    spread(
        of.iter()
            .zip(base)
            .map(|(turn, base)| turn.total() / base.total()),
    )
}

/// Everything, for programs.
pub fn json(all: &[Measured], base: &Measured) -> Value {
    let regime = |turns: &[Turn], base: &[Turn]| {
        let ratio = ratio(turns, base);
        let turns = turns.iter();
        json!({
            "ratio": { "median": ratio.median, "least": ratio.least, "most": ratio.most },
            "turns": turns.map(|turn| json!({ "user_us": turn.user, "system_us": turn.system, "requests_per_s": turn.rate })).collect::<Vec<_>>(),
        })
    };
    let front = |measured: &Measured| {
        json!({
            "name": measured.name,
            "paced": regime(&measured.paced, &base.paced),
            "full": regime(&measured.full, &base.full),
            "resident_bytes": measured.memory,
            "idle_connection_bytes": measured.idle_connection,
        })
    };
    json!({ "base": base.name, "fronts": all.iter().map(front).collect::<Vec<_>>() })
}

/// Everything, for people.
pub fn table(all: &[Measured], base: &Measured) -> String {
    let mut text = String::new();
    type Regime = fn(&Measured) -> &[Turn];
    let regimes: [(&str, Regime); 2] = [
        ("All at the same pace", |measured| &measured.paced),
        ("Each as fast as it answers", |measured| &measured.full),
    ];
    for (name, turns) in regimes {
        let _ = write!(
            text,
            "{name}:\n\n\
             | front | CPU a request, in {}'s | CPU us a request (user + system) | requests/s |\n\
             | --- | --- | --- | --- |\n",
            base.name
        );
        for measured in all {
            let ratio = ratio(turns(measured), turns(base));
            let middle = |what: fn(&Turn) -> f64| spread(turns(measured).iter().map(what)).median;
            let _ = writeln!(
                text,
                "| {} | {:.2} ({:.2} to {:.2}) | {:.1} ({:.1} + {:.1}) | {:.0} |",
                measured.name,
                ratio.median,
                ratio.least,
                ratio.most,
                middle(Turn::total),
                middle(|turn| turn.user),
                middle(|turn| turn.system),
                middle(|turn| turn.rate),
            );
        }
        text.push('\n');
    }
    text.push_str("Memory:\n\n| front | at start | an idle connection |\n| --- | --- | --- |\n");
    for measured in all {
        let _ = writeln!(
            text,
            "| {} | {:.1} MB | {:.1} KB |",
            measured.name,
            measured.memory as f64 / 1e6,
            measured.idle_connection as f64 / 1e3,
        );
    }
    text
}

/// The goals that `ours` misses.
pub fn missed(ours: &Measured, base: &Measured) -> Vec<String> {
    let mut missed = Vec::new();
    for (turns, base_turns, when) in [
        (&ours.paced, &base.paced, "at the same pace"),
        (&ours.full, &base.full, "as fast as each answers"),
    ] {
        let ratio = ratio(turns, base_turns).median;
        if ratio > MOST_RATIO {
            missed.push(format!(
                "{ratio:.2} times {}'s CPU a request {when}, at most {MOST_RATIO} is the goal",
                base.name
            ));
        }
    }
    if ours.memory > MOST_MEMORY {
        missed.push(format!(
            "{} bytes at start, at most {MOST_MEMORY} is the goal",
            ours.memory
        ));
    }
    if ours.idle_connection > MOST_IDLE {
        missed.push(format!(
            "{} bytes for an idle connection, at most {MOST_IDLE} is the goal",
            ours.idle_connection
        ));
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, times: &[f64], memory: u64) -> Measured {
        let turns = times.iter().map(|time| Turn {
            user: time / 2.0,
            system: time / 2.0,
            rate: 1e6 / time,
            closed: 0,
        });
        Measured {
            name: name.to_owned(),
            paced: turns.clone().collect(),
            full: turns.collect(),
            memory,
            idle_connection: 100,
        }
    }

    #[test]
    fn rounds_are_compared_with_the_same_round() {
        let (ours, base) = (
            measured("a", &[20.0, 40.0, 15.0], 1),
            measured("b", &[10.0, 20.0, 10.0], 1),
        );
        let found = ratio(&ours.paced, &base.paced);
        assert_eq!(
            found,
            Spread {
                median: 2.0,
                least: 1.5,
                most: 2.0
            }
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(spread([4.0, 1.0, 3.0, 2.0].into_iter()).median, 2.5);
        assert_eq!(
            spread([7.0].into_iter()),
            Spread {
                median: 7.0,
                least: 7.0,
                most: 7.0
            }
        );
    }

    #[test]
    fn goals_are_missed_above_their_bounds_only() {
        let base = measured("nginx", &[10.0], 1);
        assert_eq!(
            missed(&measured("ours", &[15.0], MOST_MEMORY), &base),
            [""; 0]
        );
        assert_eq!(
            missed(&measured("ours", &[15.2], MOST_MEMORY + 1), &base).len(),
            3
        );
    }

    #[test]
    fn both_reports_name_every_front() {
        let all = [measured("ours", &[12.0], 1), measured("nginx", &[10.0], 1)];
        let table = table(&all, &all[1]);
        assert!(
            table.contains("| ours | 1.20 (1.20 to 1.20) | 12.0 (6.0 + 6.0) |"),
            "{table}"
        );
        assert_eq!(
            json(&all, &all[1])["fronts"][0]["paced"]["ratio"]["median"],
            1.2
        );
    }
}
