//! Policies: their sources, their bounds, and what names them.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::{
    super::{
        problems::{Place, Problems, suggest},
        read::{Named, Node},
        source::{OnErrorWord, PolicyLimitsTable, PolicyTable},
        units::{Size, Time},
    },
    bounds,
    context::{Bounds, Context, unknown_name},
    record,
};
use crate::snapshot::{OnError, PolicyLimits, PolicyRef, PolicySource};

/// A balancer's method among the built-in policies.
pub const METHODS: [&str; 3] = ["byrequests", "bytraffic", "bybusyness"];

/// A built-in method, which takes no configuration.
pub fn method(name: &'static str) -> PolicyRef {
    PolicyRef::BuiltIn {
        name,
        config: json!({}),
    }
}

/// The policy behind `policy:NAME`, or a note that there is none; `None` where the text says something else.
pub fn named(node: &Node<String>, context: &mut Context<'_>) -> Option<PolicyRef> {
    let name = node.value.strip_prefix("policy:")?.trim();
    if !context.policy_names.iter().any(|known| known == name) {
        let define = format!("define it with [policy.{name}] and its source");
        unknown_name(
            context.out,
            &node.place,
            "policy",
            name,
            &context.policy_names,
            &define,
        );
    }
    context.used_policies.insert(name.to_owned());
    Some(PolicyRef::Named(context.tenant.qualify(name)))
}

/// Notes a text that is neither one of `built_in` nor `policy:NAME`.
pub fn not_a_policy(node: &Node<String>, built_in: &[&str], context: &mut Context<'_>) {
    let text = &node.value;
    let remedy = if context.policy_names.contains(text) {
        format!("write \"policy:{text}\"")
    } else if built_in.is_empty() {
        "write \"policy:NAME\"".to_owned()
    } else {
        format!(
            "{} A policy of your own is written \"policy:NAME\"",
            suggest(text, built_in)
        )
    };
    context.out.error(
        &node.place,
        format!("{text:?} names no policy that fits here"),
        remedy,
    );
}

/// Bounds and `on_error` for policies without their own. Reasons stand in `docs/configuration.md`.
pub fn defaults(
    node: Option<&Node<PolicyLimitsTable>>,
    out: &mut Problems,
) -> (PolicyLimits, OnError) {
    let on_error = node
        .and_then(|n| n.value.on_error.as_ref())
        .map_or(OnError::BuiltIn, |n| on_error_of(n.value));
    (limits(node, PolicyLimits::default(), out), on_error)
}

fn limits(
    node: Option<&Node<PolicyLimitsTable>>,
    fallback: PolicyLimits,
    out: &mut Problems,
) -> PolicyLimits {
    let Some(Node { value: table, .. }) = node else {
        return fallback;
    };
    let mut time =
        |node: &Option<Node<Time>>, default| bounds::positive_time(node.as_ref(), default, out);
    let deadline = time(&table.deadline, fallback.deadline);
    let init_deadline = time(&table.init_deadline, fallback.init_deadline);
    let compile_time = time(&table.compile_time, fallback.compile_time);
    let idle = time(&table.idle, fallback.idle);
    let failure_window = time(&table.failure_window, fallback.failure_window);
    let quarantine = time(&table.quarantine, fallback.quarantine);
    let failures = bounds::positive(table.failures.as_ref(), fallback.failures, out);
    let mut number = |node: &Option<Node<u32>>, default, within| {
        bounds::number(node.as_ref(), default, within, out)
    };
    // What the engine's pool has for one instance, and for all of them.
    let table_elements = number(&table.table_elements, fallback.table_elements, (64, 20_000));
    let instances = number(&table.instances, fallback.instances, (1, 2048));
    let metric_series = number(&table.metric_series, fallback.metric_series, (0, 100_000));
    let store_keys = number(&table.store_keys, fallback.store_keys, (0, 10_000_000));
    let shared_cells = number(&table.shared_cells, fallback.shared_cells, (0, 1 << 24));
    let mut size = |node: &Option<Node<Size>>, default, within| {
        bounds::size(node.as_ref(), default, within, out)
    };
    // From one page of wasm to what the engine's pool has for one instance.
    let memory = size(&table.memory, fallback.memory as u64, (64 << 10, 1 << 30));
    let store_bytes = size(
        &table.store_bytes,
        fallback.store_bytes as u64,
        (0, 1 << 30),
    );
    let module_size = size(
        &table.module_size,
        fallback.module_size as u64,
        (1 << 10, 1 << 30),
    );
    // Below 64 MiB not even the built-in ones compile.
    let compile_memory = size(
        &table.compile_memory,
        fallback.compile_memory as u64,
        (64 << 20, 64 << 30),
    );
    let log_bytes = size(&table.log_bytes, fallback.log_bytes.into(), (0, 1 << 30));
    PolicyLimits {
        deadline,
        init_deadline,
        memory: memory as usize,
        module_size: module_size as usize,
        compile_time,
        compile_memory: compile_memory as usize,
        table_elements,
        instances,
        log_bytes: log_bytes as u32,
        metric_series,
        store_keys,
        store_bytes: store_bytes as usize,
        shared_cells,
        idle,
        failures,
        failure_window,
        quarantine,
    }
}

