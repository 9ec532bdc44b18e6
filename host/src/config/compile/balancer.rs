//! Balancers: their chains, their health checks, their members together.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    super::{
        problems::Place,
        read::Node,
        source::{BalancerTable, HealthTable, OneOrMany},
        units::Statuses,
    },
    affinity, bounds,
    candidates::candidates,
    context::{Context, each, or, time},
    member, policy,
};
use crate::snapshot::{
    Balancer, Candidates, HealthCheck, Member, MemberId, PolicyRef, StatusRange, TenantName,
};

/// One `[balancer.NAME]`.
pub fn balancer(
    name: &str,
    table: &BalancerTable,
    place: &Place,
    context: &mut Context<'_>,
) -> Balancer {
    context.name(name, "balancer", place);
    let members = members(table, place, context);
    let lbmethod = lbmethod(table.lbmethod.as_ref(), context);
    let affinity = affinity::affinity(table, context);
    let candidates = candidates(
        table.shadow.as_ref(),
        table.canary.as_ref(),
        &[lbmethod.first(), affinity.first()],
        context,
    );
    Balancer {
        tenant: context.tenant.clone(),
        name: context.tenant.qualify(&name.to_ascii_lowercase()),
        lbmethod,
        affinity,
        candidates,
        max_attempts: or(&table.maxattempts, others(members.len())),
        fail_on_status: table.failonstatus.as_ref().map_or(vec![], ranges),
        fail_on_timeout: or(&table.failontimeout, false),
        force_recovery: or(&table.forcerecovery, true),
        wait: time(&table.wait, Duration::ZERO),
        slow_start: time(&table.slow_start, Duration::ZERO),
        health: table.health.as_ref().map(|n| health(&n.value, context)),
        traffic_half_life: time(&table.traffic_half_life, Duration::ZERO),
        members: members.into_iter().map(Arc::new).collect(),
    }
}

/// A balancer of one member, for a route with `proxy = "http://…"`.
pub fn anonymous(tenant: TenantName, name: String, member: Member) -> Balancer {
    Balancer {
        tenant,
        name,
        // Among one there is nothing to choose, and so nobody to ask.
        lbmethod: Vec::new(),
        affinity: Vec::new(),
        candidates: Candidates::default(),
        members: vec![Arc::new(member)],
        max_attempts: 0,
        fail_on_status: vec![],
        fail_on_timeout: false,
        force_recovery: true,
        wait: Duration::ZERO,
        slow_start: Duration::ZERO,
        health: None,
        traffic_half_life: Duration::ZERO,
    }
}

/// Tries after the first: each other member once.
fn others(members: usize) -> u32 {
    u32::try_from(members.saturating_sub(1)).unwrap_or(u32::MAX)
}

fn ranges(node: &Node<OneOrMany<Statuses>>) -> Vec<StatusRange> {
    each(node).into_iter().map(|n| n.value.0).collect()
}

fn lbmethod(node: Option<&Node<OneOrMany<String>>>, context: &mut Context<'_>) -> Vec<PolicyRef> {
    let Some(node) = node else {
        return vec![policy::method("byrequests")];
    };
    let chain = each(node);
    if chain.is_empty() {
        context.out.error(
            &node.place,
            "the chain is empty",
            "write lbmethod = \"byrequests\", or leave it out",
        );
    }
    let mut list = Vec::new();
    for link in &chain {
        match policy::METHODS.into_iter().find(|name| *name == link.value) {
            Some(name) => list.push(policy::method(name)),
            None => match policy::named(link, context) {
                Some(named) => list.push(named),
                None => policy::not_a_policy(link, &policy::METHODS, context),
            },
        }
    }
    list
}

