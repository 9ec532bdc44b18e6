//! Routes that forward.

use std::sync::Arc;

use super::{
    super::{
        read::{Either, Node},
        source::RouteTable,
    },
    balancer,
    candidates::candidates,
    context::{Context, each, or, unknown_name},
    member,
    pattern::Pattern,
    policy, reverse,
};
use crate::snapshot::{Member, PolicyRef, Proxy};

/// The proxy of a route with `balancer` or `proxy`; `None` for other routes.
pub fn proxy(
    table: &RouteTable,
    pattern: Option<&Pattern>,
    vhost: &str,
    context: &mut Context<'_>,
) -> Option<Proxy> {
    let balancer = match (&table.balancer, &table.proxy) {
        (Some(name), _) => {
            let lower = name.value.to_ascii_lowercase();
            if !context.balancer_names.contains(&lower) {
                let define = format!("define it with [balancer.{}] and its members", name.value);
                unknown_name(
                    context.out,
                    &name.place,
                    "balancer",
                    &name.value,
                    &context.balancer_names,
                    &define,
                );
            }
            context.used_balancers.insert(lower.clone());
            context.tenant.qualify(&lower)
        }
        (None, Some(url)) => {
            let member = member::alone(url, context);
            anonymous(vhost, pattern.map_or("", |p| &p.text), member?, context)
        }
        (None, None) => return None,
    };
    let front = pattern.map_or("", Pattern::front);
    let mut rewrite: Vec<PolicyRef> = reverse::reverse(table.reverse.as_ref(), front, context)
        .into_iter()
        .collect();
    for node in table.rewrite.iter().flat_map(each) {
        match policy::named(&node, context) {
            Some(named) => rewrite.push(named),
            None if node.value == "reverse" => {
                context.out.error(
                    &node.place,
                    "the built-in reverse has a key of its own",
                    "write reverse = true instead",
                );
            }
            None => policy::not_a_policy(&node, &[], context),
        }
    }
    let candidates = candidates(
        table.shadow.as_ref(),
        table.canary.as_ref(),
        &[rewrite.last()],
        context,
    );
    Some(Proxy {
        candidates,
        balancer,
        prefix: pattern.map_or_else(String::new, |p| p.prefix.clone()),
        preserve_host: or(&table.preserve_host, false),
        upgrade: upgrade(table, context),
        rewrite,
    })
}

/// A balancer of one member, under a name no `[balancer.NAME]` can have.
fn anonymous(vhost: &str, path: &str, member: Member, context: &mut Context<'_>) -> String {
    let plain = format!("{vhost}/{}", path.trim_start_matches('/'));
    let plain = context.tenant.qualify(&plain);
    let numbered = (2..).map(|n| format!("{plain}#{n}"));
    let name = std::iter::once(plain.clone())
        .chain(numbered)
        .find(|name| !context.anonymous.contains_key(name));
    let name = name.expect("the numbers do not end before the routes do");
    context.anonymous.insert(
        name.clone(),
        Arc::new(balancer::anonymous(
            context.tenant.clone(),
            name.clone(),
            member,
        )),
    );
    name
}

fn upgrade(table: &RouteTable, context: &mut Context<'_>) -> Vec<String> {
    let list = match table.upgrade.as_ref().map(|n| (&n.value, &n.place)) {
        None | Some((Either::Left(true), _)) => return vec!["websocket".to_owned()],
        Some((Either::Left(false), _)) => return vec![],
        Some((Either::Right(list), place)) => each(&Node {
            value: list.clone(),
            place: place.clone(),
        }),
    };
    for node in &list {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b);
        if node.value.is_empty() || !node.value.bytes().all(legal) {
            context.out.error(
                &node.place,
                format!("{:?} is not a protocol", node.value),
                "write \"websocket\"",
            );
        }
    }
    list.into_iter()
        .map(|n| n.value.to_ascii_lowercase())
        .collect()
}
