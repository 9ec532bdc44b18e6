//! What tenants use, and what they were refused.

use super::{
    super::Sources,
    families as f,
    page::{Number, Page},
};
use crate::tenants::Usage;

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let facts = (sources.facts)();
    let broken = facts.tenants.iter().map(|tenant| {
        let refused = u64::from(tenant.last_error.is_some());
        ([tenant.name.to_string()], refused.into())
    });
    page.put(&f::TENANT_CONFIG_REFUSED, broken);
    let usage = sources.tenants.usage();
    let mut put = |family, of: fn(&Usage) -> Number| {
        let series = usage.iter().map(|one| ([one.name.to_string()], of(one)));
        page.put(family, series);
    };
    put(&f::TENANT_IN_FLIGHT, |one| u64::from(one.in_flight).into());
    put(&f::TENANT_CONNECTIONS, |one| {
        u64::from(one.connections).into()
    });
    put(&f::TENANT_POLICY_CPU, |one| {
        one.policy_cpu.as_secs_f64().into()
    });
    let refusals = usage.iter().flat_map(|one| {
        [
            ("requests", one.over_rate),
            ("in_flight", one.over_in_flight),
            ("connections", one.over_connections),
            ("egress", one.egress_refused),
        ]
        .map(|(quota, count)| ([one.name.to_string(), quota.to_owned()], count.into()))
    });
    page.put(&f::TENANT_REFUSALS, refusals);
}
