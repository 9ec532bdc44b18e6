//! What is told of a request when it is over.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    decision::Pin,
    http1::Fields,
    policy::{Chosen, Session},
    snapshot::Member,
};

/// Facts of one request, gathered on its way.
#[derive(Debug)]
pub struct Trace {
    /// By the wall.
    pub started: SystemTime,
    /// For durations.
    pub begun: Instant,
    /// The head of the final answer is on its way to the client.
    pub answering: bool,
    /// Of the answer; 0 before there is one.
    pub status: u16,
    /// Body bytes to the client.
    pub body_bytes: u64,
    /// Head bytes to the client.
    pub head_bytes: u64,
    /// Of the route's vhost.
    pub vhost: String,
    /// Its place among the vhosts.
    pub vhost_index: Option<usize>,
    /// As configured.
    pub route: String,
    /// Empty where none was asked.
    pub balancer: String,
    /// The last member asked.
    pub member: Option<Arc<Member>>,
    /// What the session asked for.
    pub session_route: String,
    /// The session could not stay.
    pub moved: bool,
    /// Members asked.
    pub attempts: u32,
    /// Who decided.
    pub policy: String,
    /// Time in policy calls, waiting for a turn included.
    pub policy_time: Duration,
    /// A word for what went wrong; empty where nothing did.
    pub error: &'static str,
    /// The answer was broken off.
    pub aborted: bool,
    /// Fields of the answer, as the client got them.
    pub response: Fields,
}

impl Trace {
    /// Of a request that begins now.
    pub fn start() -> Self {
        Self {
            started: SystemTime::now(),
            begun: Instant::now(),
            answering: false,
            status: 0,
            body_bytes: 0,
            head_bytes: 0,
            vhost: String::new(),
            vhost_index: None,
            route: String::new(),
            balancer: String::new(),
            member: None,
            session_route: String::new(),
            moved: false,
            attempts: 0,
            policy: String::new(),
            policy_time: Duration::ZERO,
            error: "",
            aborted: false,
            response: Fields::new(),
        }
    }

    /// Affinity has spoken.
    pub fn located(&mut self, session: &Session) {
        if let Some(hold) = session.hold() {
            self.session_route = match &hold.pin {
                Pin::Route(name) | Pin::Member(name) => name.clone(),
                Pin::Key(key) => format!("{key:016x}"),
            };
        }
    }

    /// A policy that was asked at `asked` has said what it wants.
    pub fn decided(&mut self, asked: Instant) {
        self.policy_time += asked.elapsed();
    }

    /// A member was chosen.
    pub fn chose(&mut self, chosen: &Chosen) {
        self.attempts += 1;
        self.moved = chosen.moved;
        self.member = Some(Arc::clone(chosen.in_flight.settings()));
        self.policy.clear();
        self.policy.push_str(chosen.decided_by.name());
    }
}
