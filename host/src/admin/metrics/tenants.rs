//! What tenants use, and what was refused for their quotas.

use super::{
    families as f,
    page::{Family, Number, Page},
};
use crate::{admin::Sources, tenants::Usage};

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let facts = (sources.facts)();
    let refused = facts.tenants.iter().map(|tenant| {
        let refused = tenant.last_error.is_some();
        ([tenant.name.to_string()], refused.into())
    });
    page.put(&f::TENANT_CONFIG_REFUSED, refused);
    let usage = sources.tenants.usage();
    let mut put = |family: &Family, of: fn(&Usage) -> Number| {
        let series = usage.iter().map(|one| ([one.name.to_string()], of(one)));
        page.put(family, series);
    };
    put(&f::TENANT_IN_FLIGHT, |one| one.in_flight.into());
    put(&f::TENANT_CONNECTIONS, |one| one.connections.into());
    put(&f::TENANT_CPU, |one| one.policy_cpu.as_secs_f64().into());
    let mut put = |family: &Family, of: fn(&Usage) -> [(&'static str, u64); 2]| {
        let series = usage.iter().flat_map(|one| {
            of(one).map(|(quota, count)| ([one.name.to_string(), quota.to_owned()], count.into()))
        });
        page.put(family, series);
    };
    put(&f::TENANT_REFUSED, |one| {
        [("rate", one.over_rate), ("in_flight", one.over_in_flight)]
    });
    put(&f::TENANT_CLOSED, |one| {
        [
            ("connections", one.over_connections),
            ("egress", one.egress_refused),
        ]
    });
}
