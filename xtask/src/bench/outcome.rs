//! What was measured of a variant.

use super::{measure::Turn, variant::Variant};

/// The gateway itself among the fronts.
pub const OURS: &str = "switchyard";
/// The gateway in another configuration.
pub const BESIDE: &str = "beside";

/// What was measured of one front.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// `nginx`
    pub key: String,
    /// `nginx`, `Switchyard, no shadow`
    pub name: String,
    /// As the program says it.
    pub version: String,
    /// What it leaves undone of what the others do.
    pub lacks: Option<&'static str>,
    /// One a round, as fast as it answers.
    pub saturated: Vec<Turn>,
    /// One a round, at the same pace as the others.
    pub paced: Vec<Turn>,
    /// Bytes of all its processes before the first request.
    pub memory: u64,
    /// And after the last.
    pub memory_after: u64,
    /// Bytes, where they were looked at.
    pub idle_connection: Option<u64>,
    /// What the counters of its policies prove.
    pub calls: Option<String>,
}

impl Measured {
    /// One a round.
    pub fn turns(&self, discipline: Discipline) -> &[Turn] {
        match discipline {
            Discipline::Saturated => &self.saturated,
            Discipline::Paced => &self.paced,
        }
    }
}

/// How fast requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discipline {
    /// The next one after each answer.
    Saturated,
    /// By the clock, for every front the same.
    Paced,
}

/// How fast they come by the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Requests a second.
    pub rate: u32,
    /// The key of the front that answers twice as many; nothing where the rate was given.
    pub half_of: Option<String>,
}

/// One variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which.
    pub variant: &'static Variant,
    /// Of the paced turns.
    pub pace: Pace,
    /// All fronts; ours is the first.
    pub fronts: Vec<Measured>,
    /// Which of them the others are divided by.
    pub reference: usize,
    /// Whether the fronts' cores do nothing else.
    pub cores_are_free: bool,
}

impl Outcome {
    /// The front with that key.
    pub fn front(&self, key: &str) -> Option<&Measured> {
        self.fronts.iter().find(|front| front.key == key)
    }

    /// What the others are divided by.
    pub fn reference(&self) -> &Measured {
        &self.fronts[self.reference]
    }
}

#[cfg(test)]
pub fn sample(variant: &'static Variant, fronts: &[(&str, &[f64])]) -> Outcome {
    let measured = |(key, times): &(&str, &[f64])| {
        let turns: Vec<_> = times.iter().map(|time| Turn::of_time(*time)).collect();
        Measured {
            key: (*key).to_owned(),
            name: format!("The {key}"),
            version: "1.0".to_owned(),
            lacks: None,
            saturated: turns.clone(),
            paced: turns,
            memory: 1_000_000,
            memory_after: 2_000_000,
            idle_connection: Some(1_000),
            calls: None,
        }
    };
    Outcome {
        variant,
        pace: Pace {
            rate: 1_000,
            half_of: Some("nginx".to_owned()),
        },
        fronts: fronts.iter().map(measured).collect(),
        reference: fronts.len() - 1,
        cores_are_free: true,
    }
}
