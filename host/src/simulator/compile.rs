//! From the file as written to a scenario: defaults, meanings, references.
//!
//! Members and routes are compiled by `config`, so that every key means here what
//! it means in a gateway. Everything goes on after a mistake, so that all of them
//! are reported.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    answer, expect,
    names::Names,
    scenario::{Ask, Clients, Scenario, Step, Traffic},
    source::{ScenarioTable, StepTable},
};
use crate::{
    config::{
        self,
        problems::{Problems, suggest},
        read::{Either, Named, Node, Overlay},
        source::{
            BalancerTable, Config, ListenerTable, MemberTable, OneOrMany, PolicyTable, RouteTable,
            VhostTable,
        },
    },
    http1::is_token,
    policy::Exports,
    snapshot::{Balancer, MemberId, Snapshot},
};

/// What `lbmethod`, `affinity` and `rewrite` call the policy under test, after `policy:`.
pub(super) const TESTED: &str = "tested";
/// The only balancer.
pub(super) const POOL: &str = "pool";
/// Serves everything.
const VHOST: &str = "www.example.com";
/// Each takes some microseconds and 200 bytes.
const REQUESTS: u64 = 1_000_000;
/// Clients that keep cookies.
const SESSIONS: u32 = 100_000;

/// Gives a scenario its meaning.
pub(super) fn scenario(
    table: &ScenarioTable,
    file: &Path,
    policy: &Path,
    exports: Exports,
    out: &mut Problems,
) -> Scenario {
    let source = std::path::absolute(policy).unwrap_or_else(|_| policy.to_owned());
    let frame = Frame {
        table,
        file,
        source: source.display().to_string(),
        exports,
    };
    let mut balancer = table.balancer.clone().unwrap_or_else(|| made(alone()));
    gather(&mut balancer.value);
    if let Some(wait) = &balancer.value.wait {
        let remedy = "leave it out: requests of a scenario find a member at once or none";
        out.error(&wait.place, "a scenario has nobody who waits", remedy);
    }
    let snapshot = frame.snapshot(&balancer, out);
    let steps = table.step.as_ref().map_or(&[][..], |n| &n.value);
    if steps.is_empty() && !out.mentions("step") {
        let remedy = "write [[step]] and below it requests = 10";
        out.missing(&Default::default(), "step", remedy);
    }
    let pools = frame.pools(&snapshot, balancer, steps, out);
    let members = snapshot
        .balancers
        .get(POOL)
        .into_iter()
        .chain(pools.iter().flatten());
    let names = Names::of(members.flat_map(|pool| &pool.members).map(|m| &**m));
    let total: u64 = steps
        .iter()
        .map(|step| u64::from(step.value.requests.as_ref().map_or(0, |n| n.value)))
        .sum();
    if total > REQUESTS {
        let message = format!("{total} requests are too many");
        out.error(
            &Default::default(),
            message,
            format!("use {REQUESTS} at most"),
        );
    }
    let steps = steps
        .iter()
        .zip(pools)
        .map(|(node, pool)| step(node, pool, table, &names, out))
        .collect();
    Scenario {
        snapshot: Arc::new(snapshot),
        seed: table.seed.as_ref().map_or(1, |n| n.value.into()),
        expect: expect::expected(table.expect.as_ref(), &names, out),
        steps,
        names,
        warnings: Vec::new(),
        text: String::new(),
        file: file.to_owned(),
    }
}

/// Everything of the configuration that stays as it is.
struct Frame<'a> {
    table: &'a ScenarioTable,
    file: &'a Path,
    source: String,
    exports: Exports,
}

