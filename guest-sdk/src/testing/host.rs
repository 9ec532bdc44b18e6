//! What the test host knows, and how a test sets it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{Context, Member, Policy, Problem, config, log::LogLevel};

use super::message;

/// A host in memory. Clones share everything: setters work on a host in use.
#[derive(Debug, Clone, Default)]
pub struct Host {
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) original: Option<(String, String, String)>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) tried: Vec<u32>,
    pub(super) triggered: u64,
    pub(super) response: Option<Response>,
    pub(super) pool: Pool,
    pub(super) now_us: u64,
    pub(super) wall_ms: u64,
    pub(super) entropy: u64,
    pub(super) cells: BTreeMap<String, Rc<RefCell<Vec<i64>>>>,
    pub(super) store: BTreeMap<String, Vec<u8>>,
    pub(super) logs: Vec<(LogLevel, String)>,
    pub(super) metrics: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) member_id: String,
    pub(super) member_route: String,
    pub(super) moved: bool,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) usable: Vec<u8>,
    pub(super) weights: Vec<u32>,
    pub(super) in_flight: Vec<u32>,
    pub(super) elected: Vec<u64>,
    pub(super) bytes_in: Vec<u64>,
    pub(super) bytes_out: Vec<u64>,
    pub(super) latency_us: Vec<u32>,
    pub(super) consecutive_failures: Vec<u32>,
}

impl Default for State {
    fn default() -> Self {
        State {
            method: "GET".into(),
            path: "/".into(),
            scheme: "http".into(),
            authority: "www.example.com".into(),
            original: None,
            headers: Vec::new(),
            attributes: BTreeMap::new(),
            tried: Vec::new(),
            triggered: u64::MAX,
            response: None,
            pool: Pool::default(),
            now_us: 1_000_000,
            wall_ms: 1_700_000_000_000,
            entropy: 1,
            cells: BTreeMap::new(),
            store: BTreeMap::new(),
            logs: Vec::new(),
            metrics: BTreeMap::new(),
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// The current thread's host, as the imports see it.
pub(super) fn with<R>(read: impl FnOnce(&mut State) -> R) -> R {
    let host = CURRENT.with(|current| current.borrow().clone());
    let host = host.expect("the policy called the host outside of `Host::run`");
    let mut state = host.state.borrow_mut();
    read(&mut state)
}

/// Restores the host before, also when the policy panics.
struct Restore(Option<Host>);

impl Drop for Restore {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| *current.borrow_mut() = before);
    }
}

/// A member as `members_changed` brings it, of weight 1.0 and without labels.
pub fn member(id: &str, route: &str) -> Member {
    Member {
        id: id.into(),
        route: route.into(),
        weight: 100,
        lb_set: 0,
        labels: Vec::new(),
    }
}

/// Starts a policy under a bare host: `describe`, then `init`, as the gateway does.
pub fn start<P: Policy>(config: &str) -> Result<P, Vec<Problem>> {
    Host::new().start(config)
}

impl Host {
    /// `GET http://www.example.com/`, no pool, no response.
    pub fn new() -> Self {
        Host::default()
    }

    /// Runs `calls` with this host behind the imports.
    pub fn run<R>(&self, calls: impl FnOnce() -> R) -> R {
        let before = CURRENT.with(|current| current.replace(Some(self.clone())));
        let _restore = Restore(before);
        calls()
    }

    /// Starts a policy with this host: `describe`, then `init`, as the gateway does.
    pub fn start<P: Policy>(&self, config: &str) -> Result<P, Vec<Problem>> {
        self.run(|| {
            P::describe(&config::read(config)?);
            let context = Context {
                binding: "test/pool".into(),
                replica: 0,
                replicas: 1,
            };
            P::init(config::read(config)?, &context)
        })
    }

    fn set(&self, change: impl FnOnce(&mut State)) -> &Self {
        change(&mut self.state.borrow_mut());
        self
    }

    /// The request's method.
    pub fn method(&self, method: &str) -> &Self {
        self.set(|s| s.method = method.into())
    }

    /// Path and query.
    pub fn path(&self, path: &str) -> &Self {
        self.set(|s| s.path = path.into())
    }

    /// `http` or `https`.
    pub fn scheme(&self, scheme: &str) -> &Self {
        self.set(|s| s.scheme = scheme.into())
    }

    /// Host and port.
    pub fn authority(&self, authority: &str) -> &Self {
        self.set(|s| s.authority = authority.into())
    }

    /// What the client asked for, where a rewriter has changed it since.
    pub fn original(&self, scheme: &str, authority: &str, path: &str) -> &Self {
        self.set(|s| s.original = Some((scheme.into(), authority.into(), path.into())))
    }

    /// Adds a request header line. `cookie` lines are parsed.
    pub fn header(&self, name: &str, value: impl AsRef<[u8]>) -> &Self {
        let line = (name.to_ascii_lowercase(), value.as_ref().to_vec());
        self.set(|s| s.headers.push(line))
    }

    /// Adds a cookie, as one more `cookie` line.
    pub fn cookie(&self, name: &str, value: &str) -> &Self {
        self.header("cookie", format!("{name}={value}"))
    }

