//! Who may be chosen now, and with which weight.
//!
//! The two columns that policies see as `pool.usable` and `pool.weights`. They
//! are computed once for all requests and again only when a member's state
//! changed or a time came (a `retry` ended, a ramp took a step). A retry, which
//! must not meet the members it tried before, gets columns of its own.
//!
//! The scan is httpd's: lb-sets in ascending order, the first that yields
//! anybody wins. Within a set come the ordinary members, and as many spares as
//! members of the set are unusable; if that is nobody, the set's standbys.
//!
//! ```text
//!   set 0: a(ok, blocked)  b(standby)     usable: b, although c is an ordinary member,
//!   set 1: c(ok)                          for set 0 has somebody
//! ```

use std::sync::Arc;

use super::{Admission, Micros, PoolMembers, clock::micros};
use crate::snapshot::Status;

/// Weights take a step this often while a member ramps up: a new column for
/// every pick would make every pick pull it.
const RAMP_STEP: Micros = 100_000;

/// A ramp starts at a tenth of the weight: enough to warm up with, too little to drown in.
const RAMP_START: f64 = 0.1;

/// Usable members and effective weights at one moment.
#[derive(Debug)]
pub struct Facts {
    /// With whom the columns are aligned.
    pub members: Arc<PoolMembers>,
    /// Differs whenever a column does; what `pick` gets.
    pub state: u64,
    /// 1 = may be chosen.
    pub usable: Vec<u8>,
    /// Hundredths, at least 1.
    pub weights: Vec<u32>,
    /// How many are usable.
    pub usable_count: u32,
    /// Blocked members whose trial is due and who would be usable if it went well.
    pub trials: Vec<u32>,
    /// Nobody is usable by right; members in error are tried because there are no others.
    pub forced: bool,
    /// When the columns may change without any event.
    pub(super) valid_until: Micros,
    /// `Signal::seen` before they were computed.
    pub(super) seen: u64,
}

/// What the scan needs to know of one member.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    status: Status,
    lb_set: u32,
    admission: Admission,
    full: bool,
    tried: bool,
}

/// Which members the scan accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lenience {
    /// Admitting, with a connection to be had.
    None,
    /// Full ones too: the request waits for a connection.
    Full,
    /// Also those whose trial is due, to see whom a success would make usable.
    Due,
    /// Whatever is not known to be down by an active check.
    Errors,
}

impl Candidate {
    fn is_available(&self, lenience: Lenience) -> bool {
        if self.tried || matches!(self.status, Status::Disabled | Status::Stopped) {
            return false;
        }
        match self.admission {
            Admission::Admitting => lenience != Lenience::None || !self.full,
            Admission::Due => matches!(lenience, Lenience::Due | Lenience::Errors),
            Admission::Blocked { .. } | Admission::Trial => lenience == Lenience::Errors,
            Admission::Unhealthy => false,
        }
    }
}

impl Facts {
    /// Computes the columns. `tried` holds indices that count as unusable.
    pub(super) fn compute(
        members: &Arc<PoolMembers>,
        now: Micros,
        tried: &[u32],
        seen: u64,
    ) -> Self {
        let mut valid_until = Micros::MAX;
        let mut weights = Vec::with_capacity(members.endpoints.len());
        let mut candidates = Vec::with_capacity(members.endpoints.len());
        let slow_start = micros(members.balancer.slow_start);
        for (index, endpoint) in members.endpoints.iter().enumerate() {
            let settings = &endpoint.settings;
            let (admission, ramp_from) = endpoint.live.standing(now);
            if let Admission::Blocked { until } = admission {
                valid_until = valid_until.min(until);
            }
            let ramp = ramp_from.and_then(|from| Ramp::at(from, slow_start, now));
            valid_until = valid_until.min(ramp.map_or(Micros::MAX, |ramp| ramp.next));
            weights.push(ramp.map_or(settings.weight, |ramp| ramp.of(settings.weight)));
            candidates.push(Candidate {
                status: settings.status,
                lb_set: settings.lb_set,
                admission,
                full: endpoint.live.connections().is_full(),
                tried: tried.iter().any(|t| *t as usize == index),
            });
        }
        let mut usable = scan(&candidates, Lenience::None);
        if is_nobody(&usable) {
            usable = scan(&candidates, Lenience::Full);
        }
        let mut forced = false;
        let mut trials = Vec::new();
        let nobody = is_nobody(&usable);
        if nobody && members.balancer.force_recovery {
            usable = scan(&candidates, Lenience::Errors);
            forced = !is_nobody(&usable);
        }
        if !forced && candidates.iter().any(|c| c.admission == Admission::Due) {
            let would = scan(&candidates, Lenience::Due);
            let is_due = |index: &usize| {
                would[*index] == 1 && candidates[*index].admission == Admission::Due
            };
            trials.extend(
                (0..candidates.len())
                    .filter(is_due)
                    .map(|index| index as u32),
            );
        }
        Self {
            usable_count: usable.iter().map(|u| u32::from(*u)).sum(),
            members: Arc::clone(members),
            state: 0,
            usable,
            weights,
            trials,
            forced,
            valid_until,
            seen,
        }
    }