impl Frame<'_> {
    fn snapshot(&self, balancer: &Node<BalancerTable>, out: &mut Problems) -> Snapshot {
        let mut balancer = balancer.clone();
        let tested = || made(Either::Right(format!("policy:{TESTED}")));
        let table = &mut balancer.value;
        if self.exports.balancer && table.lbmethod.is_none() {
            table.lbmethod = Some(tested());
        }
        if self.exports.affinity && table.affinity.is_none() && table.stickysession.is_none() {
            table.affinity = Some(tested());
        }
        let mut route = self
            .table
            .route
            .clone()
            .unwrap_or_else(|| made(RouteTable::default()));
        let table = &mut route.value;
        if table.path.is_none() && table.regex.is_none() {
            table.path = Some(made("/".to_owned()));
        }
        table.balancer.get_or_insert_with(|| made(POOL.to_owned()));
        if self.exports.rewriter && table.rewrite.is_none() {
            table.rewrite = Some(tested());
        }
        let policy = self.table.policy.as_ref().map(|n| &n.value);
        let policy = PolicyTable {
            record: None,
            source: Some(made(self.source.clone())),
            config: policy.and_then(|p| p.config.clone()),
            limits: policy.and_then(|p| p.limits.clone()),
            rollback: None,
            on_error: None,
        };
        let listener = ListenerTable {
            bind: Some(made("127.0.0.1:0".to_owned())),
            proxy_protocol: None,
        };
        let vhost = VhostTable {
            name: Some(made(VHOST.to_owned())),
            default: Some(made(true)),
            route: Some(made(vec![route])),
            ..VhostTable::default()
        };
        let config = Config {
            version: Some(made(1)),
            listener: Some(made(vec![made(listener)])),
            vhost: Some(made(vec![made(vhost)])),
            balancer: Some(made(Named(vec![(POOL.to_owned(), balancer)]))),
            policy: Some(made(Named(vec![(TESTED.to_owned(), made(policy))]))),
            ..Config::default()
        };
        config::snapshot(&config, self.file, out)
    }

    /// The pool from each step on; `None` where the step changes nobody.
    fn pools(
        &self,
        first: &Snapshot,
        mut balancer: Node<BalancerTable>,
        steps: &[Node<StepTable>],
        out: &mut Problems,
    ) -> Vec<Option<Arc<Balancer>>> {
        let mut current = first.balancers.get(POOL).cloned();
        let mut pools = Vec::with_capacity(steps.len());
        for Node { value: step, .. } in steps {
            if step.joins.is_none() && step.leaves.is_none() && step.changes.is_none() {
                pools.push(None);
                continue;
            }
            if let Some(pool) = &current {
                change(&mut balancer.value, pool, step, out);
                let changed = self.snapshot(&balancer, out);
                current = changed.balancers.get(POOL).cloned();
            }
            pools.push(current.clone());
        }
        pools
    }
}

/// A value that nobody wrote.
fn made<T>(value: T) -> Node<T> {
    let place = Default::default();
    Node { value, place }
}

/// One member, for scenarios that are not about members.
fn alone() -> BalancerTable {
    let member = MemberTable {
        url: Some(made("http://member".to_owned())),
        ..MemberTable::default()
    };
    BalancerTable {
        members: Some(made(vec![made(member)])),
        ..BalancerTable::default()
    }
}

/// Puts members of both ways to write them into one list, which steps then change.
fn gather(table: &mut BalancerTable) {
    if let Some(mut more) = table.member.take() {
        match &mut table.members {
            Some(members) => members.value.append(&mut more.value),
            None => table.members = Some(more),
        }
    }
}

/// Applies a step's changes to the list that `pool` was made of.
fn change(table: &mut BalancerTable, pool: &Balancer, step: &StepTable, out: &mut Problems) {
    let Some(members) = &mut table.members else {
        return;
    };
    // A member that could not be compiled has been reported.
    if members.value.len() != pool.members.len() {
        return;
    }
    let names = Names::of(pool.members.iter().map(|m| &**m));
    let index = |id: &MemberId| pool.members.iter().position(|m| m.id == *id);
    for (name, change) in step.changes.iter().flat_map(|n| &n.value.0) {
        let word = Node {
            value: name.clone(),
            place: change.place.clone(),
        };
        if let Some(index) = meant(&word, &names, out).and_then(index) {
            members.value[index].value.overlay(&change.value);
        }
    }
    let mut leaving: Vec<usize> = each(step.leaves.as_ref())
        .iter()
        .filter_map(|word| meant(word, &names, out).and_then(index))
        .collect();
    leaving.sort_unstable();
    leaving.dedup();
    for index in leaving.into_iter().rev() {
        members.value.remove(index);
    }
    let joins = step.joins.iter().flat_map(|n| &n.value);
    members.value.extend(joins.cloned());
}

/// The elements of a key that takes one value or an array of them.
pub(super) fn each<T: Clone>(node: Option<&Node<OneOrMany<T>>>) -> Vec<Node<T>> {
    match node {
        None => Vec::new(),
        Some(Node {
            value: Either::Left(list),
            ..
        }) => list.clone(),
        Some(Node {
            value: Either::Right(one),
            place,
        }) => vec![Node {
            value: one.clone(),
            place: place.clone(),
        }],
    }
}

/// The member that a word means, or a note that there is none.
pub(super) fn meant<'a>(
    word: &Node<String>,
    names: &'a Names,
    out: &mut Problems,
) -> Option<&'a MemberId> {
    let found = names.find(&word.value);
    if found.is_none() {
        let message = format!("there is no member `{}`", word.value);
        out.error(&word.place, message, suggest(&word.value, &names.words()));
    }
    found
}

