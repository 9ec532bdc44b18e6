//! Policies that are tried beside those in service.

use super::{families as f, page::Page, policies::labelled};
use crate::admin::{Sources, candidates::state};

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let bindings = labelled(sources);
    let more = |labels: &[String; 4], word: &str| {
        let [tenant, policy, digest, binding] = labels.clone();
        [tenant, policy, digest, binding, word.to_owned()]
    };
    let shadows = bindings
        .iter()
        .filter_map(|(labels, status)| Some((labels, status.shadow.as_ref()?)));
    let decisions = shadows.clone().flat_map(|(labels, shadow)| {
        let results = [
            ("agreed", shadow.agreed),
            ("differed", shadow.differed),
            ("unanswered", shadow.unanswered),
            ("skipped", shadow.skipped),
        ];
        results.map(|(word, count)| (more(labels, word), count.into()))
    });
    page.put(&f::SHADOW_DECISIONS, decisions);
    let distance = shadows.map(|(labels, shadow)| (labels.clone(), shadow.distance().into()));
    page.put(&f::SHADOW_DISTANCE, distance);
    let canaries = bindings
        .iter()
        .filter_map(|(labels, status)| Some((labels, status.canary.as_ref()?)));
    let requests = canaries.clone().flat_map(|(labels, canary)| {
        let sides = [
            ("own", canary.own.answered),
            ("others", canary.others.answered),
        ];
        sides.map(|(word, count)| (more(labels, word), count.into()))
    });
    page.put(&f::CANARY_REQUESTS, requests);
    let failures = canaries.clone().flat_map(|(labels, canary)| {
        let sides = [("own", canary.own.failed), ("others", canary.others.failed)];
        sides.map(|(word, count)| (more(labels, word), count.into()))
    });
    page.put(&f::CANARY_FAILURES, failures);
    let states = canaries.map(|(labels, canary)| (more(labels, state(canary.state)), 1_u64.into()));
    page.put(&f::CANARY_STATE, states);
    let facts = (sources.facts)();
    let rollbacks = facts.policies.iter().map(|policy| {
        let labels = [policy.tenant.to_string(), policy.name.clone()];
        (labels, policy.rollbacks.into())
    });
    page.put(&f::ROLLBACKS, rollbacks);
}
