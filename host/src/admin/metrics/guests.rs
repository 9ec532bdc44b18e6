//! What policies count themselves.
//!
//! A policy chooses names and label values; the host puts a prefix and its own labels in front.
//! A name is of one kind on a page: what another policy counts as another kind under
//! that name, or what would look like a part of another metric, is left out and counted.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    families as f,
    page::{Family, Kind, Number, Page, Series},
};
use crate::{
    admin::Sources,
    generation::Generation,
    policy::Binding,
    snapshot::TenantName,
    wasm::{Sample, SampleValue},
};

const PREFIX: &str = "switchyard_guest_";

const HELP: &str = "Counted by policies.";

/// Labels that mean something to the host or to the formats; a policy's own get a prefix.
const OURS: [&str; 5] = ["tenant", "policy", "digest", "le", "quantile"];

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let mut families: BTreeMap<(String, &'static str), (Kind, Vec<Series>)> = BTreeMap::new();
    let (mut refused, mut dropped) = (Vec::new(), Vec::new());
    let live = sources.current.load();
    for sample in (sources.guests)() {
        if !is_configured(&live, &sample) {
            continue;
        }
        match (sample.name.as_str(), &sample.value) {
            ("switchyard_policy_series_refused", SampleValue::Counter(count)) => {
                let labels = owner(&sample).map(|(_, value)| value);
                refused.push((labels, (*count).into()));
            }
            ("switchyard_store_writes_dropped", SampleValue::Counter(count)) => {
                dropped.push(([sample.tenant.to_string()], (*count).into()));
            }
            _ => {
                let (name, kind, number) = named(&sample);
                let family = families.entry((name, kind.word()));
                let (_, all) = family.or_insert((kind, Vec::new()));
                all.push((labels(sample), number));
            }
        }
    }
    let mut conflicts = 0;
    for ((name, _), (kind, mut series)) in families {
        series.sort_by(|one, other| one.0.cmp(&other.0));
        let family = Family {
            name: Cow::Owned(name),
            kind,
            unit: "",
            labels: &[],
            help: HELP,
        };
        if !page.put_any(&family, &series) {
            conflicts += series.len();
        }
    }
    page.put(&f::GUEST_REFUSED, refused);
    page.put(&f::GUEST_CONFLICTS, [([], conflicts.into())]);
    page.put(&f::STORE_DROPPED, dropped);
}

/// What policies counted that are configured no more is kept for a while, for when they come back, and
/// shown to nobody: each name that a policy ever had would stay on the page.
fn is_configured(live: &Generation, sample: &Sample) -> bool {
    let tenant = TenantName::new(&sample.tenant);
    if sample.policy.is_empty() {
        // Of the tenant's store.
        return tenant.is_operator() || live.snapshot.tenants.contains_key(&tenant);
    }
    let is_built_in = |binding: &Arc<Binding>| {
        let status = binding.status();
        (&status.tenant, &status.policy) == (&sample.tenant, &sample.policy)
    };
    let named = tenant.qualify(&sample.policy);
    live.snapshot.policies.contains_key(&named) || live.bindings().any(is_built_in)
}

fn named(sample: &Sample) -> (String, Kind, Number) {
    let (kind, number) = match &sample.value {
        SampleValue::Counter(count) => (Kind::Counter, (*count).into()),
        SampleValue::Gauge(value) => (Kind::Gauge, (*value).into()),
        SampleValue::Histogram(histogram) => {
            let number = Number::Spread {
                bounds: histogram.bounds.to_vec(),
                counts: histogram.counts.clone(),
                sum: histogram.sum,
            };
            (Kind::Histogram, number)
        }
    };
    // The page puts it back.
    let bare = match kind {
        Kind::Counter => sample.name.strip_suffix("_total"),
        Kind::Gauge | Kind::Histogram => None,
    };
    let bare = bare.unwrap_or(&sample.name);
    (format!("{PREFIX}{bare}"), kind, number)
}

fn owner(sample: &Sample) -> [(Cow<'static, str>, String); 3] {
    let mut digest = sample.digest.to_string();
    digest.truncate(12);
    [
        ("tenant".into(), sample.tenant.to_string()),
        ("policy".into(), sample.policy.to_string()),
        ("digest".into(), digest),
    ]
}

fn labels(sample: Sample) -> Vec<(Cow<'static, str>, String)> {
    let mut labels = owner(&sample).to_vec();
    for (name, value) in sample.labels {
        let ours =
            OURS.contains(&name.as_str()) || name.starts_with("__") || name.starts_with("guest_");
        let name = if ours { format!("guest_{name}") } else { name };
        labels.push((Cow::Owned(name), value));
    }
    labels
}