fn step(
    node: &Node<StepTable>,
    balancer: Option<Arc<Balancer>>,
    scenario: &ScenarioTable,
    names: &Names,
    out: &mut Problems,
) -> Step {
    let table = &node.value;
    let mut accepts = Vec::new();
    for (words, accept) in [(&table.dies, false), (&table.returns, true)] {
        for word in each(words.as_ref()) {
            let id = meant(&word, names, out);
            accepts.extend(id.map(|id| (id.clone(), accept)));
        }
    }
    let traffic = traffic(table, out);
    let mut expect = expect::expected(table.expect.as_ref(), names, out);
    if traffic.requests == 0 && !expect.is_empty() {
        let message = "nothing is sent that could be as expected";
        out.error(&node.place, message, "write requests = 1 or more");
    }
    expect::never_fails(&mut expect, &node.place);
    Step {
        name: table
            .name
            .as_ref()
            .map_or_else(String::new, |n| n.value.clone()),
        balancer,
        accepts,
        wait: table.wait.as_ref().map(|n| n.value.0).unwrap_or_default(),
        traffic,
        answers: answer::answers(scenario, table, names, out),
        expect,
    }
}

fn traffic(table: &StepTable, out: &mut Problems) -> Traffic {
    let text = |node: &Option<Node<String>>, default: &str| {
        node.as_ref()
            .map_or_else(|| default.to_owned(), |n| n.value.clone())
    };
    let client = table.client.as_ref().and_then(|node| {
        let address = node.value.parse().ok();
        if address.is_none() {
            let message = format!("{:?} is no address", node.value);
            out.error(&node.place, message, "write one such as \"192.0.2.1\"");
        }
        address
    });
    let headers = lines(table.headers.as_ref(), out);
    let mut cookies = Vec::new();
    for (name, node) in table.cookies.iter().flat_map(|n| &n.value.0) {
        let legal = |c: char| c.is_ascii_graphic() && !";,\"\\".contains(c);
        if !is_token(name.as_bytes()) || !node.value.chars().all(legal) {
            let remedy = "use a token, and a value without blanks, ; and ,";
            out.error(&node.place, "no cookie that a client would send", remedy);
        }
        cookies.push((name.clone(), node.value.clone()));
    }
    let ask = Ask {
        method: text(&table.method, "GET"),
        path: text(&table.path, "/"),
        host: text(&table.host, VHOST),
        headers,
        cookies,
        // For documentation (RFC 5737).
        client: client.unwrap_or_else(|| [192, 0, 2, 1].into()),
    };
    if let Err(why) = super::exchange::head_of(&ask, &BTreeMap::new()) {
        let place = [&table.path, &table.method, &table.host]
            .into_iter()
            .flatten()
            .next();
        let place = place.map_or_else(Default::default, |n| n.place.clone());
        out.error(
            &place,
            format!("no client can ask this: {why}"),
            "correct method, path, host or headers",
        );
    }
    Traffic {
        requests: table.requests.as_ref().map_or(0, |n| n.value),
        every: table.every.as_ref().map(|n| n.value.0).unwrap_or_default(),
        ask: Arc::new(ask),
        clients: clients(table, out),
    }
}

fn clients(table: &StepTable, out: &mut Problems) -> Clients {
    match (&table.session, &table.sessions) {
        (Some(_), Some(node)) => {
            let remedy = "remove one of the two";
            out.error(&node.place, "session and sessions cannot both be", remedy);
            Clients::Strangers
        }
        (Some(one), None) => Clients::One(one.value.as_str().into()),
        (None, Some(node)) => {
            if !(1..=SESSIONS).contains(&node.value) {
                let message = format!("{} sessions cannot take turns", node.value);
                out.error(&node.place, message, format!("use 1 to {SESSIONS}"));
            }
            Clients::Turns(node.value.max(1))
        }
        (None, None) => Clients::Strangers,
    }
}

/// Field lines in order, names and values checked.
pub(super) fn lines(
    table: Option<&Node<Named<OneOrMany<String>>>>,
    out: &mut Problems,
) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, node) in table.iter().flat_map(|n| &n.value.0) {
        if !is_token(name.as_bytes()) {
            let remedy = "use letters, digits and -";
            out.error(&node.place, format!("{name:?} is no field name"), remedy);
        }
        for value in each(Some(node)) {
            if !crate::http1::is_legal_value(value.value.as_bytes()) {
                let remedy = "leave control characters out";
                out.error(&value.place, "no value that a field can have", remedy);
            }
            lines.push((name.to_ascii_lowercase(), value.value));
        }
    }
    lines
}