fn on_error_of(word: OnErrorWord) -> OnError {
    match word {
        OnErrorWord::BuiltIn => OnError::BuiltIn,
        OnErrorWord::Previous => OnError::Previous,
        OnErrorWord::Refuse => OnError::Refuse,
    }
}

/// A tenant's policy has no more than the operator gives every policy.
fn hold(
    limits: &PolicyLimits,
    bounds: &Bounds,
    table: &PolicyTable,
    place: &Place,
    out: &mut Problems,
) {
    let (own, most) = (limits, &bounds.limits);
    let beyond = [
        ("deadline", own.deadline > most.deadline),
        ("init_deadline", own.init_deadline > most.init_deadline),
        ("memory", own.memory > most.memory),
        ("module_size", own.module_size > most.module_size),
        ("compile_time", own.compile_time > most.compile_time),
        ("compile_memory", own.compile_memory > most.compile_memory),
        ("table_elements", own.table_elements > most.table_elements),
        ("instances", own.instances > most.instances),
        ("log_bytes", own.log_bytes > most.log_bytes),
        ("idle", own.idle > most.idle),
        ("metric_series", own.metric_series > most.metric_series),
        ("store_keys", own.store_keys > most.store_keys),
        ("store_bytes", own.store_bytes > most.store_bytes),
        ("shared_cells", own.shared_cells > most.shared_cells),
        ("failures", own.failures > most.failures),
        ("quarantine", own.quarantine < most.quarantine),
    ];
    let place = table.limits.as_ref().map_or(place, |node| &node.place);
    for (key, beyond) in beyond {
        if beyond {
            out.error(
                &place.child(key, place.span.clone()),
                "goes beyond what the operator lets tenants' policies have",
                "leave it out, or ask the operator to raise limits.policy or the tenant's quota",
            );
        }
    }
}

/// The operator's own policies, or a tenant's.
pub fn sources(
    tables: &Named<PolicyTable>,
    context: &mut Context<'_>,
) -> BTreeMap<String, PolicySource> {
    let mut sources = BTreeMap::new();
    for (
        name,
        Node {
            value: table,
            place,
        },
    ) in &tables.0
    {
        context.name(name, "policy", place);
        let Some(source) = &table.source else {
            context
                .out
                .missing(place, "source", "write source = \"policies/NAME.wasm\"");
            continue;
        };
        let path = context.path(source);
        if !path.is_file() {
            let message = format!("{} is not there", path.display());
            context.out.warn(
                &source.place,
                message,
                "build the policy or correct the path; `run` needs the file",
            );
        }
        let policy = PolicySource {
            rollback: super::candidates::rollback(table.rollback.as_ref(), context.out),
            tenant: context.tenant.clone(),
            name: name.clone(),
            source: path,
            beneath: context.beneath(),
            config: table
                .config
                .as_ref()
                .map_or_else(|| json!({}), |n| n.value.clone()),
            on_error: table
                .on_error
                .as_ref()
                .map_or(context.on_error, |n| on_error_of(n.value)),
            limits: limits(
                table.limits.as_ref(),
                context.policy_limits.clone(),
                context.out,
            ),
            record: record::record(table.record.as_ref(), &sources, context),
            raises: Arc::clone(&context.raises),
        };
        if let Some(node) = table
            .limits
            .as_ref()
            .and_then(|n| n.value.on_error.as_ref())
        {
            let remedy = format!("write it as policy.{name}.on_error");
            context.out.error(
                &node.place,
                "on_error belongs to the policy, not to its limits",
                remedy,
            );
        }
        if let Some(bounds) = context.bounds.clone() {
            hold(&policy.limits, &bounds, table, place, context.out);
        }
        if sources
            .insert(context.tenant.qualify(name), policy)
            .is_some()
        {
            let message = "another policy has this name";
            context.out.error(place, message, "rename one of the two");
        }
    }
    sources
}
