//! A rewriter for tests: names its version in every answer, and misbehaves where asked.
//!
//! It traps and loops for requests with `X-Misbehave` alone, or it would not get into service;
//! with `always-` in front of it, for all.

#![forbid(unsafe_code)]

use std::hint::black_box;

use switchyard_policy::{
    BodyPlan, BodyStream, Context, Edit, Problem, RequestPlan, ResponsePlan, Rewriter,
    Substitution, Transformer,
    config::{Config, Fields},
    request, response,
};
use test_guest_misdeeds::{Misdeed, commit, spin};

/// Patched in the built module: versions with digests of their own, compiled once.
static MARK: [u8; 40] = *b"switchyard-test-mark:...................";

/// What follows the colon, without the filling; empty as built.
fn mark() -> String {
    let text = black_box(&MARK)[21..].to_vec();
    String::from_utf8(text)
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}

/// What it does.
#[derive(Debug, Clone)]
pub struct Asked {
    does: String,
    misdeed: Misdeed,
}

impl Config for Asked {
    fn read(fields: &mut Fields<'_>) -> Self {
        if mark() == "refuse" {
            fields.problem("does", "this is refused, as asked");
        }
        let misdeed = fields.text("misdeed").unwrap_or_default();
        Self {
            does: fields.text("does").unwrap_or_default(),
            misdeed: Misdeed::new(&mark(), misdeed),
        }
    }
}

/// Its version and its task.
#[derive(Debug)]
pub struct TestRewriter {
    does: String,
    always: bool,
    version: String,
    misdeed: Misdeed,
}

impl Rewriter for TestRewriter {
    type Config = Asked;

    fn init(asked: Asked, _: &Context) -> Result<Self, Vec<Problem>> {
        let mark = mark();
        match mark.as_str() {
            "trap-in-init" => panic!("asked to trap in init"),
            "loop-in-init" => spin(),
            _ => {}
        }
        let does = if mark.is_empty() || mark.starts_with('v') || mark.contains(':') {
            asked.does
        } else {
            mark.clone()
        };
        Ok(Self {
            always: does.starts_with("always-"),
            does: does.trim_start_matches("always-").to_owned(),
            version: mark,
            misdeed: asked.misdeed,
        })
    }

    fn on_request(&mut self) -> RequestPlan {
        let mut plan = RequestPlan::default();
        self.misdeed.when("request", self.is_bad());
        if self.misdeed.deed("request", self.is_bad()) == Some("path") {
            plan.path = Some("/".repeat(100_000));
        }
        match self.does.as_str() {
            "trap-on-request" if self.is_bad() => panic!("asked to trap"),
            "path" => {
                plan.path = Some(format!("/rewritten{}", request::path()));
                plan.headers
                    .push(Edit::set("x-original", request::original_path()));
            }
            "forge-path" if self.is_bad() => {
                plan.path = Some("/a HTTP/1.1\r\nX-Injected: 1\r\nX: ".to_owned())
            }
            "forge-request-header" if self.is_bad() => plan
                .headers
                .push(Edit::set("x-forged", "a\r\nX-Injected: 1")),
            "forge-host" if self.is_bad() => plan.headers.push(Edit::set("host", "evil.example")),
            "forge-host-twice" if self.is_bad() => {
                let twice = ["one.example", "two.example"].map(|host| Edit::append("host", host));
                plan.headers.extend(twice);
            }
            "forge-request-length" if self.is_bad() => {
                plan.headers.push(Edit::set("content-length", "5"))
            }
            _ => {}
        }
        plan
    }

    fn on_response(&mut self) -> ResponsePlan {
        let mut plan = ResponsePlan::default();
        plan.headers
            .push(Edit::set("x-version", self.version.clone()));
        self.misdeed.when("response", self.is_bad());
        match self.misdeed.deed("response", self.is_bad()) {
            Some("list") => plan.headers = vec![Edit::append("x-one-of-many", "1"); 600],
            Some("value") => plan.headers = vec![Edit::set("x-large", "1".repeat(100_000))],
            Some("patterns") => plan.body = BodyPlan::Substitute(patterns(4, 100_000)),
            _ => {}
        }
        for hook in ["new", "write", "finish"] {
            if let Some(deed) = self.misdeed.deed(hook, self.is_bad()) {
                plan.body = BodyPlan::Transform(format!("{hook}:{deed}").into_bytes());
            }
        }
        match self.does.as_str() {
            "trap" if self.is_bad() => panic!("asked to trap"),
            "loop" if self.is_bad() => spin(),
            "status" => plan.status = Some(418),
            "forge-status" if self.is_bad() => plan.status = Some(99),
            "forge-crlf" if self.is_bad() => plan
                .headers
                .push(Edit::set("x-forged", "a\r\nX-Injected: 1")),
            "forge-name" if self.is_bad() => plan
                .headers
                .push(Edit::set("x forged: a\r\nx-injected", "1")),
            "forge-length" if self.is_bad() => plan.headers.push(Edit::set("content-length", "1")),
            "forge-coding" if self.is_bad() => plan
                .headers
                .push(Edit::append("transfer-encoding", "chunked")),
            "chatty" => plan.body = BodyPlan::Transform(b"write:chatter".to_vec()),
            "upper" => plan.body = BodyPlan::Transform(b"upper".to_vec()),
            "trap-in-body" if self.is_bad() => {
                plan.body = BodyPlan::Transform(b"write:trap".to_vec())
            }
            "swap" => plan.body = BodyPlan::Substitute(vec![Substitution::new("needle", "thread")]),
            "swap-many" => {
                let mut all = patterns(60, 1000);
                all.push(Substitution::new("needle", "thread"));
                plan.body = BodyPlan::Substitute(all);
            }
            "member" => plan
                .headers
                .push(Edit::set("x-served-by", response::member_route())),
            _ => {}
        }
        plan
    }
}

/// So many that nobody's page holds, of so many bytes each and unlike each other.
fn patterns(count: usize, length: usize) -> Vec<Substitution> {
    let mut chance = 1_u64;
    let mut byte = move || {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance as u8
    };
    (0..count)
        .map(|_| Substitution::new((0..length).map(|_| byte()).collect::<Vec<_>>(), ""))
        .collect()
}

impl TestRewriter {
    fn is_bad(&self) -> bool {
        self.always || request::header("x-misbehave").is_some()
    }
}

/// Upper case, letter by letter; or what the seed says.
#[derive(Debug)]
pub struct Upper {
    seed: String,
}

impl Upper {
    fn misbehave(&self, hook: &str) {
        if let Some((at, deed)) = self.seed.split_once(':')
            && at == hook
        {
            commit(deed);
        }
    }
}

impl Transformer for TestRewriter {
    type Body = Upper;

    fn open(seed: Vec<u8>) -> Upper {
        let seed = String::from_utf8(seed).unwrap_or_default();
        let body = Upper { seed };
        body.misbehave("new");
        body
    }
}

impl BodyStream for Upper {
    fn write(&mut self, chunk: Vec<u8>) -> Vec<u8> {
        self.misbehave("write");
        chunk.to_ascii_uppercase()
    }

    fn finish(&mut self) -> Vec<u8> {
        self.misbehave("finish");
        b" (end)".to_vec()
    }
}

switchyard_policy::rewriter!(TestRewriter, with transformer);
