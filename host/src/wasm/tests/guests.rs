//! Makes small guests from text.

use std::{borrow::Cow, sync::Arc, time::Duration};

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::{
    decision::{Call, Context, FieldsView, PoolView, RequestView},
    policy::{Environment, Instance, Loader, Module, Refusal},
    recording::Source,
    snapshot::PolicyLimits,
    wasm::{Compiler, WasmLoader, WasmOptions},
};

/// A balancer; each part is WebAssembly text that may replace the default.
pub struct Guest {
    /// `(import …)` and other fields of the module; `memory`, `$next` and `cabi_realloc` are there.
    pub fields: &'static str,
    /// Pages of memory.
    pub pages: u32,
    /// Returns a pointer to `result<descriptor, list<problem>>`; 1024 is zeroed: "exclusive, always".
    pub describe: &'static str,
    /// Returns a pointer to `result<_, list<problem>>`.
    pub init: &'static str,
    /// `(param i64 i32 i32)`
    pub members_changed: &'static str,
    /// `(param i32 i64)`, returns a pointer to a verdict: 0 at 1024 is `member(0)`.
    pub pick: &'static str,
}

impl Default for Guest {
    fn default() -> Self {
        let zeroed = "(i32.const 1024)";
        Self {
            fields: "",
            pages: 2,
            describe: zeroed,
            init: zeroed,
            members_changed: "",
            pick: zeroed,
        }
    }
}

impl Guest {
    /// The module, with metadata for `balancer-policy`.
    pub fn wasm(&self) -> Vec<u8> {
        let Self {
            fields,
            pages,
            describe,
            init,
            members_changed,
            pick,
        } = self;
        let text = format!(
            r#"(module
                {fields}
                (memory (export "memory") {pages})
                (global $next (mut i32) (i32.const 65536))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (local $at i32)
                    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                    (global.set $next (i32.add (local.get $at) (local.get 3)))
                    (local.get $at))
                (func (export "switchyard:policy/lifecycle@0.1.0#describe") (param i32 i32) (result i32) {describe})
                (func (export "switchyard:policy/lifecycle@0.1.0#init")
                    (param i32 i32 i32 i32 i32 i32) (result i32) {init})
                (func (export "switchyard:policy/membership@0.1.0#members-changed")
                    (param i64 i32 i32) {members_changed})
                (func $pick (export "switchyard:policy/balancer@0.1.0#pick") (param i32 i64) (result i32)
                    (local $i i32)
                    (global.set $next (i32.const 65536)) {pick}))"#
        );
        let mut wasm = wat::parse_str(text).unwrap();
        let (resolve, world) = contract("balancer-policy");
        embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8, false).unwrap();
        wasm
    }
}

fn contract(world: &str) -> (Resolve, wit_parser::WorldId) {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("policy.wit", include_str!("../../../../wit/policy.wit"))
        .unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    (resolve, world)
}

/// A module that imports and exports all of `world` and traps in everything.
pub fn dummy(world: &str) -> Vec<u8> {
    let (resolve, world) = contract(world);
    let mut wasm = wit_component::dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8, false).unwrap();
    wasm
}

pub fn limits() -> PolicyLimits {
    PolicyLimits {
        deadline: Duration::from_millis(5),
        init_deadline: Duration::from_millis(100),
        memory: 4 << 20,
        module_size: 1 << 20,
        compile_time: Duration::from_secs(5),
        compile_memory: 512 << 20,
        log_bytes: 4096,
        failures: 3,
        failure_window: Duration::from_secs(10),
        quarantine: Duration::from_secs(10),
        ..PolicyLimits::default()
    }
}

pub fn environment() -> Environment {
    Environment {
        tenant: "default".into(),
        policy: "test".into(),
        limits: limits(),
        seed: 7,
        clock: Default::default(),
        tape: Source::None,
    }
}

pub fn context() -> Context {
    Context {
        binding: "default/cluster".into(),
        replica: 0,
        replicas: 1,
    }
}

pub fn loader() -> WasmLoader {
    WasmLoader::new(WasmOptions {
        compiler: Compiler::InProcess,
        ..WasmOptions::default()
    })
    .unwrap()
}

pub fn load(wasm: &[u8]) -> Result<Arc<dyn Module>, Refusal> {
    loader().load("test", wasm, &limits())
}

/// An instance of a guest that loads and starts.
pub fn start(guest: &Guest) -> Box<dyn Instance> {
    load(&guest.wasm())
        .unwrap()
        .instantiate("{}", &context(), &environment())
        .unwrap()
}

/// Likewise, for a limit that a slow machine may not reach before the deadline.
pub fn start_unhurried(guest: &Guest) -> Box<dyn Instance> {
    let mut environment = environment();
    environment.limits.deadline = Duration::from_secs(60);
    load(&guest.wasm())
        .unwrap()
        .instantiate("{}", &context(), &environment)
        .unwrap()
}

pub const NOTHING: Call<'static> = Call {
    request: None,
    response: None,
    pool: None,
    triggered: u64::MAX,
    now_us: 1,
    wall_ms: 2,
};

/// A request with one header of one kilobyte.
pub struct Request;

impl FieldsView for Request {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-large").then_some(&[b'x'; 1024])
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        each("x-large");
    }
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/a?b=c"
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "example.org"
    }
    fn original_path(&self) -> &str {
        "/a?b=c"
    }
    fn original_scheme(&self) -> &str {
        "http"
    }
    fn original_authority(&self) -> &str {
        "example.org"
    }
    fn cookie(&self, _name: &str) -> Option<&[u8]> {
        None
    }
    fn cookies(&self, _name: &str, _each: &mut dyn FnMut(&[u8])) {}
    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "b").then_some("c".into())
    }
    fn path_parameter(&self, _name: &str) -> Option<&str> {
        None
    }
    fn attribute(&self, _name: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn tried(&self) -> &[u32] {
        &[2, 0]
    }
}

/// A pool of three.
pub struct Pool;

impl PoolView for Pool {
    fn name(&self) -> &str {
        "cluster"
    }
    fn usable(&self) -> &[u8] {
        &[0, 0, 1]
    }
    fn weights(&self) -> &[u32] {
        &[100, 200, 300]
    }
    fn in_flight(&self, out: &mut Vec<u32>) {
        out.extend([7, 8, 9]);
    }
    fn elected(&self, out: &mut Vec<u64>) {
        out.extend([70, 80, 90]);
    }
    fn bytes_in(&self, out: &mut Vec<u64>) {
        out.extend([1, 2, 3]);
    }
    fn bytes_out(&self, out: &mut Vec<u64>) {
        out.extend([1, 2, 3]);
    }
    fn latency_us(&self, out: &mut Vec<u32>) {
        out.extend([1, 2, 3]);
    }
    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        out.extend([0, 0, 0]);
    }
}
