//! What must hold, and whether it does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    calls::NOT_NOTHING,
    measure::Turn,
    outcome::{BESIDE, Discipline, Measured, OURS, Outcome},
    statistics::ratio,
};

/// What is compared with a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Our processor time a request in that of the front with this key, at any pace.
    Time(&'static str),
    /// Our requests a second in those of the front with this key, where every worker has a core of its own.
    Rate(&'static str),
    /// Our p99 in that front's, at the common pace.
    Tail(&'static str),
    /// Bytes resident at the start.
    Memory,
    /// Bytes of an idle connection.
    IdleConnection,
}

struct Goal {
    variant: &'static str,
    what: What,
    most: f64,
    /// Whether the bound itself is too much.
    under: bool,
    aim: Option<f64>,
}

const fn time(variant: &'static str, key: &'static str, most: f64, aim: Option<f64>) -> Goal {
    Goal {
        variant,
        what: What::Time(key),
        most,
        under: false,
        aim,
    }
}

const GOALS: [Goal; 16] = [
    time("200b", "nginx", 0.95, Some(0.8)),
    time("200b", "haproxy", 0.85, Some(0.7)),
    time("200b", "pingora", 0.5, None),
    time("200b", "envoy", 0.35, None),
    time("200b", "envoy-wasm", 0.3, None),
    time("200b", "apache", 0.3, None),
    Goal {
        what: What::Tail("nginx"),
        ..time("200b", "nginx", 1.0, None)
    },
    time("1m", "nginx", 1.0, Some(0.7)),
    time("none", BESIDE, 1.15, Some(1.08)),
    time("policies-5", BESIDE, 1.15, Some(1.08)),
    Goal {
        under: true,
        ..time("shadow-10", BESIDE, 1.03, None)
    },
    Goal {
        under: true,
        ..time("record-1", BESIDE, 1.03, None)
    },
    Goal {
        under: true,
        ..time("workers-2", BESIDE, 1.1, None)
    },
    Goal {
        what: What::Rate(BESIDE),
        ..time("workers-2", BESIDE, 1.7, None)
    },
    Goal {
        what: What::Memory,
        ..time("200b", "", 40e6, None)
    },
    Goal {
        what: What::IdleConnection,
        under: true,
        ..time("200b", "", 10e3, None)
    },
];

/// A goal and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The variant and the measure.
    pub says: String,
    /// The bound.
    pub bound: String,
    /// What is hoped for.
    pub aim: Option<f64>,
    /// The median, where there is one.
    pub measured: Option<f64>,
    /// Nothing where it was not measured.
    pub held: Option<bool>,
    /// Why it was not.
    pub why: Option<String>,
}

/// Compares what ran with its goals.
pub fn judge(outcomes: &[Outcome]) -> Vec<Judgement> {
    let mut all = Vec::new();
    for goal in &GOALS {
        let disciplines: &[Discipline] = match goal.what {
            What::Time(_) => &[Discipline::Saturated, Discipline::Paced],
            What::Rate(_) => &[Discipline::Saturated],
            _ => &[Discipline::Paced],
        };
        let ran = outcomes
            .iter()
            .find(|outcome| outcome.variant.key == goal.variant);
        if let Some(outcome) = ran {
            all.extend(
                disciplines
                    .iter()
                    .map(|discipline| judged(goal, *discipline, outcome)),
            );
        }
    }
    all
}

fn judged(goal: &Goal, discipline: Discipline, outcome: &Outcome) -> Judgement {
    let least = matches!(goal.what, What::Rate(_));
    let (sign, holds): (_, fn(f64, f64) -> bool) = match (least, goal.under) {
        (true, _) => (">=", |value, bound| value >= bound),
        (_, true) => ("<", |value, bound| value < bound),
        (_, false) => ("<=", |value, bound| value <= bound),
    };
    let holds = |value| holds(value, goal.most);
    let asks = outcome
        .front(BESIDE)
        .and_then(|front| front.calls.as_ref())
        .filter(|calls| calls.starts_with(NOT_NOTHING));
    let when = match discipline {
        Discipline::Saturated => "as fast as it answers",
        Discipline::Paced => "at the common pace",
    };
    let variant = goal.variant;
    let other = outcome.variant.beside.map_or("", |beside| beside.says);
    let says = match goal.what {
        What::Time(BESIDE) => format!("{variant}: CPU a request in that with {other}, {when}"),
        What::Rate(_) => format!("{variant}: requests a second in those with {other}, {when}"),
        What::Time(key) => format!("{variant}: CPU a request in {key}'s, {when}"),
        What::Tail(key) => format!("{variant}: p99 in {key}'s, at half its rate"),
        What::Memory => format!("{variant}: bytes resident at the start"),
        What::IdleConnection => format!("{variant}: bytes of an idle connection"),
    };
    let (measured, held, why) = match (value(goal, discipline, outcome), asks) {
        (Err(why), _) => (None, None, Some(why)),
        // What it costs without a policy is then overestimated, so only a miss is certain.
        (Ok(value), Some(_)) if holds(value) => (Some(value), None, Some(NOT_NOTHING.to_owned())),
        (Ok(value), _) => (Some(value), Some(holds(value)), None),
    };
    Judgement {
        says,
        bound: format!("{sign} {}", goal.most),
        aim: goal.aim,
        measured,
        held,
        why,
    }
}

fn value(goal: &Goal, discipline: Discipline, outcome: &Outcome) -> Result<f64, String> {
    let front = |key: &str| {
        outcome
            .front(key)
            .ok_or_else(|| format!("{key} was not there"))
    };
    let ours = front(OURS)?;
    let against = |other: &Measured, what: fn(&Turn) -> f64| {
        ratio(ours.turns(discipline), other.turns(discipline), what).median
    };
    match goal.what {
        What::Time(key) => Ok(against(front(key)?, Turn::total)),
        What::Rate(key) if outcome.cores_are_free => Ok(against(front(key)?, |turn| turn.rate)),
        What::Rate(_) => Err("the workers share cores with the client".to_owned()),
        What::Tail(key) => {
            let other = front(key)?;
            if outcome.pace.half_of.as_deref() != Some(key) {
                return Err(format!("the pace was not half of {key}'s"));
            }
            Ok(against(other, |turn| turn.p99))
        }
        What::Memory => Ok(ours.memory as f64),
        What::IdleConnection => ours
            .idle_connection
            .map(|bytes| bytes as f64)
            .ok_or_else(|| "nobody looked".to_owned()),
    }
}

/// Variants that have goals and did not run.
pub fn left(outcomes: &[Outcome]) -> Vec<&'static str> {
    let mut left: Vec<_> = GOALS.iter().map(|goal| goal.variant).collect();
    left.sort_unstable();
    left.dedup();
    left.retain(|key| !outcomes.iter().any(|outcome| outcome.variant.key == *key));
    left
}

