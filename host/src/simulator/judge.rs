//! Whether what must hold did.

use std::collections::BTreeMap;

use super::{
    expect::{Expectation, Shares},
    names::Names,
    play::{End, Played},
    watched::Ledger,
};
use crate::{
    http1::Fields,
    snapshot::{Balancer, MemberId, Status},
};

/// The requests of a step, or of all, and what else happened meanwhile.
pub(super) struct Seen<'a> {
    pub played: &'a [Played],
    pub names: &'a Names,
    /// As it was at the end.
    pub balancer: &'a Balancer,
    pub ledger: &'a Ledger,
    /// The ledger's count before.
    pub faults: (usize, usize),
    pub overruled: u64,
    pub marks: &'a BTreeMap<&'static str, usize>,
}

/// What did not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Index of the request that shows it, if one does.
    pub request: Option<usize>,
    pub message: String,
    /// What helps to understand it.
    pub context: String,
}

/// How many of the requests before are shown.
const BEFORE: usize = 12;

impl Seen<'_> {
    /// What is wrong, if it does not hold.
    pub fn judge(&self, what: &Expectation) -> Option<Broken> {
        match what {
            Expectation::Sequence { members, repeats } => self.sequence(members, *repeats),
            Expectation::Shares { of, within } => self.shares(of, *within),
            Expectation::Never(ids) => self.asked(|id| ids.contains(id), "is never to be asked"),
            Expectation::Only(ids) => self.asked(|id| !ids.contains(id), "is not to be asked"),
            Expectation::Sticky => self.sticky(),
            Expectation::DecidedBy(word) => self.each(|played| {
                let found = played.tries.last().map_or("nobody", |last| &last.by);
                (found != word).then(|| format!("was decided by {found}, {word} is due"))
            }),
            Expectation::Status(ranges) => self.each(|played| {
                let status = played.end.status();
                let due = ranges.iter().any(|range| range.contains(status));
                (!due).then(|| format!("got {}", played.end))
            }),
            Expectation::Headers(lines) => self.each(|played| match &played.end {
                End::Answered { fields, .. } => differing(lines, fields, "the answer"),
                other => Some(format!("got {other}")),
            }),
            Expectation::Body(due) => self.each(|played| match &played.end {
                End::Answered { body, .. } => (body != due.as_bytes()).then(|| {
                    let body = String::from_utf8_lossy(body);
                    format!("got the body {body:?}, {due:?} is due")
                }),
                other => Some(format!("got {other}")),
            }),
            Expectation::Path(due) => self.sent(|sent| one("path", &sent.path, due)),
            Expectation::Host(due) => self.sent(|sent| one("host", &sent.host, due)),
            Expectation::Sent(lines) => {
                self.sent(|sent| differing(lines, &sent.fields, "the request"))
            }
            Expectation::Faults(due) => self.faults(*due),
            Expectation::Overruled(due) => (self.overruled != u64::from(*due)).then(|| {
                let message = format!(
                    "the gateway could not follow {} of the policy's decisions, {due} are due",
                    self.overruled
                );
                broken(
                    None,
                    message,
                    "it chose members that cannot serve now: see pool.usable",
                )
            }),
            Expectation::Fuel(most) => {
                let (hook, cost) = self.ledger.dearest(self.marks)?;
                (cost > *most).then(|| {
                    let message =
                        format!("a call of {hook} took {cost} instructions, {most} is the most");
                    broken(
                        None,
                        message,
                        "the table of calls below shows what is usual",
                    )
                })
            }
        }
    }

    fn name<'a>(&'a self, id: Option<&'a MemberId>) -> &'a str {
        id.map_or("nobody", |id| self.names.name(id))
    }

    fn each(&self, wrong: impl Fn(&Played) -> Option<String>) -> Option<Broken> {
        let mut all = self.played.iter().enumerate();
        all.find_map(|(index, played)| {
            let message = wrong(played)?;
            Some(broken(Some(index), message, self.before(index)))
        })
    }

    fn sent(&self, wrong: impl Fn(&super::play::Sent) -> Option<String>) -> Option<Broken> {
        self.each(|played| match &played.sent {
            Some(sent) => wrong(sent),
            None => Some(format!("was sent to nobody: {}", played.end)),
        })
    }

    fn sequence(&self, due: &[Option<MemberId>], repeats: bool) -> Option<Broken> {
        let at = |index: usize| match repeats {
            true => due.get(index.checked_rem(due.len())?),
            false => due.get(index),
        };
        for (index, played) in self.played.iter().enumerate() {
            let served = played.served();
            let Some(due) = at(index) else {
                let message = format!(
                    "there are {} requests, the sequence has {}",
                    self.played.len(),
                    due.len()
                );
                return Some(broken(
                    Some(index),
                    message,
                    "make them equal, or write cycle",
                ));
            };
            if served != due.as_ref() {
                let (served, due) = (self.name(served), self.name(due.as_ref()));
                let why = match &played.end {
                    End::Refused { why, .. } => format!(" ({why})"),
                    _ => String::new(),
                };
                let message = format!("was served by {served}{why}, {due} is due");
                return Some(broken(Some(index), message, self.before(index)));
            }
        }
        (!repeats && due.len() > self.played.len()).then(|| {
            let message = format!(
                "there are {} requests, the sequence has {}",
                self.played.len(),
                due.len()
            );
            broken(None, message, "make them equal, or write cycle")
        })
    }

    /// Who served the requests before.
    fn before(&self, index: usize) -> String {
        if index == 0 {
            return "it is the first".to_owned();
        }
        let first = index.saturating_sub(BEFORE);
        let names = self.played[first..index].iter().map(|p| match p.served() {
            Some(id) => self.names.name(id),
            None => "-",
        });
        let more = if first > 0 { "… " } else { "" };
        format!(
            "before it came {more}{}",
            names.collect::<Vec<_>>().join(" ")
        )
    }

    fn shares(&self, due: &Shares, within: f64) -> Option<Broken> {
        let due = match due {
            Shares::Percent(list) => list.clone(),
            Shares::Weights => self.by_weight(),
        };
        let all = self.played.len() as f64;
        let off = |(id, due): &(MemberId, f64)| {
            let count = self
                .played
                .iter()
                .filter(|p| p.served() == Some(id))
                .count();
            let share = 100.0 * count as f64 / all;
            let name = self.names.name(id);
            let wrong = (share - due).abs() > within + 1e-9;
            wrong.then(|| format!("{name} served {share:.1} % of the requests, {due:.1} % are due"))
        };
        let message = due.iter().find_map(off)?;
        Some(broken(None, message, format!("{within} % are allowed for")))
    }

    fn by_weight(&self) -> Vec<(MemberId, f64)> {
        let able = self
            .balancer
            .members
            .iter()
            .filter(|m| m.status == Status::Ok);
        let able: Vec<_> = able.collect();
        let sum: u64 = able.iter().map(|m| u64::from(m.weight)).sum();
        let share = |weight: u32| 100.0 * f64::from(weight) / sum as f64;
        able.iter()
            .map(|m| (m.id.clone(), share(m.weight)))
            .collect()
    }

    fn asked(&self, wrong: impl Fn(&MemberId) -> bool, why: &str) -> Option<Broken> {
        self.each(|played| {
            let found = played.tries.iter().find(|one| wrong(&one.member))?;
            Some(format!(
                "went to {}, which {why}",
                self.names.name(&found.member)
            ))
        })
    }

    fn sticky(&self) -> Option<Broken> {
        let mut homes = BTreeMap::new();
        for (index, played) in self.played.iter().enumerate() {
            let (Some(session), Some(served)) = (&played.session, played.served()) else {
                continue;
            };
            let home = *homes.entry(session).or_insert(served);
            if home != served {
                let (now, before) = (self.names.name(served), self.names.name(home));
                let message = format!("took session {session} from {before} to {now}");
                return Some(broken(Some(index), message, "sticky means that it stays"));
            }
        }
        let nobody = homes.is_empty() && !self.played.is_empty();
        nobody.then(|| {
            let message = "no request of a session was served";
            broken(
                None,
                message.into(),
                "write session = \"alice\" or sessions = 10",
            )
        })
    }

    fn faults(&self, due: u32) -> Option<Broken> {
        let (before, now) = self.faults;
        let found = now.saturating_sub(before);
        if found as u64 == u64::from(due) {
            return None;
        }
        let message = format!(
            "the policy failed {} ({due} of its calls may)",
            times(found)
        );
        let context = match self.ledger.fault(before) {
            Some((hook, fault)) => format!("first in {hook}: {fault}"),
            None => "it did not fail at all".to_owned(),
        };
        Some(broken(None, message, context))
    }
}

fn times(count: usize) -> String {
    match count {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn broken(request: Option<usize>, message: String, context: impl Into<String>) -> Broken {
    Broken {
        request,
        message,
        context: context.into(),
    }
}

fn one(what: &str, found: &str, due: &str) -> Option<String> {
    (found != due).then(|| format!("went out with the {what} {found:?}, {due:?} is due"))
}

fn differing(due: &[(String, Vec<String>)], fields: &Fields, what: &str) -> Option<String> {
    due.iter().find_map(|(name, due)| {
        let found: Vec<_> = fields.all(name).map(String::from_utf8_lossy).collect();
        (found != *due).then(|| format!("{what} has {name} {found:?}, {due:?} is due"))
    })
}
