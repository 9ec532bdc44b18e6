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
}

impl Config for Asked {
    fn read(fields: &mut Fields<'_>) -> Self {
        if mark() == "refuse" {
            fields.problem("does", "this is refused, as asked");
        }
        Self {
            does: fields.text("does").unwrap_or_default(),
        }
    }
}

/// Its version and its task.
#[derive(Debug)]
pub struct TestRewriter {
    does: String,
    always: bool,
    version: String,
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
        let does = if mark.is_empty() || mark.starts_with('v') {
            asked.does
        } else {
            mark.clone()
        };
        Ok(Self {
            always: does.starts_with("always-"),
            does: does.trim_start_matches("always-").to_owned(),
            version: mark,
        })
    }

    fn on_request(&mut self) -> RequestPlan {
        let mut plan = RequestPlan::default();
        match self.does.as_str() {
            "trap-on-request" if self.is_bad() => panic!("asked to trap"),
            "path" => {
                plan.path = Some(format!("/rewritten{}", request::path()));
                plan.headers
                    .push(Edit::set("x-original", request::original_path()));
            }
            "forge-path" => plan.path = Some("/a HTTP/1.1\r\nX-Injected: 1\r\nX: ".to_owned()),
            "forge-request-header" => plan
                .headers
                .push(Edit::set("x-forged", "a\r\nX-Injected: 1")),
            "forge-host" => plan.headers.push(Edit::set("host", "evil.example")),
            "forge-request-length" => plan.headers.push(Edit::set("content-length", "5")),
            _ => {}
        }
        plan
    }

    fn on_response(&mut self) -> ResponsePlan {
        let mut plan = ResponsePlan::default();
        plan.headers
            .push(Edit::set("x-version", self.version.clone()));
        match self.does.as_str() {
            "trap" if self.is_bad() => panic!("asked to trap"),
            "loop" if self.is_bad() => spin(),
            "status" => plan.status = Some(418),
            "forge-status" => plan.status = Some(99),
            "forge-crlf" => plan
                .headers
                .push(Edit::set("x-forged", "a\r\nX-Injected: 1")),
            "forge-name" => plan
                .headers
                .push(Edit::set("x forged: a\r\nx-injected", "1")),
            "forge-length" => plan.headers.push(Edit::set("content-length", "1")),
            "forge-coding" => plan
                .headers
                .push(Edit::append("transfer-encoding", "chunked")),
            "upper" => plan.body = BodyPlan::Transform(b"upper".to_vec()),
            "trap-in-body" if self.is_bad() => plan.body = BodyPlan::Transform(b"trap".to_vec()),
            "swap" => plan.body = BodyPlan::Substitute(vec![Substitution::new("needle", "thread")]),
            "member" => plan
                .headers
                .push(Edit::set("x-served-by", response::member_route())),
            _ => {}
        }
        plan
    }
}

impl TestRewriter {
    fn is_bad(&self) -> bool {
        self.always || request::header("x-misbehave").is_some()
    }
}

/// Runs until somebody stops it.
fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Upper case, letter by letter; or a trap.
#[derive(Debug)]
pub struct Upper {
    traps: bool,
}

impl Transformer for TestRewriter {
    type Body = Upper;

    fn open(seed: Vec<u8>) -> Upper {
        Upper {
            traps: seed == b"trap",
        }
    }
}

impl BodyStream for Upper {
    fn write(&mut self, chunk: Vec<u8>) -> Vec<u8> {
        if self.traps {
            panic!("asked to trap in a body");
        }
        chunk.to_ascii_uppercase()
    }

    fn finish(&mut self) -> Vec<u8> {
        b" (end)".to_vec()
    }
}

switchyard_policy::rewriter!(TestRewriter, with transformer);
