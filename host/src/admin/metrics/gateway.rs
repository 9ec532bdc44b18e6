//! Traffic: virtual hosts, members, configuration.

use super::{
    families as f,
    page::{Family, Number, Page},
};
use crate::{
    admin::{Sources, collect::state},
    members::{CLASSES, MemberStatus},
    snapshot::TenantName,
};

/// The first digit of a status, in words.
const WORDS: [&str; CLASSES] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let facts = (sources.facts)();
    page.put(&f::READY, [([], (sources.ready)().into())]);
    page.put(&f::GENERATION, [([], facts.generation.into())]);
    let loaded = facts.loaded_at_ms as f64 / 1_000.0;
    page.put(&f::LOADED_TIME, [([], loaded.into())]);
    page.put(&f::REFUSED, [([], facts.last_error.is_some().into())]);
    let reloads = (sources.reloads)();
    let reloads = [
        ("published", reloads.published),
        ("unchanged", reloads.unchanged),
        ("refused", reloads.refused),
    ];
    let reloads = reloads.map(|(outcome, count)| ([outcome.to_owned()], count.into()));
    page.put(&f::RELOADS, reloads);
    page.put(&f::CONNECTIONS, [([], (sources.connections)().into())]);
    write_vhosts(page, sources);
    write_members(page, sources);
}

fn write_vhosts(page: &mut Page, sources: &Sources) {
    let counts = sources.live.exchanges().counts();
    let classes = counts.iter().flat_map(|(tenant, vhost, counts)| {
        seen(counts.classes).map(move |(class, count)| {
            let labels = [tenant.to_string(), vhost.clone(), class.to_owned()];
            (labels, count.into())
        })
    });
    page.put(&f::REQUESTS, classes);
    let mut put = |family: &Family, of: fn(&crate::members::ExchangeCounts) -> u64| {
        let series = counts.iter().map(|(tenant, vhost, counts)| {
            ([tenant.to_string(), vhost.clone()], of(counts).into())
        });
        page.put(family, series);
    };
    put(&f::REQUEST_BYTES, |counts| counts.received);
    put(&f::RESPONSE_BYTES, |counts| counts.sent);
    put(&f::RETRIES, |counts| counts.retries);
    put(&f::BROKEN, |counts| counts.broken);
}

/// Classes that are usual, or were seen. Usual ones stand there from the start, so that a rate is known
/// from the first request on.
fn seen(counts: [u64; CLASSES]) -> impl Iterator<Item = (&'static str, u64)> {
    let usual = |class: usize| class >= 2;
    let all = WORDS.into_iter().zip(counts).enumerate();
    all.filter(move |(class, (_, count))| usual(*class) || *count > 0)
        .map(|(_, named)| named)
}

/// A member of a pool now.
struct Row {
    labels: [String; 3],
    state: &'static str,
    status: MemberStatus,
}

fn write_members(page: &mut Page, sources: &Sources) {
    let mut rows = Vec::new();
    for pool in sources.live.pools() {
        let members = pool.current();
        let tenant: &TenantName = &members.balancer.tenant;
        for endpoint in &members.endpoints {
            let status = endpoint.live.status();
            rows.push(Row {
                labels: [
                    tenant.to_string(),
                    pool.local_name().to_string(),
                    endpoint.settings.id.to_string(),
                ],
                state: state(endpoint.settings.status, status.admission),
                status,
            });
        }
    }
    let mut put = |family: &Family, of: fn(&MemberStatus) -> Number| {
        let series = rows.iter().map(|row| (row.labels.clone(), of(&row.status)));
        page.put(family, series);
    };
    put(&f::MEMBER_REQUESTS, |status| status.elected.into());
    put(&f::MEMBER_FAILURES, |status| status.failures.into());
    put(&f::MEMBER_IN_FLIGHT, |status| status.busy.into());
    put(&f::MEMBER_RECEIVED, |status| status.bytes_in.into());
    put(&f::MEMBER_SENT, |status| status.bytes_out.into());
    put(&f::MEMBER_LATENCY, |status| {
        (f64::from(status.latency_us) / 1e6).into()
    });
    let more = |row: &Row, word: &str| {
        let [tenant, balancer, member] = row.labels.clone();
        [tenant, balancer, member, word.to_owned()]
    };
    let answers = rows.iter().flat_map(|row| {
        let classes = seen(row.status.answers);
        classes.map(move |(class, count)| (more(row, class), count.into()))
    });
    page.put(&f::MEMBER_ANSWERS, answers);
    let connections = rows.iter().flat_map(|row| {
        let idle = row.status.idle_connections;
        let busy = (row.status.connections as usize).saturating_sub(idle);
        [("busy", busy), ("idle", idle)].map(|(word, count)| (more(row, word), count.into()))
    });
    page.put(&f::MEMBER_CONNECTIONS, connections);
    let states = rows.iter().map(|row| (more(row, row.state), 1_u64.into()));
    page.put(&f::MEMBER_STATE, states);
}
