//! From the file as written to a scenario: defaults, meanings, references.
//!
//! Members and routes are compiled by `config`, so that every key means here what
//! it means in a gateway. Everything goes on after a mistake, so that all of them
//! are reported.

use std::{path::Path, sync::Arc};

use super::{
    answer, expect,
    names::Names,
    scenario::{Scenario, Step},
    source::{ScenarioTable, StepTable},
    traffic,
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
    policy::Exports,
    snapshot::{Balancer, MemberId, Snapshot},
};

/// What `lbmethod`, `affinity` and `rewrite` call the policy under test, after `policy:`.
pub(super) const TESTED: &str = "tested";
/// The only balancer.
pub(super) const POOL: &str = "pool";
/// Serves everything.
pub(super) const VHOST: &str = "www.example.com";
/// Each takes some microseconds and 200 bytes.
pub(super) const REQUESTS: u64 = 1_000_000;

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
        .map(|(node, pool)| step(node, pool, (table, file), &names, out))
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
    (scenario, file): (&ScenarioTable, &Path),
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
    let traffic = traffic::traffic(table, file, out);
    let mut expect = expect::expected(table.expect.as_ref(), names, out);
    let nothing = traffic.requests == 0 && traffic.recorded.is_empty() && table.log.is_none();
    if nothing && !expect.is_empty() {
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
