//! Configuration for tests of `members` and `policy`.

use std::{sync::Arc, time::Duration};

use super::{Clock, Live, Pool};
use crate::snapshot::{Balancer, Member, MemberId, Scheme, Status, TenantName};

/// `http://10.0.0.1:8080` for `a`, and so on; the route is the name.
pub(crate) fn member(name: &str) -> Member {
    let number = name.bytes().fold(0_u32, |n, b| n * 31 + u32::from(b)) % 250 + 1;
    Member {
        id: id(name),
        scheme: Scheme::Http,
        host: format!("10.0.0.{number}"),
        port: 8080,
        base_path: String::new(),
        route: name.to_owned(),
        redirect: String::new(),
        weight: 100,
        lb_set: 0,
        status: Status::Ok,
        retry: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(5),
        answer_timeout: Duration::from_secs(60),
        max_connections: None,
        acquire_timeout: Duration::from_secs(1),
        keepalive: true,
        idle_timeout: Duration::from_secs(60),
        labels: Vec::new(),
    }
}

pub(crate) fn id(name: &str) -> MemberId {
    MemberId(name.into())
}

pub(crate) fn balancer(members: impl IntoIterator<Item = Member>) -> Balancer {
    let members: Vec<_> = members.into_iter().map(Arc::new).collect();
    Balancer {
        tenant: TenantName::operator(),
        name: "cluster".into(),
        lbmethod: Vec::new(),
        affinity: Vec::new(),
        candidates: Default::default(),
        max_attempts: members.len().saturating_sub(1) as u32,
        members,
        fail_on_status: Vec::new(),
        fail_on_timeout: false,
        force_recovery: true,
        wait: Duration::ZERO,
        slow_start: Duration::ZERO,
        health: None,
        traffic_half_life: Duration::ZERO,
    }
}

/// A pool of two workers that serves this balancer.
pub(crate) fn pool(balancer: Balancer) -> Arc<Pool> {
    Live::new(Clock::start(), 2).prepare(&Arc::new(balancer))
}

/// The names of usable members, in order.
pub(crate) fn usable(pool: &Pool) -> String {
    let facts = pool.facts(pool.clock().now());
    let endpoints = facts.members.endpoints.iter().zip(&facts.usable);
    endpoints
        .filter(|(_, usable)| **usable == 1)
        .map(|(e, _)| &*e.settings.id.0)
        .collect()
}