    /// Puts the byte columns of members that joined or returned level with the least loaded
    /// of the others, or `bytraffic` would give them every request until they caught up.
    pub(super) fn level_joiners(&self, now: Micros) {
        let members = &self.members;
        if members.balancer.slow_start.is_zero() {
            return;
        }
        for (index, endpoint) in members.endpoints.iter().enumerate() {
            let (_, Some(ramp_from)) = endpoint.live.standing(now) else {
                continue;
            };
            if endpoint.live.is_level(ramp_from) {
                continue;
            }
            let load = |weight: u32, (bytes_in, bytes_out): (u64, u64)| {
                (bytes_in as f64 + bytes_out as f64) / f64::from(weight.max(1))
            };
            let others = members.endpoints.iter().enumerate();
            let least = others
                .filter(|(other, _)| *other != index && self.usable[*other] == 1)
                .map(|(_, e)| (e.settings.weight.max(1), e.live.traffic(now)))
                .min_by(|a, b| load(a.0, a.1).total_cmp(&load(b.0, b.1)));
            let weight = u64::from(endpoint.settings.weight);
            let scaled = |bytes: u64, of: u32| bytes.saturating_mul(weight) / u64::from(of);
            let target = least.map_or((0, 0), |(of, (bytes_in, bytes_out))| {
                (scaled(bytes_in, of), scaled(bytes_out, of))
            });
            endpoint.live.level(ramp_from, target, now);
        }
    }

    /// Whether a policy would see the same as with `other`.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        self.usable == other.usable
            && self.weights == other.weights
            && self.members.revision == other.members.revision
    }

    /// When they may change without any event; `None` = never.
    pub fn boundary(&self) -> Option<Micros> {
        (self.valid_until != Micros::MAX).then_some(self.valid_until)
    }

    /// Whether that member may be chosen.
    pub fn is_usable(&self, index: u32) -> bool {
        self.usable.get(index as usize) == Some(&1)
    }
}

fn is_nobody(usable: &[u8]) -> bool {
    usable.iter().all(|u| *u == 0)
}

fn scan(candidates: &[Candidate], lenience: Lenience) -> Vec<u8> {
    let mut usable = vec![0; candidates.len()];
    let mut set = candidates.iter().map(|c| c.lb_set).min();
    while let Some(current) = set {
        if scan_set(candidates, current, lenience, &mut usable) {
            break;
        }
        set = candidates
            .iter()
            .map(|c| c.lb_set)
            .filter(|s| *s > current)
            .min();
    }
    usable
}

fn scan_set(candidates: &[Candidate], set: u32, lenience: Lenience, usable: &mut [u8]) -> bool {
    let of_set = || {
        candidates
            .iter()
            .enumerate()
            .filter(move |(_, c)| c.lb_set == set)
    };
    let mut found = false;
    let mut unusable = 0;
    for (index, candidate) in of_set() {
        match candidate.status {
            Status::Spare | Status::Standby => {}
            Status::Ok if candidate.is_available(lenience) => {
                usable[index] = 1;
                found = true;
            }
            Status::Ok | Status::Draining | Status::Disabled | Status::Stopped => unusable += 1,
        }
    }
    let mut offer = |status: Status, at_most: usize| {
        let available = of_set().filter(|(_, c)| c.status == status && c.is_available(lenience));
        let mut offered = false;
        for (index, _) in available.take(at_most) {
            usable[index] = 1;
            offered = true;
        }
        offered
    };
    found |= offer(Status::Spare, unusable);
    found || offer(Status::Standby, usize::MAX)
}

/// A member's way from a tenth of its weight to all of it.
#[derive(Debug, Clone, Copy)]
struct Ramp {
    share: f64,
    next: Micros,
}

impl Ramp {
    fn at(from: Micros, slow_start: Micros, now: Micros) -> Option<Self> {
        let elapsed = now.saturating_sub(from);
        if elapsed >= slow_start {
            return None;
        }
        let steps = elapsed / RAMP_STEP;
        let share =
            RAMP_START + (1.0 - RAMP_START) * (steps * RAMP_STEP) as f64 / slow_start as f64;
        let next = from + ((steps + 1) * RAMP_STEP).min(slow_start);
        Some(Self { share, next })
    }

    fn of(self, weight: u32) -> u32 {
        // Between 0 and `weight`, so the cast is exact up to rounding down.
        ((f64::from(weight) * self.share) as u32).max(1)
    }
}
