//! Virtual hosts.

use std::{collections::HashMap, sync::Arc};

use super::{
    super::{
        problems::Place,
        read::{Either, Node},
        source::{Config, OrderWord, VhostTable},
    },
    context::{Context, or},
    hosts, http, pages, route, semantic, target, tenant,
};
use crate::snapshot::{HostPattern, Route, RouteOrder, StaticFiles, Vhost};

/// All `[[vhost]]` of the file.
pub fn vhosts(config: &Config, context: &mut Context<'_>) -> Vec<Arc<Vhost>> {
    let tables: Vec<_> = config.vhost.iter().flat_map(|n| &n.value).collect();
    if tables.is_empty() && context.bounds.is_none() {
        context.out.missing(
            &Place::default(),
            "vhost",
            "add [[vhost]] with its name and routes",
        );
    }
    let mut claimed: HashMap<HostPattern, String> = HashMap::new();
    let mut default: Option<String> = None;
    let mut list = Vec::new();
    for node in tables {
        let Some(vhost) = vhost(node, &mut claimed, context) else {
            continue;
        };
        if let Some(place) = node
            .value
            .default
            .as_ref()
            .filter(|n| n.value)
            .map(|n| &n.place)
        {
            if context.bounds.is_some() {
                let message = "who serves hosts that nobody claims is the operator's to say";
                context.out.error(place, message, "remove it");
            }
            match &default {
                Some(other) => {
                    let message = format!("{other} is the default already");
                    context
                        .out
                        .error(place, message, "keep default = true on one vhost");
                }
                None => default = Some(vhost.name.clone()),
            }
        }
        list.push(vhost);
    }
    if default.is_none()
        && context.bounds.is_none()
        && let Some(first) = list.first_mut()
    {
        first.default = true;
    }
    list.into_iter().map(Arc::new).collect()
}

fn vhost(
    node: &Node<VhostTable>,
    claimed: &mut HashMap<HostPattern, String>,
    context: &mut Context<'_>,
) -> Option<Vhost> {
    let Node {
        value: table,
        place,
    } = node;
    let name = table.name.as_ref().and_then(|n| hosts::name(n, context));
    if table.name.is_none() {
        context
            .out
            .missing(place, "name", "write name = \"www.example.com\"");
    }
    // What else is wrong is worth reporting under any name.
    let shown = name.clone().unwrap_or_else(|| place.key.clone());
    let hosts = claim(table, &shown, claimed, context);
    let order = match or(&table.order, OrderWord::Longest) {
        OrderWord::Longest => RouteOrder::Longest,
        OrderWord::File => RouteOrder::File,
    };
    let compiled: Vec<(Route, &Place)> = table
        .route
        .iter()
        .flat_map(|n| &n.value)
        .filter_map(|node| Some((route::route(node, &shown, context)?, &node.place)))
        .collect();
    semantic::shadowed(&compiled, order, context);
    let document_root = table
        .document_root
        .as_ref()
        .and_then(|n| document_root(n, context));
    if table.route.as_ref().is_none_or(|n| n.value.is_empty()) && table.document_root.is_none() {
        context.out.warn(
            place,
            "neither routes nor a document_root: every answer is 404",
            "add one of them",
        );
    }
    Some(Vhost {
        tenant: context.tenant.clone(),
        hosts,
        default: or(&table.default, false),
        order,
        routes: compiled.into_iter().map(|(route, _)| route).collect(),
        document_root,
        error_pages: pages::pages(table.error_page.as_ref(), context),
        replace_member_errors: or(&table.replace_member_errors, false),
        log: (table.log.is_some() || context.own_log)
            .then(|| http::log(table.log.as_ref(), context)),
        name: name?,
    })
}

/// The names of a vhost, its own first; a name belongs to one vhost.
fn claim(
    table: &VhostTable,
    vhost: &str,
    claimed: &mut HashMap<HostPattern, String>,
    context: &mut Context<'_>,
) -> Vec<HostPattern> {
    let aliases = table.aliases.iter().flat_map(|n| &n.value);
    let mut list = Vec::new();
    for (node, is_name) in table
        .name
        .iter()
        .map(|n| (n, true))
        .chain(aliases.map(|n| (n, false)))
    {
        // A bad name was noted by the caller already.
        let pattern = if is_name {
            hosts::quietly(&node.value)
        } else {
            hosts::pattern(node, context)
        };
        let Some(pattern) = pattern else { continue };
        tenant::may_claim(&pattern, node, context);
        match claimed.get(&pattern) {
            Some(other) if other == vhost && !is_name => {
                context.out.warn(
                    &node.place,
                    format!("{:?} is listed twice", node.value),
                    "remove one of the two",
                );
            }
            Some(other) => {
                let message = format!("{:?} belongs to the vhost {other} already", node.value);
                context
                    .out
                    .error(&node.place, message, "remove it from one of the two");
            }
            None => {
                claimed.insert(pattern.clone(), vhost.to_owned());
                context.claims.push((pattern.clone(), node.place.clone()));
                list.push(pattern);
            }
        }
    }
    list
}

fn document_root(
    node: &Node<Either<String, super::super::source::FilesTable>>,
    context: &mut Context<'_>,
) -> Option<StaticFiles> {
    match &node.value {
        Either::Left(path) => {
            let path = Node {
                value: path.clone(),
                place: node.place.clone(),
            };
            Some(target::files(&path, None, "", context))
        }
        Either::Right(table) => match &table.path {
            Some(path) => Some(target::files(path, table.index.as_ref(), "", context)),
            None => {
                context
                    .out
                    .missing(&node.place, "path", "write path = \"htdocs\"");
                None
            }
        },
    }
}