    /// An open-ended fact such as `client.address`.
    pub fn attribute(&self, name: &str, value: &str) -> &Self {
        self.set(|s| drop(s.attributes.insert(name.into(), value.into())))
    }

    /// Members already tried for this request.
    pub fn tried(&self, members: impl Into<Vec<u32>>) -> &Self {
        self.set(|s| s.tried = members.into())
    }

    /// Which of the hook's triggers the exchange has, as `request::triggered` tells; at first all of them.
    pub fn triggered(&self, bits: u64) -> &Self {
        self.set(|s| s.triggered = bits)
    }

    /// A new request: path `/`, no headers, nobody tried, all triggers hit, no response.
    pub fn next_request(&self) -> &Self {
        self.set(|s| {
            s.path = "/".into();
            s.original = None;
            s.headers.clear();
            s.tried.clear();
            s.triggered = u64::MAX;
            s.response = None;
        })
    }

    /// A response of this status from this member.
    pub fn response(&self, status: u16, member_id: &str, member_route: &str) -> &Self {
        self.set(|s| {
            s.response = Some(Response {
                status,
                member_id: member_id.into(),
                member_route: member_route.into(),
                ..Response::default()
            });
        })
    }

    /// Adds a response header line; without a response before, one of status 200.
    pub fn response_header(&self, name: &str, value: impl AsRef<[u8]>) -> &Self {
        let line = (name.to_ascii_lowercase(), value.as_ref().to_vec());
        self.set(|s| {
            let response = s.response.get_or_insert_with(|| Response {
                status: 200,
                ..Response::default()
            });
            response.headers.push(line);
        })
    }

    /// The request's affinity could not be honoured.
    pub fn moved(&self, moved: bool) -> &Self {
        self.set(|s| s.response.get_or_insert_default().moved = moved)
    }

    /// The pool's name.
    pub fn pool(&self, name: &str) -> &Self {
        self.set(|s| s.pool.name = name.into())
    }

    /// 1 = would get new traffic now. Give `pick` another `state` after a change.
    pub fn usable(&self, column: impl Into<Vec<u8>>) -> &Self {
        self.set(|s| s.pool.usable = column.into())
    }

    /// Hundredths. Give `pick` another `state` after a change.
    pub fn weights(&self, column: impl Into<Vec<u32>>) -> &Self {
        self.set(|s| s.pool.weights = column.into())
    }

    /// Requests under way.
    pub fn in_flight(&self, column: impl Into<Vec<u32>>) -> &Self {
        self.set(|s| s.pool.in_flight = column.into())
    }

    /// How often each was chosen.
    pub fn elected(&self, column: impl Into<Vec<u64>>) -> &Self {
        self.set(|s| s.pool.elected = column.into())
    }

    /// Bytes from the members, and bytes to them.
    pub fn bytes(&self, from: impl Into<Vec<u64>>, to: impl Into<Vec<u64>>) -> &Self {
        self.set(|s| {
            s.pool.bytes_in = from.into();
            s.pool.bytes_out = to.into();
        })
    }

    /// First-byte latencies, 0 = no sample.
    pub fn latency_us(&self, column: impl Into<Vec<u32>>) -> &Self {
        self.set(|s| s.pool.latency_us = column.into())
    }

    /// Failures in a row.
    pub fn consecutive_failures(&self, column: impl Into<Vec<u32>>) -> &Self {
        self.set(|s| s.pool.consecutive_failures = column.into())
    }

    /// The monotonic clock.
    pub fn now_us(&self, now: u64) -> &Self {
        self.set(|s| s.now_us = now)
    }

    /// The calendar clock, milliseconds since 1970.
    pub fn wall_ms(&self, now: u64) -> &Self {
        self.set(|s| s.wall_ms = now)
    }

    /// Where the random numbers start: the same seed gives the same numbers.
    pub fn seed(&self, seed: u64) -> &Self {
        self.set(|s| s.entropy = seed)
    }

    /// Takes the lines logged so far.
    pub fn logs(&self) -> Vec<(LogLevel, String)> {
        std::mem::take(&mut self.state.borrow_mut().logs)
    }

    /// What a metric of that name stands at: a counter's or histogram's sum, a
    /// gauge's last value, over all labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.state.borrow().metrics.get(name).copied()
    }

    /// A value of the store.
    pub fn stored(&self, key: &str) -> Option<Vec<u8>> {
        self.state.borrow().store.get(key).cloned()
    }
}

impl State {
    pub(super) fn original(&self) -> (&str, &str, &str) {
        match &self.original {
            Some((scheme, authority, path)) => (scheme, authority, path),
            None => (&self.scheme, &self.authority, &self.path),
        }
    }

    pub(super) fn response(&self) -> &Response {
        self.response
            .as_ref()
            .expect("there is no response: the gateway would trap")
    }

    pub(super) fn cookies(&self, name: &str) -> Vec<Vec<u8>> {
        let lines = self.headers.iter().filter(|(line, _)| line == "cookie");
        lines
            .flat_map(|(_, value)| message::cookies(value))
            .filter(|(cookie, _)| *cookie == name.as_bytes())
            .map(|(_, value)| value.to_vec())
            .collect()
    }
}
