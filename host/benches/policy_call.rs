//! What one decision of a built-in policy costs, in its host's thread: `pick`
//! over 3 to 1,000 members, `locate` with and without a session, and a
//! rewritten `Location`. A decision over 10 members is to stay under 1 us, over
//! 1,000 under 5 us.
//!
//! Run it on an idle machine; docs/performance.md has what it said.

#![allow(missing_docs, reason = "criterion's macros make a public main")]

use std::{borrow::Cow, hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use switchyard::{
    builtin,
    decision::{
        Call, Context, FieldsView, Hook, Member, PoolView, RequestView, ResponseView, Trigger,
    },
    policy::{Environment, Instance, Loader, Module},
    snapshot::PolicyLimits,
    wasm::{Compiler, WasmLoader, WasmOptions},
};

fn limits() -> PolicyLimits {
    PolicyLimits {
        deadline: Duration::from_millis(50),
        init_deadline: Duration::from_secs(1),
        memory: 32 << 20,
        module_size: 16 << 20,
        compile_time: Duration::from_secs(60),
        compile_memory: 1 << 30,
        log_bytes: 4096,
        failures: 1,
        failure_window: Duration::from_secs(1),
        quarantine: Duration::from_secs(1),
        ..PolicyLimits::default()
    }
}

fn module(name: &str) -> Arc<dyn Module> {
    let loader = WasmLoader::new(WasmOptions {
        compiler: Compiler::InProcess,
        ..WasmOptions::default()
    })
    .expect("an engine");
    let wasm = builtin::find(name).expect("a built-in policy").wasm;
    loader.load(name, wasm, &limits()).expect("it loads")
}

fn environment(name: &str) -> Environment {
    Environment {
        tenant: "default".into(),
        policy: name.into(),
        limits: limits(),
        seed: 1,
        clock: Default::default(),
        tape: switchyard::recording::Source::None,
    }
}

fn start(name: &str, config: &str, members: usize) -> Box<dyn Instance> {
    let module = module(name);
    let context = Context {
        binding: "default/bench".into(),
        replica: 0,
        replicas: 1,
    };
    let environment = environment(name);
    let mut instance = module
        .instantiate(config, &context, &environment)
        .expect("it starts");
    if module.exports().membership {
        instance
            .members_changed(1, &pool(members))
            .expect("members");
    }
    instance
}

/// What must be there for the policy's `hook` to be called.
fn triggers(name: &str, config: &str, hook: Hook) -> Vec<Trigger> {
    let described = module(name).describe(config, &environment(name));
    let all = described.expect("a descriptor").triggers;
    let own = all.into_iter().filter(|(of, _)| *of == hook);
    own.map(|(_, trigger)| trigger).collect()
}

fn pool(members: usize) -> Vec<Member> {
    let member = |at: usize| Member {
        id: format!("http://10.0.0.{at}:8080"),
        route: format!("worker{at}"),
        weight: 100 * (at as u32 % 3 + 1),
        lb_set: 0,
        labels: Vec::new(),
    };
    (0..members).map(member).collect()
}

struct Pool {
    usable: Vec<u8>,
    weights: Vec<u32>,
}

impl Pool {
    fn of(members: usize) -> Self {
        Self {
            usable: vec![1; members],
            weights: (0..members).map(|at| 100 * (at as u32 % 3 + 1)).collect(),
        }
    }

    fn zeroes<T: Clone + Default>(&self, out: &mut Vec<T>) {
        out.resize(self.usable.len(), T::default());
    }
}

impl PoolView for Pool {
    fn name(&self) -> &str {
        "bench"
    }
    fn usable(&self) -> &[u8] {
        &self.usable
    }
    fn weights(&self) -> &[u32] {
        &self.weights
    }
    fn in_flight(&self, out: &mut Vec<u32>) {
        self.zeroes(out);
    }
    fn elected(&self, out: &mut Vec<u64>) {
        self.zeroes(out);
    }
    fn bytes_in(&self, out: &mut Vec<u64>) {
        self.zeroes(out);
    }
    fn bytes_out(&self, out: &mut Vec<u64>) {
        self.zeroes(out);
    }
    fn latency_us(&self, out: &mut Vec<u32>) {
        self.zeroes(out);
    }
    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        self.zeroes(out);
    }
}

