//! Recordings of policies.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    super::{read::Node, source::RecordTable},
    bounds,
    context::Context,
};
use crate::snapshot::{PolicySource, Record};

/// What carries a session or a password by itself. Reasons stand in `docs/recording.md`.
const REDACT: [&str; 5] = [
    "authorization",
    "cookie",
    "jsessionid",
    "proxy-authorization",
    "set-cookie",
];

/// Bytes of a file. Less than 1 MiB would be put aside all the time, more than 64 GiB fills disks.
const SIZES: (u64, u64) = (1 << 20, 64 << 30);

/// A policy's own table.
pub fn record(
    node: Option<&Node<RecordTable>>,
    earlier: &BTreeMap<String, PolicySource>,
    context: &mut Context<'_>,
) -> Option<Record> {
    let Node {
        value: table,
        place,
    } = node?;
    let Some(path_node) = &table.path else {
        context
            .out
            .missing(place, "path", "write path = \"recordings/NAME.rec\"");
        return None;
    };
    if !context.tenant.is_operator() {
        let message =
            "recordings hold what other tenants' clients sent, and fill the operator's disk";
        let remedy = "ask the operator to record this policy";
        context.out.error(place, message, remedy);
    }
    let path: PathBuf = context.path(path_node);
    let same = |policy: &&PolicySource| policy.record.as_ref().is_some_and(|r| r.path == path);
    if let Some(other) = earlier.values().find(same) {
        let message = format!("policy `{}` records into this file too", other.name);
        let remedy = "give each policy a file of its own";
        context.out.error(&path_node.place, message, remedy);
    }
    let redact = match &table.redact {
        None => REDACT.map(str::to_owned).to_vec(),
        Some(list) => list.value.iter().map(|node| name(node, context)).collect(),
    };
    Some(Record {
        path,
        sample: table.sample.as_ref().map_or(0.01, |node| node.value.0),
        redact,
        max_size: bounds::size(table.max_size.as_ref(), 64 << 20, SIZES, context.out),
    })
}

fn name(node: &Node<String>, context: &mut Context<'_>) -> String {
    let legal = |b: u8| b.is_ascii_graphic() && !b"=;,\"".contains(&b);
    if node.value.is_empty() || !node.value.bytes().all(legal) {
        let message = format!(
            "{:?} is not the name of a header, cookie or parameter",
            node.value
        );
        let remedy = "write the name alone, as \"cookie\" or \"JSESSIONID\"";
        context.out.error(&node.place, message, remedy);
    }
    node.value.clone()
}