/// Those that were missed, one a line.
pub fn missed(all: &[Judgement]) -> Vec<String> {
    all.iter()
        .filter(|goal| goal.held == Some(false))
        .map(|goal| {
            let measured = goal.measured.unwrap_or(f64::NAN);
            format!(
                "{}: {}, and {} is the goal",
                goal.says,
                figure(measured),
                goal.bound
            )
        })
        .collect()
}

/// For people.
pub fn table(all: &[Judgement]) -> String {
    if all.is_empty() {
        return "What ran has no goals.\n".to_owned();
    }
    let mut text =
        String::from("| goal | bound | aim | measured | |\n| --- | --- | --- | --- | --- |\n");
    for goal in all {
        let verdict = match (goal.held, &goal.why) {
            (Some(true), _) => "held".to_owned(),
            (Some(false), _) => "MISSED".to_owned(),
            (None, why) => format!("not measured: {}", why.as_deref().unwrap_or_default()),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {verdict} |",
            goal.says,
            goal.bound,
            goal.aim.map_or_else(String::new, |aim| aim.to_string()),
            goal.measured.map_or_else(String::new, figure),
        );
    }
    text
}

fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

/// For programs.
pub fn json(all: &[Judgement]) -> Value {
    let each = |goal: &Judgement| {
        json!({
            "goal": goal.says,
            "bound": goal.bound,
            "aim": goal.aim,
            "measured": goal.measured,
            "held": goal.held,
            "why_not": goal.why,
        })
    };
    all.iter().map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        outcome::sample,
        variant::{self, Variant},
    };

    fn variant(key: &str) -> &'static Variant {
        variant::chosen(&[key.to_owned()]).unwrap()[0]
    }

    fn goal<'a>(all: &'a [Judgement], says: &str) -> &'a Judgement {
        all.iter().find(|goal| goal.says.starts_with(says)).unwrap()
    }

    #[test]
    fn every_goal_names_a_variant_that_there_is() {
        for goal in &GOALS {
            assert_eq!(variant(goal.variant).key, goal.variant);
        }
    }

    #[test]
    fn goals_are_missed_above_their_bounds_only() {
        for (ours, held) in [(9.5, true), (9.6, false)] {
            let outcome = sample(variant("200b"), &[(OURS, &[ours]), ("nginx", &[10.0])]);
            let all = judge(&[outcome]);
            assert_eq!(
                goal(&all, "200b: CPU a request in nginx's").held,
                Some(held)
            );
            assert_eq!(goal(&all, "200b: p99 in nginx's").held, Some(true));
            assert_eq!(missed(&all).len(), if held { 0 } else { 2 });
        }
        for (ours, held) in [(102.9, true), (103.0, false)] {
            let outcome = sample(variant("shadow-10"), &[(OURS, &[ours]), (BESIDE, &[100.0])]);
            assert_eq!(goal(&judge(&[outcome]), "shadow-10").held, Some(held));
        }
    }

    #[test]
    fn what_was_not_there_is_not_measured_and_not_missed() {
        let outcomes = [sample(
            variant("200b"),
            &[(OURS, &[9.0]), ("nginx", &[10.0])],
        )];
        let all = judge(&outcomes);
        assert!(!left(&outcomes).contains(&"200b") && left(&outcomes).contains(&"1m"));
        let envoy = goal(&all, "200b: CPU a request in envoy's");
        assert_eq!(
            (envoy.held, envoy.why.as_deref()),
            (None, Some("envoy was not there"))
        );
        assert!(table(&all).contains("not measured: envoy was not there"));
        assert!(all.iter().all(|goal| goal.says.starts_with("200b")));
        assert!(missed(&all).is_empty());
    }

    #[test]
    fn two_workers_are_to_do_more_where_they_have_cores() {
        for (ours, free, held) in [(5.8, true, true), (5.9, true, false), (5.8, false, true)] {
            let mut outcome = sample(variant("workers-2"), &[(OURS, &[ours]), (BESIDE, &[10.0])]);
            outcome.cores_are_free = free;
            let all = judge(&[outcome]);
            let rate = goal(
                &all,
                "workers-2: requests a second in those with one worker",
            );
            assert_eq!(rate.bound, ">= 1.7");
            assert_eq!(rate.held, free.then_some(held));
        }
    }

    #[test]
    fn a_pace_that_was_given_proves_nothing_of_half_the_rate() {
        let mut outcome = sample(variant("200b"), &[(OURS, &[9.0]), ("nginx", &[10.0])]);
        outcome.pace.half_of = None;
        assert_eq!(goal(&judge(&[outcome]), "200b: p99").held, None);
    }

    #[test]
    fn a_front_without_policies_that_asked_one_can_prove_a_miss_alone() {
        for (ours, held) in [(11.0, None), (12.0, Some(false))] {
            let mut outcome = sample(variant("none"), &[(OURS, &[ours]), (BESIDE, &[10.0])]);
            outcome.fronts[1].calls = Some(format!("{NOT_NOTHING}: 7"));
            assert_eq!(goal(&judge(&[outcome]), "none").held, held);
        }
    }
}
