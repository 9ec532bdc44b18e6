//! A member's page comes out the same however its bytes arrive, in any coding, within the bound of every call.
//! The input's first byte chooses the coding, the kind of document and whether links in scripts are mapped.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::{
    decision::{BodyPlan, LinkPlan, Substitution},
    page::{BodyError, BodyFacts, BodyRewriter, OUTPUT_LIMIT, plan},
};

/// What small inputs may unpack to before we look no further.
const ENOUGH: usize = 1 << 20;

fn rewriter(choice: u8) -> BodyRewriter {
    let rule = |(from, to): (&str, &str)| Substitution {
        from: from.into(),
        to: to.into(),
    };
    let rules = [
        ("http://10.0.0.1:8080/test", "/shop"),
        ("http://10.0.0.1:8080", "http://www.example.com"),
        ("/test", "/shop"),
    ];
    let urls = rules.map(rule).to_vec();
    let plans = match choice >> 4 & 1 {
        0 => BodyPlan::Links(LinkPlan {
            urls,
            events: choice >> 3 & 1 == 1,
        }),
        _ => BodyPlan::Substitute(urls),
    };
    let facts = BodyFacts {
        head_request: false,
        status: 200,
        content_type: Some(match choice >> 2 & 1 {
            0 => "text/html",
            _ => "text/css",
        }),
        content_encoding: [None, Some("gzip"), Some("deflate"), Some("br")]
            [usize::from(choice & 3)],
        no_transform: false,
        content_range: false,
    };
    plan(&plans, &facts)
        .expect("the rules are possible")
        .expect("such a page is rewritten")
}

/// What comes out, and whether the body was taken to its end. `None` where it is more than we look at.
fn run(choice: u8, bytes: &[u8], size: usize) -> Option<(Vec<u8>, Result<(), BodyError>)> {
    let mut rewriter = rewriter(choice);
    let mut out = Vec::new();
    for mut piece in bytes.chunks(size) {
        while !piece.is_empty() {
            let before = out.len();
            match rewriter.feed(piece, &mut out) {
                Ok(used) => piece = &piece[used..],
                Err(why) => return Some((out, Err(why))),
            }
            assert!(out.len() - before <= OUTPUT_LIMIT);
            if out.len() > ENOUGH {
                return None;
            }
        }
    }
    loop {
        let before = out.len();
        match rewriter.finish(&mut out) {
            Ok(true) => return Some((out, Ok(()))),
            Ok(false) => {}
            Err(why) => return Some((out, Err(why))),
        }
        assert!(out.len() - before <= OUTPUT_LIMIT);
        if out.len() > ENOUGH {
            return None;
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [choice, page @ ..] = bytes else {
        return;
    };
    let whole = run(*choice, page, usize::MAX);
    for size in [1, 7] {
        let (Some((whole, end)), Some((out, ended))) = (&whole, run(*choice, page, size)) else {
            return;
        };
        assert_eq!(ended.is_ok(), end.is_ok(), "in pieces of {size}");
        // What a coding's writer gives depends on when it is asked; its plain bytes do not.
        if end.is_ok() && choice & 3 == 0 {
            assert!(out == *whole, "in pieces of {size}");
        }
    }
});
