//! Whole bodies through `plan` and `BodyRewriter`.

mod codings;
mod documents;
mod facts;
mod links;

use crate::decision::{BodyPlan, LinkPlan, Substitution};

use super::{BodyError, BodyFacts, BodyRewriter, OUTPUT_LIMIT, plan};

/// A member's own address and context path, most specific first, as `reverse` would plan them.
const RULES: &[(&str, &str)] = &[
    ("http://10.0.0.1:8080/test", "/shop"),
    ("//10.0.0.1:8080/test", "/shop"),
    ("http://10.0.0.1:8080", "http://www.example.com"),
    ("/test", "/shop"),
];

fn html_facts() -> BodyFacts<'static> {
    BodyFacts {
        head_request: false,
        status: 200,
        content_type: Some("text/html"),
        content_encoding: None,
        no_transform: false,
        content_range: false,
    }
}

fn substitutions(list: &[(&str, &str)]) -> Vec<Substitution> {
    list.iter()
        .map(|(from, to)| Substitution {
            from: (*from).into(),
            to: (*to).into(),
        })
        .collect()
}

fn link_plan(list: &[(&str, &str)], events: bool) -> BodyPlan {
    BodyPlan::Links(LinkPlan {
        urls: substitutions(list),
        events,
    })
}

/// Feeds a chunk as a caller does, checking the bound of every call.
fn feed(rewriter: &mut BodyRewriter, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
    loop {
        let before = out.len();
        let used = rewriter.feed(input, out)?;
        assert!(out.len() - before <= OUTPUT_LIMIT);
        input = &input[used..];
        if input.is_empty() {
            return Ok(());
        }
    }
}

fn finish(rewriter: &mut BodyRewriter, out: &mut Vec<u8>) -> Result<(), BodyError> {
    loop {
        let before = out.len();
        let done = rewriter.finish(out)?;
        assert!(out.len() - before <= OUTPUT_LIMIT);
        if done {
            return Ok(());
        }
    }
}

fn run(mut rewriter: BodyRewriter, input: &[u8], chunk: usize) -> Result<Vec<u8>, BodyError> {
    let mut out = Vec::new();
    for piece in input.chunks(chunk.max(1)) {
        feed(&mut rewriter, piece, &mut out)?;
    }
    finish(&mut rewriter, &mut out)?;
    Ok(out)
}

/// A document through `RULES`, whole and in small pieces, which must agree.
fn rewrite_as(content_type: &'static str, events: bool, input: &[u8]) -> Vec<u8> {
    let facts = BodyFacts {
        content_type: Some(content_type),
        ..html_facts()
    };
    let rewriter = || plan(&link_plan(RULES, events), &facts).unwrap().unwrap();
    let whole = run(rewriter(), input, usize::MAX).unwrap();
    for chunk in [1, 2, 7] {
        let pieces = run(rewriter(), input, chunk).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&pieces),
            String::from_utf8_lossy(&whole),
            "in pieces of {chunk}"
        );
    }
    whole
}

fn rewrite(events: bool, input: &str) -> String {
    String::from_utf8(rewrite_as(
        "text/html; charset=utf-8",
        events,
        input.as_bytes(),
    ))
    .unwrap()
}

#[test]
fn rewriters_may_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<BodyRewriter>();
}