fn members(table: &BalancerTable, place: &Place, context: &mut Context<'_>) -> Vec<Member> {
    let written = || {
        table
            .members
            .iter()
            .chain(&table.member)
            .flat_map(|n| &n.value)
    };
    if written().next().is_none() && table.members.is_none() && table.member.is_none() {
        if !context.out.mentions(&format!("{}.member", place.key))
            && !context.out.mentions(&format!("{}.members", place.key))
        {
            context.out.missing(
                place,
                "members",
                "write members = [{ url = \"http://host:8080\" }]",
            );
        }
    } else if written().next().is_none() {
        let place = table
            .members
            .as_ref()
            .or(table.member.as_ref())
            .map_or(place, |n| &n.place);
        if !context.out.mentions(&place.key) {
            context.out.error(
                place,
                "a balancer without members can serve nothing",
                "add a member",
            );
        }
    }
    let mut ids: BTreeSet<MemberId> = BTreeSet::new();
    let mut list: Vec<(Member, &Node<super::super::source::MemberTable>)> = Vec::new();
    for node in written() {
        let Some(member) = member::member(node, table, context) else {
            continue;
        };
        if !ids.insert(member.id.clone()) {
            let place = node.value.url.as_ref().map_or(&node.place, |n| &n.place);
            let message = format!("{} is already a member of this balancer", member.id);
            context.out.error(place, message, "remove one of the two");
        }
        list.push((member, node));
    }
    check_routes(&list, table, context);
    list.into_iter().map(|(member, _)| member).collect()
}

fn check_routes(
    list: &[(Member, &Node<super::super::source::MemberTable>)],
    table: &BalancerTable,
    context: &mut Context<'_>,
) {
    let mut routes: BTreeSet<&str> = BTreeSet::new();
    for (member, node) in list.iter().filter(|(m, _)| !m.route.is_empty()) {
        if !routes.insert(&member.route) {
            let place = node.value.route.as_ref().map_or(&node.place, |n| &n.place);
            let message = format!(
                "two members have the route {:?}: sessions of both go to the first one",
                member.route
            );
            context.out.warn(
                place,
                message,
                "give each member its own route, as its jvmRoute says",
            );
        }
    }
    for (member, node) in list.iter().filter(|(m, _)| !m.redirect.is_empty()) {
        let place = node
            .value
            .redirect
            .as_ref()
            .map_or(&node.place, |n| &n.place);
        if member.redirect == member.route {
            context.out.error(
                place,
                "a member cannot take over its own sessions",
                "name another member's route",
            );
        } else if !routes.contains(member.redirect.as_str()) {
            let known: Vec<&str> = routes.iter().copied().collect();
            let remedy = super::super::problems::suggest(&member.redirect, &known);
            context.out.error(
                place,
                format!("no member has the route {:?}", member.redirect),
                remedy,
            );
        }
    }
    if let Some(sticky) = &table.stickysession
        && routes.is_empty()
        && table.route_cookie.is_none()
        && !list.is_empty()
    {
        let message = "no member has a route, so no session will stick";
        context.out.warn(
            &sticky.place,
            message,
            "give each member the route of its jvmRoute, or set route_cookie",
        );
    }
}

fn health(table: &HealthTable, context: &mut Context<'_>) -> HealthCheck {
    let path = table
        .path
        .as_ref()
        .map_or_else(|| "/".to_owned(), |n| n.value.clone());
    if let Some(node) = &table.path
        && (!path.starts_with('/')
            || path.contains('#')
            || !path.bytes().all(|b| b.is_ascii_graphic()))
    {
        let remedy = "start it with /, and write blanks and letters beyond ASCII as %XX";
        context.out.error(
            &node.place,
            format!("{path:?} is not a path to ask for"),
            remedy,
        );
    }
    let interval =
        bounds::positive_time(table.interval.as_ref(), Duration::from_secs(1), context.out);
    if let Some(node) = table
        .interval
        .as_ref()
        .filter(|_| interval < Duration::from_millis(100))
    {
        context
            .out
            .error(&node.place, "too often", "use 100ms or more");
    }
    if let Some(node) = table.interval.as_ref()
        && context.bounds.is_some()
        && interval < Duration::from_secs(1)
    {
        // Checks run on a thread that all tenants share.
        let message = "too often for a tenant";
        context.out.error(&node.place, message, "use 1s or more");
    }
    let expect = table.expect.as_ref().map_or(
        vec![StatusRange {
            first: 200,
            last: 399,
        }],
        ranges,
    );
    if let Some(node) = table.expect.as_ref().filter(|_| expect.is_empty()) {
        context.out.error(
            &node.place,
            "no status counts as a pass",
            "list some, such as [\"200-399\"]",
        );
    }
    HealthCheck {
        path,
        interval,
        rise: bounds::positive(table.rise.as_ref(), 1, context.out),
        fall: bounds::positive(table.fall.as_ref(), 3, context.out),
        expect,
        timeout: bounds::positive_time(table.timeout.as_ref(), Duration::from_secs(1), context.out),
    }
}
