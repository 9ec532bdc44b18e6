//! A selector on a pool of named members, for tests of selecting.

use std::sync::Arc;

use super::{
    Attempt, Chosen, Refused, Selector, Session,
    testing::{Native, Request, bound},
};
use crate::{
    decision::{Failure, Hold, Pin, Verdict},
    members::{InFlight, Pool, testing::member},
    snapshot::{Member, MemberId},
};

pub(super) fn members(names: &str) -> Vec<Member> {
    names
        .chars()
        .map(|name| member(&name.to_string()))
        .collect()
}

pub(super) fn selector(pool: &Arc<Pool>, chain: &[&Native]) -> Selector {
    Selector {
        pool: Arc::clone(pool),
        chain: chain
            .iter()
            .map(|native| bound(native, pool).into())
            .collect(),
        affinity: Vec::new(),
        last_resort: Some(bound(&Native::byrequests(), pool)),
    }
}

pub(super) fn attempt<'a>(request: &'a Request, tried: &'a [MemberId]) -> Attempt<'a, Request> {
    Attempt {
        worker: 0,
        request,
        number: tried.len() as u32,
        tried,
        trial_ok: true,
    }
}

pub(super) async fn select(selector: &Selector, session: &Session) -> Result<Chosen, Refused> {
    selector
        .select(attempt(&Request::default(), &[]), session)
        .await
}

pub(super) async fn fresh(selector: &Selector) -> Result<Chosen, Refused> {
    select(selector, &Session::default()).await
}

pub(super) fn name(chosen: &Chosen) -> String {
    chosen.in_flight.settings().id.to_string()
}

/// The names of so many fresh choices in a row, each answered at once.
pub(super) async fn sequence(selector: &Selector, count: usize) -> String {
    let mut names = String::new();
    for _ in 0..count {
        names += &name(&fresh(selector).await.unwrap());
    }
    names
}

pub(super) fn block(pool: &Pool, index: u32) {
    InFlight::begin(&pool.current(), index).failed(Failure::Refused, true);
}

pub(super) fn route(route: &str, strict: bool) -> Session {
    let pin = Pin::Route(route.into());
    Session::new(Some(Hold { pin, strict }))
}

pub(super) fn always(name: &'static str, verdict: Verdict) -> Native {
    Native::picking(name, move |_, _, _| Ok(verdict))
}
