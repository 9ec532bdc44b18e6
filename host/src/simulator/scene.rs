//! What requests see of the scenario, and what they write down.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    exchange::Jar,
    play::{End, Played, Sent, Try},
    scenario::{Answer, Scenario},
    stage::Stage,
};
use crate::{decision::Failure, http1::Fields, snapshot::MemberId};

/// What requests see and write down.
pub(super) struct Scene<'a> {
    pub stage: &'a Stage,
    scenario: &'a Scenario,
    /// Somebody looks at messages.
    keeps_messages: bool,
    played: RefCell<Vec<Played>>,
    jars: RefCell<BTreeMap<Arc<str>, Jar>>,
    dead: RefCell<BTreeSet<MemberId>>,
}

impl<'a> Scene<'a> {
    /// Nobody has asked for anything.
    pub fn new(stage: &'a Stage, scenario: &'a Scenario) -> Self {
        let steps = scenario.steps.iter().flat_map(|step| &step.expect);
        let mut all = steps.chain(&scenario.expect);
        Self {
            stage,
            scenario,
            keeps_messages: all.any(|expected| expected.what.reads_messages()),
            played: RefCell::default(),
            jars: RefCell::default(),
            dead: RefCell::default(),
        }
    }

    /// A client's cookies.
    pub fn jar(&self, session: Option<&Arc<str>>) -> Jar {
        let jars = self.jars.borrow();
        session
            .and_then(|session| jars.get(session))
            .cloned()
            .unwrap_or_default()
    }

    /// Keeps what an answer gives its client (RFC 6265 5.3, but for paths, domains and ages).
    pub fn keeps(&self, session: Option<&Arc<str>>, fields: &Fields) {
        let Some(session) = session else { return };
        let mut jars = self.jars.borrow_mut();
        let jar = jars.entry(Arc::clone(session)).or_default();
        for line in fields.all("set-cookie") {
            let line = String::from_utf8_lossy(line);
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
            match gone {
                true => jar.remove(name.trim()),
                false => jar.insert(name.trim().to_owned(), value.trim().to_owned()),
            };
        }
    }

    /// What a member answers in a step.
    pub fn answer(&self, step: usize, id: &MemberId) -> Arc<Answer> {
        let answer = &self.scenario.steps[step].answers[id];
        if !self.dead.borrow().contains(id) {
            return Arc::clone(answer);
        }
        Arc::new(Answer {
            fails: Some(Failure::Refused),
            ..Answer::clone(answer)
        })
    }

    /// A member refuses connections from here on, or accepts them again.
    pub fn accepts(&self, id: &MemberId, accepts: bool) {
        let mut dead = self.dead.borrow_mut();
        match accepts {
            true => dead.remove(id),
            false => dead.insert(id.clone()),
        };
    }

    /// A request begins; returns its number.
    pub fn begins(&self, session: Option<Arc<str>>) -> usize {
        let mut played = self.played.borrow_mut();
        played.push(Played {
            session,
            tries: Vec::new(),
            sent: None,
            end: End::Open,
        });
        played.len() - 1
    }

    /// How many began so far.
    pub fn begun(&self) -> usize {
        self.played.borrow().len()
    }

    /// All of them, in order.
    pub fn into_played(self) -> Vec<Played> {
        self.played.into_inner()
    }

    /// Notes whom a request is sent to.
    pub fn tries(&self, number: usize, one: Try) {
        self.played.borrow_mut()[number].tries.push(one);
    }

    /// Notes what it is by then.
    pub fn sends(&self, number: usize, sent: Sent) {
        if self.keeps_messages {
            self.played.borrow_mut()[number].sent = Some(sent);
        }
    }

    /// Notes how it ended. What came first counts: an answer whose body goes wrong has been given.
    pub fn ends(&self, number: usize, end: End) {
        let played = &mut self.played.borrow_mut()[number];
        if !matches!(played.end, End::Open) {
            return;
        }
        played.end = match end {
            End::Answered { status, .. } if !self.keeps_messages => End::Answered {
                status,
                fields: Fields::new(),
                body: Vec::new(),
            },
            end => end,
        };
    }
}
