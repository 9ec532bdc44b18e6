//! Policies in service, and their recordings.

use std::collections::BTreeMap;

use super::{
    families as f,
    page::{Family, Number, Page},
};
use crate::{
    admin::Sources,
    policy::{
        BindingStatus, CALL_TIME_BOUNDS, CanaryState, EVENTS, Fates, FaultKind, StandingWord,
    },
    recording::RecorderStatus,
};

/// Hexadecimal digits of a digest that tell versions apart.
const SHORT: usize = 12;

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let alive = (sources.instances)() as u64;
    page.put(&f::ALIVE, [([], alive.into())]);
    let bindings = bindings(sources);
    let mut put = |family: &Family, of: fn(&BindingStatus) -> Number| {
        let series = bindings
            .iter()
            .map(|(labels, status)| (labels.clone(), of(status)));
        page.put(family, series);
    };
    put(&f::CALLS, |status| status.calls.into());
    put(&f::CALL_TIME, |status| Number::Spread {
        bounds: CALL_TIME_BOUNDS.map(|ns| ns as f64 / 1e9).to_vec(),
        counts: status.times.counts.to_vec(),
        sum: status.times.total.as_secs_f64(),
    });
    put(&f::FALLBACKS, |status| status.fallbacks.into());
    put(&f::THROTTLED, |status| status.throttled.into());
    put(&f::OVERRULED, |status| status.overruled.into());
    put(&f::QUARANTINES, |status| status.quarantines.into());
    put(&f::INSTANCES, |status| status.instances.into());
    put(&f::SLOW, |status| status.slow.into());
    put(&f::WAITS, |status| status.waits.count.into());
    put(&f::WAIT_TIME, |status| {
        Number::Real(status.waits.time.as_secs_f64())
    });
    let more = |labels: &[String; 5], word: &str| {
        let [tenant, policy, digest, binding, role] = labels.clone();
        [tenant, policy, digest, binding, role, word.to_owned()]
    };
    let faults = bindings.iter().flat_map(|(labels, status)| {
        let kinds = FaultKind::ALL.into_iter().zip(status.faults);
        kinds.map(move |(kind, count)| (more(labels, kind.word()), count.into()))
    });
    page.put(&f::FAULTS, faults);
    let states = bindings
        .iter()
        .map(|(labels, status)| (more(labels, word(status.standing)), 1_u64.into()));
    page.put(&f::POLICY_STATE, states);
    write_candidates(page, &bindings);
    write_versions(page, sources);
    write_recordings(page, sources);
}

fn word(standing: StandingWord) -> &'static str {
    match standing {
        StandingWord::Serving => "serving",
        StandingWord::Probation => "probation",
        StandingWord::Quarantined => "quarantined",
    }
}

/// By tenant, policy, digest, place and role.
type Bindings = BTreeMap<[String; 5], BindingStatus>;

fn write_candidates(page: &mut Page, bindings: &Bindings) {
    let of = |labels: &[String; 5]| -> [String; 4] {
        let [tenant, policy, digest, binding, _] = labels.clone();
        [tenant, policy, digest, binding]
    };
    let more = |labels: &[String; 5], word: &str| {
        let [tenant, policy, digest, binding] = of(labels);
        [tenant, policy, digest, binding, word.to_owned()]
    };
    let shadows: Vec<_> = bindings
        .iter()
        .filter_map(|(labels, status)| Some((labels, status.shadow.as_ref()?)))
        .collect();
    let decisions = shadows.iter().flat_map(|(labels, shadow)| {
        [
            ("agreed", shadow.agreed),
            ("differed", shadow.differed),
            ("unanswered", shadow.unanswered),
            ("skipped", shadow.skipped),
        ]
        .map(|(result, count)| (more(labels, result), count.into()))
    });
    page.put(&f::SHADOWED, decisions);
    let distances = shadows
        .iter()
        .map(|(labels, shadow)| (of(labels), shadow.distance().into()));
    page.put(&f::SHADOW_DISTANCE, distances);
    let canaries: Vec<_> = bindings
        .iter()
        .filter_map(|(labels, status)| Some((labels, status.canary?)))
        .collect();
    let states = canaries.iter().map(|(labels, canary)| {
        let word = match canary.state {
            CanaryState::Running => "running",
            CanaryState::Promoted => "promoted",
            CanaryState::Undone => "undone",
        };
        (more(labels, word), 1_u64.into())
    });
    page.put(&f::CANARY_STATE, states);
    let mut put = |family: &Family, count: fn(&Fates) -> u64| {
        let series = canaries.iter().flat_map(|(labels, canary)| {
            [("canary", canary.own), ("others", canary.others)]
                .map(|(side, fates)| (more(labels, side), count(&fates).into()))
        });
        page.put(family, series);
    };
    put(&f::CANARY_ANSWERED, |fates| fates.answered);
    put(&f::CANARY_FAILED, |fates| fates.failed);
}

