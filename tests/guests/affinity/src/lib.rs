//! An affinity for tests: a header names the member, a cookie remembers it.

#![forbid(unsafe_code)]

use std::hint::black_box;

use switchyard_policy::{
    Affinity, Context, Edit, Hold, Problem,
    config::{Config, Fields},
    request, response,
};
use test_guest_misdeeds::Misdeed;

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

/// What it does wrong.
#[derive(Debug)]
pub struct Asked(Misdeed);

impl Config for Asked {
    fn read(fields: &mut Fields<'_>) -> Self {
        let misdeed = fields.text("misdeed").unwrap_or_default();
        Self(Misdeed::new(&mark(), misdeed))
    }
}

/// `X-Pin: route`; with `X-Strict` it must not move. `X-Pin: !` traps.
#[derive(Debug)]
pub struct TestAffinity {
    misdeed: Misdeed,
}

fn is_bad() -> bool {
    request::header("x-misbehave").is_some()
}

impl Affinity for TestAffinity {
    type Config = Asked;

    fn init(Asked(misdeed): Asked, _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(Self { misdeed })
    }

    fn locate(&mut self) -> Option<Hold> {
        self.misdeed.when("locate", is_bad());
        let pin = request::header("x-pin").or_else(|| request::cookie("pin"))?;
        let route = String::from_utf8(pin).ok()?;
        assert!(route != "!", "asked to trap");
        if let Some(key) = route.strip_prefix('#') {
            return Some(Hold::key(key.bytes().fold(7, |h, b| h * 31 + u64::from(b))));
        }
        Some(Hold::route(route).strictly(request::header("x-strict").is_some()))
    }

    fn bind(&mut self) -> Vec<Edit> {
        self.misdeed.when("bind", is_bad());
        if self.misdeed.deed("bind", is_bad()) == Some("list") {
            return vec![Edit::append("set-cookie", "one=of-many"); 600];
        }
        let moved = if response::moved() { "yes" } else { "no" };
        vec![
            Edit::append(
                "set-cookie",
                format!("pin={}; Path=/", response::member_route()),
            ),
            Edit::set("x-moved", moved),
        ]
    }
}

switchyard_policy::affinity!(TestAffinity);
