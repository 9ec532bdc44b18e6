//! What a scenario showed, for the terminal.

use std::{fmt::Write as _, time::Duration};

use super::{
    chart::{bar, grouped, strip},
    expect::Expected,
    judge::{Broken, Seen},
    play::{Outcome, Played, Tally},
    scenario::Scenario,
    stage::Tested,
    watched::Ledger,
};
use crate::{
    config::{self, problems::Problems},
    snapshot::MemberId,
    wasm::fuel_of,
};

/// Cells of a bar, and of a strip.
const BAR: usize = 30;
const STRIP: usize = 60;

/// What is told.
pub(super) struct Told<'a> {
    pub tested: &'a Tested,
    pub scenario: &'a Scenario,
    pub played: &'a [Played],
    pub ledger: &'a Ledger,
    /// Before the first step, and after each.
    pub tallies: &'a [Tally],
    pub time: Duration,
}

/// Tables, charts, and the verdict last.
pub(super) fn tell(told: &Told<'_>) -> Outcome {
    let mut out = String::new();
    told.header(&mut out);
    told.steps(&mut out);
    told.members(&mut out);
    told.course(&mut out);
    told.calls(&mut out);
    let held = told.verdict(&mut out);
    Outcome { text: out, held }
}

// Writing to a string cannot fail, so the results of `write!` are not looked at.
impl Told<'_> {
    fn header(&self, out: &mut String) {
        let (requests, steps) = (self.played.len(), self.scenario.steps.len());
        let file = self.scenario.file.display();
        let digest = self.tested.digest().to_string();
        let _ = writeln!(
            out,
            "{file}: {} in {}, {}; policy {}…",
            count(requests, "request"),
            count(steps, "step"),
            match self.time {
                Duration::ZERO => "at one moment".to_owned(),
                time => format!("{time:?} of time"),
            },
            &digest[..12]
        );
    }

    fn ids(&self) -> Vec<(&MemberId, &str)> {
        self.scenario.names.iter().collect()
    }

    fn slice(&self, step: usize) -> &[Played] {
        &self.played[self.tallies[step].requests..self.tallies[step + 1].requests]
    }

    /// Who served how many, step by step.
    fn steps(&self, out: &mut String) {
        let ids = self.ids();
        let labels: Vec<String> = (0..self.scenario.steps.len())
            .map(|i| self.label(i))
            .collect();
        let width = labels
            .iter()
            .map(|l| l.chars().count())
            .max()
            .unwrap_or(0)
            .max(4);
        let _ = write!(out, "\n{:width$}  requests", "step");
        let columns: Vec<usize> = ids
            .iter()
            .map(|(_, name)| name.chars().count().max(6))
            .collect();
        for ((_, name), width) in ids.iter().zip(&columns) {
            let _ = write!(out, "  {name:>width$}");
        }
        let _ = writeln!(out, "  nobody");
        for (step, label) in labels.iter().enumerate() {
            let played = self.slice(step);
            let _ = write!(out, "{label:width$}  {:>8}", played.len());
            for ((id, _), width) in ids.iter().zip(&columns) {
                let _ = write!(out, "  {:>width$}", served(played, Some(id)));
            }
            let _ = writeln!(out, "  {:>6}", served(played, None));
        }
    }

    fn label(&self, step: usize) -> String {
        match self.scenario.steps[step].name.as_str() {
            "" => format!("{}", step + 1),
            name => format!("{} {name}", step + 1),
        }
    }

    /// How fair it was.
    fn members(&self, out: &mut String) {
        let ids = self.ids();
        let width = width(&ids);
        let _ = writeln!(
            out,
            "\n{:width$}  weight  requests   share     due",
            "member"
        );
        let last = &self.tallies[self.tallies.len() - 1].balancer;
        let sum: u64 = last.members.iter().map(|m| u64::from(m.weight)).sum();
        // Where weights or members change there is no one share that would be fair.
        let constant = self
            .scenario
            .steps
            .iter()
            .all(|step| step.balancer.is_none());
        for (id, name) in ids {
            let count = served(self.played, Some(id));
            let share = count as f64 / self.played.len().max(1) as f64;
            let member = last.members.iter().find(|m| m.id == *id);
            let weight = member.map(|m| format!("{:.2}", f64::from(m.weight) / 100.0));
            let due = member.filter(|_| constant).map(|m| {
                let due = 100.0 * f64::from(m.weight) / sum as f64;
                format!("{due:.1} %")
            });
            let (weight, due) = (
                weight.unwrap_or_else(|| "left".into()),
                due.unwrap_or_else(|| "-".into()),
            );
            let _ = writeln!(
                out,
                "{name:width$}  {weight:>6}  {count:>8}  {:>6}  {due:>6}  {}",
                format!("{:.1} %", 100.0 * share),
                bar(share, BAR)
            );
        }
    }

    /// How that changed over time.
    fn course(&self, out: &mut String) {
        let each = self.played.len().div_ceil(STRIP);
        if self.played.len() < 2 {
            return;
        }
        let ids = self.ids();
        let width = width(&ids);
        let _ = writeln!(
            out,
            "\nshares over time, {} a column",
            count(each, "request")
        );
        for (id, name) in ids {
            let share = |part: &[Played]| served(part, Some(id)) as f64 / part.len() as f64;
            let line = strip(self.played.chunks(each).map(share));
            let _ = writeln!(out, "{name:width$}  {}", line.trim_end());
        }
    }

    /// What the policy's calls cost.
    fn calls(&self, out: &mut String) {
        let costs = self.ledger.costs();
        if costs.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "\n{:15}  {:>8}  {:>12}  {:>12}  {:>12}  of its limit",
            "calls", "number", "cheapest", "median", "dearest"
        );
        let limits = &self.scenario.snapshot.policies[super::compile::TESTED].limits;
        for (hook, costs) in costs {
            let (Some(least), Some(most)) = (costs.first(), costs.last()) else {
                continue;
            };
            let allowed = match hook {
                "members-changed" | "restore" => limits.init_deadline,
                _ => limits.deadline,
            };
            let part = 100.0 * *most as f64 / fuel_of(allowed).max(1) as f64;
            let _ = writeln!(
                out,
                "{hook:15}  {:>8}  {:>12}  {:>12}  {:>12}  {part:.2} %",
                grouped(costs.len() as u64),
                grouped(*least),
                grouped(costs[costs.len() / 2]),
                grouped(*most)
            );
        }
    }

    /// Whether everything held; else what did not, each with its line.
    fn verdict(&self, out: &mut String) -> bool {
        let steps = self.scenario.steps.iter().enumerate();
        let by_step =
            steps.flat_map(|(index, step)| step.expect.iter().map(move |e| (Some(index), e)));
        let all: Vec<_> = by_step
            .chain(self.scenario.expect.iter().map(|e| (None, e)))
            .collect();
        let mut problems = Problems::default();
        let mut first = None;
        let mut failed = 0;
        for (step, expected) in &all {
            let Some(broken) = self.judged(*step, expected) else {
                continue;
            };
            failed += 1;
            first.get_or_insert(*step);
            let message = self.message(*step, &broken);
            problems.error(&expected.place, message, broken.context);
        }
        out.push('\n');
        let texts = vec![(self.scenario.file.clone(), self.scenario.text.clone())];
        for found in config::located(problems, &texts) {
            let _ = writeln!(out, "{found}");
        }
        let file = self.scenario.file.display();
        let _ = match first {
            None => writeln!(out, "{file}: {} held", count(all.len(), "expectation")),
            Some(step) => {
                let place = step.map_or("of all requests together".to_owned(), |step| {
                    format!("in {}", self.step(step))
                });
                let verb = if failed == 1 { "is" } else { "are" };
                writeln!(
                    out,
                    "{file}: {failed} of {} {verb} broken, the first {place}",
                    count(all.len(), "expectation")
                )
            }
        };
        failed == 0
    }

    fn judged(&self, step: Option<usize>, expected: &Expected) -> Option<Broken> {
        let (from, to) = match step {
            Some(step) => (&self.tallies[step], &self.tallies[step + 1]),
            None => (&self.tallies[0], &self.tallies[self.tallies.len() - 1]),
        };
        let seen = Seen {
            played: &self.played[from.requests..to.requests],
            names: &self.scenario.names,
            balancer: &to.balancer,
            ledger: self.ledger,
            faults: (from.faults, to.faults),
            overruled: to.overruled.saturating_sub(from.overruled),
            marks: &from.marks,
        };
        seen.judge(&expected.what)
    }

    fn message(&self, step: Option<usize>, broken: &Broken) -> String {
        let Broken {
            request, message, ..
        } = broken;
        let request = request.map(|index| format!("request {} ", index + 1));
        match (step, request) {
            (Some(step), Some(request)) => format!("{request}of {} {message}", self.step(step)),
            (Some(step), None) => format!("in {} {message}", self.step(step)),
            (None, Some(request)) => format!("{request}{message}"),
            (None, None) => message.clone(),
        }
    }

    fn step(&self, index: usize) -> String {
        match self.scenario.steps[index].name.as_str() {
            "" => format!("step {}", index + 1),
            name => format!("step {} ({name})", index + 1),
        }
    }
}

fn served(played: &[Played], by: Option<&MemberId>) -> usize {
    played.iter().filter(|played| played.served() == by).count()
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number as u64))
}

/// Of the column with these names.
fn width(ids: &[(&MemberId, &str)]) -> usize {
    let widths = ids.iter().map(|(_, name)| name.chars().count());
    widths.max().unwrap_or(0).max("member".len())
}
