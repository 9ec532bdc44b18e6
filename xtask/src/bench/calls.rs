//! What the policies' own counters say, and what they must say.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    net::SocketAddr,
};

use anyhow::{Context, Result, bail, ensure};

use super::{front::Front, switchyard::ROUTES, variant::Setup, work::Request};
use crate::http::Client;

const FALLBACKS: &str = "switchyard_policy_fallbacks_total";
const FAULTS: &str = "switchyard_policy_faults_total";

/// Below this few requests a share of them says nothing.
const FEW: u64 = 1_000;

/// Policy, binding and role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    policy: String,
    binding: String,
    role: String,
}

impl Place {
    fn of(labels: &str) -> Result<Self> {
        Ok(Self {
            policy: label(labels, "policy")?,
            binding: label(labels, "binding")?,
            role: label(labels, "role")?,
        })
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ({})", self.policy, self.binding, self.role)
    }
}

/// Counters of a gateway's policies.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calls {
    /// By policy and role.
    pub asked: BTreeMap<(String, String), u64>,
    /// Decisions that were made without the policy, by where it decides.
    pub fallbacks: BTreeMap<Place, u64>,
    /// Calls and rebuilds that failed, by where and in what way.
    pub faults: BTreeMap<(Place, String), u64>,
    /// Calls that were written down.
    pub recorded: u64,
    /// Calls that waited for another worker's.
    pub waits: u64,
    /// How long, in microseconds together.
    pub waited_us: f64,
}

/// Reads them from the gateway's metrics.
pub fn read(front: &Front, admin: SocketAddr) -> Result<Calls> {
    let answer = Client::new(admin).get("/metrics", &[])?;
    ensure!(
        answer.status == 200,
        "{}'s metrics are answered with {}",
        front.name,
        answer.status
    );
    parse(&answer.text())
}

fn parse(page: &str) -> Result<Calls> {
    let mut calls = Calls::default();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let count = || value.parse::<u64>().with_context(|| line.to_owned());
        match name {
            "switchyard_policy_calls_total" => {
                let key = (label(labels, "policy")?, label(labels, "role")?);
                *calls.asked.entry(key).or_default() += count()?;
            }
            FALLBACKS => *calls.fallbacks.entry(Place::of(labels)?).or_default() += count()?,
            FAULTS => {
                let key = (Place::of(labels)?, label(labels, "kind")?);
                *calls.faults.entry(key).or_default() += count()?;
            }
            "switchyard_recording_calls_total" => calls.recorded += count()?,
            "switchyard_policy_waits_total" => calls.waits += count()?,
            "switchyard_policy_wait_seconds_total" => {
                let seconds: f64 = value.parse().with_context(|| line.to_owned())?;
                calls.waited_us += seconds * 1e6;
            }
            _ => {}
        }
    }
    Ok(calls)
}

fn label(labels: &str, name: &str) -> Result<String> {
    labels
        .split(',')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""))
        .and_then(|value| value.split('"').next())
        .map(str::to_owned)
        .with_context(|| format!("there is no label `{name}` in {labels}"))
}

impl Calls {
    /// What was added since.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            asked: added(&self.asked, &before.asked),
            fallbacks: added(&self.fallbacks, &before.fallbacks),
            faults: added(&self.faults, &before.faults),
            recorded: self.recorded.saturating_sub(before.recorded),
            waits: self.waits.saturating_sub(before.waits),
            waited_us: self.waited_us - before.waited_us,
        }
    }

    /// Calls in a role by all policies of one name, or of any.
    fn of(&self, policy: Option<&str>, role: &str) -> u64 {
        let fits =
            |key: &(String, String)| policy.is_none_or(|name| key.0 == name) && key.1 == role;
        let found = self.asked.iter().filter(|(key, _)| fits(key));
        found.map(|(_, count)| count).sum()
    }
}

