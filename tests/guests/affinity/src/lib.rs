//! An affinity for tests: a header names the member, a cookie remembers it.

#![forbid(unsafe_code)]

use switchyard_policy::{Affinity, Context, Edit, Hold, Problem, request, response};

/// `X-Pin: route`; with `X-Strict` it must not move. `X-Pin: !` traps.
#[derive(Debug)]
pub struct TestAffinity;

impl Affinity for TestAffinity {
    type Config = ();

    fn init((): (), _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(Self)
    }

    fn locate(&mut self) -> Option<Hold> {
        let pin = request::header("x-pin").or_else(|| request::cookie("pin"))?;
        let route = String::from_utf8(pin).ok()?;
        assert!(route != "!", "asked to trap");
        if let Some(key) = route.strip_prefix('#') {
            return Some(Hold::key(key.bytes().fold(7, |h, b| h * 31 + u64::from(b))));
        }
        Some(Hold::route(route).strictly(request::header("x-strict").is_some()))
    }

    fn bind(&mut self) -> Vec<Edit> {
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
