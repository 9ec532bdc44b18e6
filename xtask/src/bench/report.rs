//! The tables of a variant, for people, and everything, for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    measure::{CONNECTIONS, Turn},
    outcome::{Discipline, Measured, Outcome},
    statistics::{Spread, median, ratio},
};

/// A front that left this much of its core unused was not what held the client up.
const BUSY: f64 = 0.95;
/// Fewer answers than this share of what was to be sent: the front did not keep the pace.
const KEPT: f64 = 0.98;

/// Everything, for programs.
pub fn json(outcome: &Outcome) -> Value {
    let reference = outcome.reference();
    let range = |spread: Spread| json!({ "median": spread.median, "least": spread.least, "most": spread.most });
    let regime = |measured: &Measured, discipline| {
        let (turns, by) = (measured.turns(discipline), reference.turns(discipline));
        json!({
            "cpu_ratio": range(ratio(turns, by, Turn::total)),
            "p99_ratio": range(ratio(turns, by, |turn| turn.p99)),
            "turns": turns.iter().map(turn).collect::<Vec<_>>(),
        })
    };
    let front = |measured: &Measured| {
        json!({
            "key": measured.key,
            "name": measured.name,
            "version": measured.version,
            "lacks": measured.lacks,
            "saturated": regime(measured, Discipline::Saturated),
            "paced": regime(measured, Discipline::Paced),
            "resident_bytes": measured.memory,
            "resident_bytes_after": measured.memory_after,
            "idle_connection_bytes": measured.idle_connection,
            "policy_calls": measured.calls,
        })
    };
    json!({
        "variant": outcome.variant.key,
        "says": outcome.variant.says,
        "reference": reference.key,
        "connections": CONNECTIONS,
        "pace": { "requests_per_s": outcome.pace.rate, "half_of": outcome.pace.half_of },
        "fronts": outcome.fronts.iter().map(front).collect::<Vec<_>>(),
    })
}

fn turn(turn: &Turn) -> Value {
    json!({
        "user_us": turn.user,
        "system_us": turn.system,
        "requests_per_s": turn.rate,
        "p50_us": turn.p50,
        "p99_us": turn.p99,
        "p99_9_us": turn.p999,
        "core_share": turn.share,
        "failed": turn.failed,
        "closed": turn.closed,
    })
}

/// For people.
pub fn table(outcome: &Outcome) -> String {
    let mut text = format!("### `{}`: {}\n", outcome.variant.key, outcome.variant.says);
    let pace = match &outcome.pace.half_of {
        Some(key) => {
            let name = outcome.front(key).map_or(key, |front| &front.name);
            format!("half of what {name} answers")
        }
        None => "as asked for".to_owned(),
    };
    for (discipline, title) in [
        (
            Discipline::Saturated,
            "Each as fast as it answers".to_owned(),
        ),
        (
            Discipline::Paced,
            format!("All at {} requests a second, {pace}", outcome.pace.rate),
        ),
    ] {
        let _ = write!(text, "\n{title}:\n\n{}", regime(outcome, discipline));
    }
    text.push_str(
        "\nMemory:\n\n| front | at start | after the load | an idle connection |\n| --- | --- | --- | --- |\n",
    );
    for measured in &outcome.fronts {
        let idle = measured.idle_connection.map_or_else(
            || "-".to_owned(),
            |bytes| format!("{:.1} KB", bytes as f64 / 1e3),
        );
        let _ = writeln!(
            text,
            "| {} | {:.1} MB | {:.1} MB | {idle} |",
            measured.name,
            measured.memory as f64 / 1e6,
            measured.memory_after as f64 / 1e6,
        );
    }
    let notes = notes(outcome);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

fn regime(outcome: &Outcome, discipline: Discipline) -> String {
    let reference = outcome.reference();
    let of = match reference.name.split_once(", ") {
        Some((_, without)) => format!("that with {without}"),
        None => format!("{}'s", reference.name),
    };
    let mut text = format!(
        "| front | CPU a request, in {of} | CPU us a request (user + system) | requests/s | p50 us | p99 us | p99.9 us | p99, in {of} | failed |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for measured in &outcome.fronts {
        let (turns, by) = (measured.turns(discipline), reference.turns(discipline));
        let range = |what: fn(&Turn) -> f64| {
            let Spread {
                median,
                least,
                most,
            } = ratio(turns, by, what);
            format!("{median:.2} ({least:.2} to {most:.2})")
        };
        let middle = |what: fn(&Turn) -> f64| median(turns, what);
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} ({:.1} + {:.1}) | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} |",
            measured.name,
            range(Turn::total),
            middle(Turn::total),
            middle(|turn| turn.user),
            middle(|turn| turn.system),
            middle(|turn| turn.rate),
            middle(|turn| turn.p50),
            middle(|turn| turn.p99),
            middle(|turn| turn.p999),
            range(|turn| turn.p99),
            turns.iter().map(|turn| turn.failed).sum::<u64>(),
        );
    }
    text
}

/// What a reader of the tables must know.
fn notes(outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    for measured in &outcome.fronts {
        let name = &measured.name;
        if let Some(calls) = &measured.calls {
            notes.push(format!("{name}: {calls}."));
        }
        if let Some(lacks) = measured.lacks {
            notes.push(format!("{name} does less than the others: {lacks}."));
        }
        let share = median(&measured.saturated, |turn| turn.share);
        if share < BUSY {
            notes.push(format!(
                "{name} used {:.0} % of its core as fast as it answered: the client's core, or others on the machine, were the limit and \
                 not the front, so its requests a second are a lower bound.",
                share * 100.0
            ));
        }
        let rate = median(&measured.paced, |turn| turn.rate);
        if rate < KEPT * f64::from(outcome.pace.rate) {
            notes.push(format!(
                "{name} did not keep the pace: {rate:.0} requests a second of {}.",
                outcome.pace.rate
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        outcome::{OURS, sample},
        variant::VARIANTS,
    };

    #[test]
    fn both_reports_name_every_front() {
        let outcome = sample(&VARIANTS[0], &[(OURS, &[12.0]), ("nginx", &[10.0])]);
        let table = table(&outcome);
        assert!(
            table.contains("| The switchyard | 1.20 (1.20 to 1.20) | 12.0 (6.0 + 6.0) | 83333 | 12 | 24 | 36 | 1.20 (1.20 to 1.20) | 0 |"),
            "{table}"
        );
        let json = json(&outcome);
        assert_eq!(json["reference"], "nginx");
        assert_eq!(json["fronts"][0]["paced"]["cpu_ratio"]["median"], 1.2);
        assert_eq!(json["fronts"][1]["saturated"]["turns"][0]["p99_9_us"], 30.0);
    }

    #[test]
    fn a_front_that_waited_for_the_client_or_fell_behind_is_told() {
        let mut outcome = sample(&VARIANTS[0], &[(OURS, &[12.0]), ("nginx", &[10.0])]);
        assert!(notes(&outcome).is_empty());
        outcome.fronts[1].saturated[0].share = 0.9;
        outcome.fronts[0].paced[0].rate = 900.0;
        outcome.fronts[1].paced[0].rate = 990.0;
        let notes = notes(&outcome);
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("did not keep the pace: 900"), "{notes:?}");
        assert!(notes[1].contains("The nginx used 90 %"), "{notes:?}");
    }
}