/// A request with or without a session.
struct Request(Option<&'static str>);

impl FieldsView for Request {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "host").then_some(b"www.example.com")
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        each("host");
    }
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/Test/start"
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "www.example.com"
    }
    fn original_path(&self) -> &str {
        "/Test/start"
    }
    fn original_scheme(&self) -> &str {
        "http"
    }
    fn original_authority(&self) -> &str {
        "www.example.com"
    }
    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.0.filter(|_| name == "JSESSIONID").map(str::as_bytes)
    }
    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.cookie(name).into_iter().for_each(each);
    }
    fn query(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn path_parameter(&self, _name: &str) -> Option<&str> {
        None
    }
    fn attribute(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn tried(&self) -> &[u32] {
        &[]
    }
}

/// A redirect to the member's own address.
struct Redirect;

impl FieldsView for Redirect {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "location").then_some(b"http://10.0.0.1:8080/Test/next?page=2")
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        each("location");
    }
}

impl ResponseView for Redirect {
    fn status(&self) -> u16 {
        302
    }
    fn member_id(&self) -> &str {
        "http://10.0.0.1:8080"
    }
    fn member_route(&self) -> &str {
        "worker1"
    }
    fn moved(&self) -> bool {
        false
    }
}

const NOTHING: Call<'static> = Call {
    request: None,
    response: None,
    pool: None,
    triggered: u64::MAX,
    now_us: 1,
    wall_ms: 1,
};

/// The built-in balancers, each over pools of the sizes that are held to a bound; one also between.
fn pick(c: &mut Criterion) {
    for (balancer, sizes) in [
        ("byrequests", &[3, 10, 100, 1000][..]),
        ("bytraffic", &[10, 1000]),
        ("bybusyness", &[10, 1000]),
    ] {
        for &members in sizes {
            let mut instance = start(balancer, "{}", members);
            let (request, pool) = (Request(None), Pool::of(members));
            let call = Call {
                request: Some(&request),
                pool: Some(&pool),
                ..NOTHING
            };
            c.bench_function(&format!("{balancer} pick of {members}"), |b| {
                b.iter(|| instance.pick(black_box(&call), 0, 1).expect("a verdict"));
            });
        }
    }
}

fn locate(c: &mut Criterion) {
    let mut instance = start("jsessionid", r#"{"cookie": "JSESSIONID"}"#, 3);
    for (name, cookie) in [
        ("with a cookie", Some("0123456789ABCDEF.worker1")),
        ("without", None),
    ] {
        let request = Request(cookie);
        let call = Call {
            request: Some(&request),
            ..NOTHING
        };
        c.bench_function(&format!("jsessionid locate {name}"), |b| {
            b.iter(|| instance.locate(black_box(&call)).expect("an answer"));
        });
    }
}

/// An answer with a `Location`, as the gateway asks about it: the policy is told which of its triggers are there.
fn rewrite(c: &mut Criterion) {
    let config = r#"{"front": "/Test", "location": true}"#;
    let mut instance = start("reverse", config, 3);
    let (request, triggers) = (Request(None), triggers("reverse", config, Hook::OnResponse));
    let call = Call {
        request: Some(&request),
        response: Some(&Redirect),
        triggered: Trigger::look(&triggers, &request, Some(&Redirect)).expect("a Location"),
        ..NOTHING
    };
    c.bench_function("reverse on-response, one Location", |b| {
        b.iter(|| instance.on_response(black_box(&call)).expect("a plan"));
    });
}

criterion_group!(benches, pick, locate, rewrite);
criterion_main!(benches);