fn added<K: Ord + Clone>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let added = now.iter().map(|(key, count)| {
        let before = before.get(key).copied().unwrap_or_default();
        (key.clone(), count.saturating_sub(before))
    });
    added.collect()
}

/// How often each request was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    counts: Vec<u64>,
}

impl Sent {
    /// Adds a turn in which `count` were sent from the first of `requests` on.
    pub fn add(&mut self, count: u64, requests: usize) {
        self.counts.resize(requests, 0);
        let all = requests as u64;
        for (index, sent) in (0..).zip(&mut self.counts) {
            *sent += count / all + u64::from(index < count % all);
        }
    }

    /// Adds some of the first one.
    pub fn add_first(&mut self, count: u64, requests: usize) {
        self.counts.resize(requests, 0);
        if let Some(first) = self.counts.first_mut() {
            *first += count;
        }
    }

    fn of(&self, requests: &[Request], fits: impl Fn(&Request) -> bool) -> u64 {
        let pairs = requests.iter().zip(&self.counts);
        pairs
            .filter(|(one, _)| fits(one))
            .map(|(_, sent)| sent)
            .sum()
    }
}

/// Fails where policies were not asked as often as the requests demand. What it says is for the report.
pub fn prove(setup: Setup, calls: &Calls, requests: &[Request], sent: &Sent) -> Result<String> {
    let total = sent.of(requests, |_| true);
    let sessions = sent.of(requests, |one| one.session.is_some());
    let fresh = total - sessions;
    let missed: u64 = calls.fallbacks.values().sum();
    ensure!(
        missed == 0,
        "{missed} decisions were made without the policy; {FALLBACKS}: {}; {FAULTS}: {} \
         (the gateway's log says in which hook and why)",
        counted(&calls.fallbacks, Place::to_string),
        counted(&calls.faults, |(place, kind)| format!("{place} {kind}")),
    );
    let mut due = match setup {
        // What is asked all the same is told, and the goal is then not what was measured.
        Setup::Nothing => {
            return Ok(match calls.of(None, "serving") {
                0 => format!("no policy was asked for {total} requests"),
                asked => format!("{NOT_NOTHING}: {asked} calls for {total} requests"),
            });
        }
        Setup::Balancer => vec![("byrequests", total)],
        Setup::Five => (0..)
            .zip(ROUTES)
            .map(|(route, (_, method))| {
                let fits = |one: &Request| one.session.is_none() && one.route == route;
                (method, sent.of(requests, fits))
            })
            .collect(),
        Setup::File | Setup::Record => vec![("filed", fresh)],
        Setup::Base | Setup::Shadow => vec![("byrequests", fresh)],
    };
    if setup != Setup::Balancer {
        due.extend([("jsessionid", sessions), ("reverse", total)]);
    }
    let mut said = Vec::new();
    for (policy, due) in due {
        let asked = calls.of(Some(policy), "serving");
        if asked != due {
            bail!("{policy} was asked {asked} times, and {due} of {total} requests were its");
        }
        said.push(format!("{policy} {asked}"));
    }
    if setup == Setup::Shadow {
        let seen = calls.of(None, "shadow");
        let share = seen as f64 / fresh as f64;
        ensure!(
            fresh < FEW || (0.07..=0.13).contains(&share),
            "the shadow saw {seen} of {fresh} decisions"
        );
        said.push(format!("the shadow beside {seen}"));
    }
    if setup == Setup::Record {
        ensure!(
            fresh < FEW || calls.recorded > 0,
            "none of {fresh} decisions were recorded"
        );
        said.push(format!("{} recorded", calls.recorded));
    }
    if calls.waits > 0 {
        let each = calls.waited_us / calls.waits as f64;
        said.push(format!(
            "{} calls waited for another worker's, {each:.1} us each",
            calls.waits
        ));
    }
    Ok(format!(
        "{total} requests, policies asked: {}",
        said.join(", ")
    ))
}

