//! The configuration of the built-in `reverse`.

use serde_json::{Value, json};

use super::super::{
    read::{Either, Named, Node},
    source::ReverseTable,
};
use super::context::{Context, or};
use crate::snapshot::PolicyRef;

/// The rewriter for a route at `front`; `None` where none is asked for.
pub fn reverse(
    node: Option<&Node<Either<bool, ReverseTable>>>,
    front: &str,
    context: &mut Context<'_>,
) -> Option<PolicyRef> {
    let everything = ReverseTable::default();
    let node = node?;
    let table = match &node.value {
        Either::Left(false) => return None,
        Either::Left(true) => &everything,
        Either::Right(table) => table,
    };
    if or(&table.events, false) && !or(&table.html, false) {
        let place = table.events.as_ref().map_or(&node.place, |n| &n.place);
        context.out.warn(
            place,
            "events has no effect without html",
            "add html = true, or remove it",
        );
    }
    let config = json!({
        "front": front,
        "location": or(&table.location, true),
        "cookie_path": mapping(table.cookie_path.as_ref()),
        "cookie_domain": mapping(table.cookie_domain.as_ref()),
        "html": or(&table.html, false),
        "events": or(&table.events, false),
        "map": pairs(table.map.as_ref().map(|n| &n.value), context),
    });
    for named in [&table.cookie_path, &table.cookie_domain]
        .into_iter()
        .flatten()
    {
        if let Either::Right(table) = &named.value {
            pairs(Some(table), context);
        }
    }
    Some(PolicyRef::BuiltIn {
        name: "reverse",
        config,
    })
}

fn mapping(node: Option<&Node<Either<bool, Named<String>>>>) -> Value {
    match node.map(|n| &n.value) {
        None => Value::Bool(true),
        Some(Either::Left(on)) => Value::Bool(*on),
        Some(Either::Right(table)) => Value::Array(
            table
                .0
                .iter()
                .map(|(from, to)| json!([from, to.value]))
                .collect(),
        ),
    }
}

fn pairs(table: Option<&Named<String>>, context: &mut Context<'_>) -> Value {
    let mut list = Vec::new();
    for (from, to) in table.iter().flat_map(|t| &t.0) {
        if from.is_empty() || from.chars().chain(to.value.chars()).any(char::is_control) {
            context.out.error(
                &to.place,
                "not a text to map",
                "map a non-empty text without control characters",
            );
        }
        list.push(json!([from, to.value]));
    }
    Value::Array(list)
}