fn write_versions(page: &mut Page, sources: &Sources) {
    let facts = (sources.facts)();
    let events = facts.policies.iter().flat_map(|policy| {
        let labels = |event: &str| {
            [
                policy.tenant.to_string(),
                policy.tenant.local(&policy.name).to_owned(),
                event.to_owned(),
            ]
        };
        let totals = EVENTS.into_iter().zip(policy.totals);
        totals.map(move |(event, count)| (labels(event), count.into()))
    });
    page.put(&f::VERSION_EVENTS, events);
}

/// Every binding by its labels. Two that only differ in their configuration (one policy at
/// two routes of a balancer) are one series.
fn bindings(sources: &Sources) -> Bindings {
    let mut all = Bindings::new();
    for binding in sources.current.load().bindings() {
        let status = binding.status();
        let mut digest = status.digest.to_string();
        digest.truncate(SHORT);
        let labels = [
            status.tenant.to_string(),
            local(&status).to_owned(),
            digest,
            status.binding.clone(),
            status.role.word().to_owned(),
        ];
        match all.entry(labels) {
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(status);
            }
            std::collections::btree_map::Entry::Occupied(mut other) => {
                add(other.get_mut(), &status);
            }
        }
    }
    all
}

/// The name within the tenant.
fn local(status: &BindingStatus) -> &str {
    let own = status.policy.strip_prefix(&*status.tenant);
    own.and_then(|rest| rest.strip_prefix(':'))
        .unwrap_or(&status.policy)
}

fn add(all: &mut BindingStatus, more: &BindingStatus) {
    all.calls += more.calls;
    for (count, more) in all.faults.iter_mut().zip(more.faults) {
        *count += more;
    }
    all.quarantines += more.quarantines;
    all.fallbacks += more.fallbacks;
    all.throttled += more.throttled;
    all.overruled += more.overruled;
    all.instances += more.instances;
    all.slow |= more.slow;
    all.times = all.times.and(more.times);
    all.waits = all.waits.and(more.waits);
    if let (Some(all), Some(more)) = (&mut all.shadow, &more.shadow) {
        all.agreed += more.agreed;
        all.differed += more.differed;
        all.unanswered += more.unanswered;
        all.skipped += more.skipped;
    }
    if let (Some(all), Some(more)) = (&mut all.canary, &more.canary) {
        for (all, more) in [(&mut all.own, more.own), (&mut all.others, more.others)] {
            all.answered += more.answered;
            all.failed += more.failed;
        }
    }
    let rank = |standing| match standing {
        StandingWord::Serving => 0,
        StandingWord::Probation => 1,
        StandingWord::Quarantined => 2,
    };
    if rank(more.standing) > rank(all.standing) {
        all.standing = more.standing;
    }
}

fn write_recordings(page: &mut Page, sources: &Sources) {
    let recorders = sources.recorders.status();
    let mut put = |family: &Family, of: fn(&RecorderStatus) -> Number| {
        let series = recorders.iter().map(|(tenant, policy, status)| {
            let local = policy.strip_prefix(tenant.as_str());
            let local = local.and_then(|rest| rest.strip_prefix(':'));
            let labels = [tenant.clone(), local.unwrap_or(policy).to_owned()];
            (labels, of(status))
        });
        page.put(family, series);
    };
    put(&f::RECORDED_WINDOWS, |status| status.windows.into());
    put(&f::RECORDED_CALLS, |status| status.calls.into());
    put(&f::RECORDING_DROPPED, |status| status.dropped.into());
    put(&f::RECORDING_BYTES, |status| status.bytes.into());
    put(&f::RECORDING_ROTATIONS, |status| status.rotations.into());
    put(&f::RECORDING_FAILED, |status| status.failed.into());
}