/// Those that were counted at all.
fn counted<K>(counts: &BTreeMap<K, u64>, name: impl Fn(&K) -> String) -> String {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    let words: Vec<_> = some
        .map(|(key, count)| format!("{} {count}", name(key)))
        .collect();
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

/// What is said of a front that was to ask nobody.
pub const NOT_NOTHING: &str = "a policy was asked all the same";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{variant::VARIANTS, work};

    const PAGE: &str = "# HELP x y\n\
        switchyard_policy_calls_total{tenant=\"default\",policy=\"byrequests\",digest=\"a\",binding=\"default/app\",role=\"serving\"} 3\n\
        switchyard_policy_calls_total{tenant=\"default\",policy=\"byrequests\",digest=\"a\",binding=\"default/b\",role=\"serving\"} 2\n\
        switchyard_policy_calls_total{tenant=\"default\",policy=\"jsessionid\",digest=\"b\",binding=\"default/app\",role=\"serving\"} 5\n\
        switchyard_policy_calls_total{tenant=\"default\",policy=\"reverse\",digest=\"c\",binding=\"default/app\",role=\"serving\"} 10\n\
        switchyard_policy_fallbacks_total{tenant=\"default\",policy=\"reverse\",digest=\"c\",binding=\"default/app\",role=\"serving\"} 0\n\
        switchyard_policy_faults_total{tenant=\"default\",policy=\"reverse\",digest=\"c\",binding=\"default/app\",role=\"serving\",kind=\"deadline\"} 1\n\
        switchyard_policy_waits_total{tenant=\"default\",policy=\"byrequests\"} 2\n\
        switchyard_policy_wait_seconds_total{tenant=\"default\",policy=\"byrequests\"} 0.000003\n\
        switchyard_connections 7\n";

    fn requests() -> Vec<Request> {
        work::requests(&VARIANTS[0], SocketAddr::from(([127, 0, 0, 1], 80)))
    }

    #[test]
    fn calls_are_summed_over_bindings_and_must_match_the_requests() {
        let calls = parse(PAGE).unwrap();
        let mut sent = Sent::default();
        sent.add(10, requests().len());
        let said = prove(Setup::Base, &calls, &requests(), &sent).unwrap();
        assert_eq!(
            said,
            "10 requests, policies asked: byrequests 5, jsessionid 5, reverse 10, 2 calls waited for another worker's, 1.5 us each"
        );
        sent.add_first(1, requests().len());
        let missed = prove(Setup::Base, &calls, &requests(), &sent).unwrap_err();
        assert_eq!(
            missed.to_string(),
            "byrequests was asked 5 times, and 6 of 11 requests were its"
        );
    }

    #[test]
    fn a_decision_without_its_policy_is_none_that_counts() {
        let page = PAGE.replace("role=\"serving\"} 0", "role=\"serving\"} 7");
        let calls = parse(&page).unwrap();
        let error = prove(Setup::Base, &calls, &requests(), &Sent::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "7 decisions were made without the policy; \
             switchyard_policy_fallbacks_total: reverse at default/app (serving) 7; \
             switchyard_policy_faults_total: reverse at default/app (serving) deadline 1 \
             (the gateway's log says in which hook and why)"
        );
        let quiet = calls.since(&calls);
        assert!(prove(Setup::Base, &quiet, &requests(), &Sent::default()).is_ok());
    }

    #[test]
    fn a_front_without_policies_that_asks_one_says_so() {
        let calls = parse(PAGE).unwrap();
        let said = prove(Setup::Nothing, &calls, &requests(), &Sent::default()).unwrap();
        assert!(said.starts_with(NOT_NOTHING), "{said}");
    }

    #[test]
    fn a_turn_that_ends_within_a_cycle_counts_the_first_ones_once_more() {
        let mut sent = Sent::default();
        sent.add(6, 4);
        assert_eq!(sent.counts, [2, 2, 1, 1]);
    }
}
