//! Members.

use std::time::Duration;

use super::{
    super::{
        read::Node,
        source::{BalancerTable, MemberTable, StatusWord},
        units::{LoadFactor, Time},
    },
    bounds,
    context::Context,
    url::{Target, target},
};
use crate::snapshot::{Member, Scheme, Status};

/// One member of a balancer, with the balancer's defaults; `None` where it has no usable URL.
pub fn member(
    node: &Node<MemberTable>,
    defaults: &BalancerTable,
    context: &mut Context<'_>,
) -> Option<Member> {
    let table = &node.value;
    if table.url.is_none() {
        context
            .out
            .missing(&node.place, "url", "write url = \"http://host:8080/path\"");
    }
    let target = table.url.as_ref().and_then(|url| target(url, context));
    let route = table.route.as_ref().map(|n| affinity_route(n, context));
    let redirect = table.redirect.as_ref().map(|n| affinity_route(n, context));
    let mut above_zero = |own, inherited, default| {
        bounds::positive_time(either(own, inherited), default, context.out)
    };
    let connect_timeout = above_zero(&table.connect_timeout, &defaults.connect_timeout, CONNECT);
    let answer_timeout = above_zero(&table.answer_timeout, &defaults.answer_timeout, ANSWER);
    let idle_timeout = above_zero(&table.idle_timeout, &defaults.idle_timeout, IDLE);
    let labels = table.labels.iter().flat_map(|n| &n.value.0);
    let plain = plain(target?);
    Some(Member {
        route: route.unwrap_or_default(),
        redirect: redirect.unwrap_or_default(),
        weight: written(
            &table.loadfactor,
            &defaults.loadfactor,
            LoadFactor(plain.weight),
        )
        .0,
        lb_set: written(&table.lbset, &defaults.lbset, plain.lb_set),
        status: status(written(&table.status, &defaults.status, StatusWord::Ok)),
        retry: written(&table.retry, &defaults.retry, Time(plain.retry)).0,
        connect_timeout,
        answer_timeout,
        max_connections: Some(written(
            &table.max_connections,
            &defaults.max_connections,
            0,
        ))
        .filter(|most| *most > 0),
        acquire_timeout: written(
            &table.acquire_timeout,
            &defaults.acquire_timeout,
            Time(plain.acquire_timeout),
        )
        .0,
        keepalive: written(&table.keepalive, &defaults.keepalive, plain.keepalive),
        idle_timeout,
        labels: labels
            .map(|(key, node)| (key.clone(), node.value.clone()))
            .collect(),
        ..plain
    })
}

/// A member of its own, for a route with `proxy = "http://…"`.
pub fn alone(url: &Node<String>, context: &mut Context<'_>) -> Option<Member> {
    Some(plain(target(url, context)?))
}

/// On a data centre's network a connect takes a millisecond, or one lost SYN (1 s), or two (3 s).
const CONNECT: Duration = Duration::from_secs(5);

/// As httpd's ProxyTimeout.
const ANSWER: Duration = Duration::from_secs(60);

/// Below the 20 s after which Tomcat closes an idle connection itself.
const IDLE: Duration = Duration::from_secs(15);

fn plain(target: Target) -> Member {
    Member {
        id: target.id,
        scheme: Scheme::Http,
        host: target.host,
        port: target.port,
        base_path: target.base_path,
        route: String::new(),
        redirect: String::new(),
        weight: 100,
        lb_set: 0,
        status: Status::Ok,
        // As httpd's.
        retry: Duration::from_secs(60),
        connect_timeout: CONNECT,
        answer_timeout: ANSWER,
        max_connections: None,
        acquire_timeout: Duration::from_secs(1),
        keepalive: true,
        idle_timeout: IDLE,
        labels: vec![],
    }
}

fn either<'a, T>(own: &'a Option<Node<T>>, inherited: &'a Option<Node<T>>) -> Option<&'a Node<T>> {
    own.as_ref().or(inherited.as_ref())
}

fn written<T: Copy>(own: &Option<Node<T>>, inherited: &Option<Node<T>>, default: T) -> T {
    either(own, inherited).map_or(default, |n| n.value)
}

fn status(word: StatusWord) -> Status {
    match word {
        StatusWord::Ok => Status::Ok,
        StatusWord::Draining => Status::Draining,
        StatusWord::Disabled => Status::Disabled,
        StatusWord::Stopped => Status::Stopped,
        StatusWord::Standby => Status::Standby,
        StatusWord::Spare => Status::Spare,
    }
}

/// A route ends up in session ids, so it may hold nothing that ends a cookie or a path parameter.
fn affinity_route(node: &Node<String>, context: &mut Context<'_>) -> String {
    let legal = |c: char| c.is_ascii_graphic() && !";,\"\\/?#&".contains(c);
    if node.value.is_empty() || !node.value.chars().all(legal) {
        let remedy = "write the member's jvmRoute: letters, digits, -, _ and .";
        context.out.error(
            &node.place,
            format!("{:?} is not a route", node.value),
            remedy,
        );
    }
    node.value.clone()
}
