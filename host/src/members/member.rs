//! What is known of one member while it lives.
use std::{net::SocketAddr, sync::Arc};

use super::{Admission, Connections, Micros, Transition};
use crate::snapshot::HealthCheck;

/// Live state of one member of one balancer.
#[derive(Debug)]
pub struct MemberLive {
    connections: Connections,
}

/// What `switchyard status` tells of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberStatus {
    /// Its breaker.
    pub admission: Admission,
    /// When it came into that state, milliseconds since 1970.
    pub since_ms: u64,
    /// Times chosen.
    pub elected: u64,
    /// Requests under way.
    pub busy: u32,
    /// From the member, bytes, never decayed.
    pub bytes_in: u64,
    /// To the member, bytes, never decayed.
    pub bytes_out: u64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// Failures so far.
    pub failures: u64,
    /// Moving average of the first byte's latency.
    pub latency_us: u32,
    /// Connections that wait for a request.
    pub idle_connections: usize,
    /// Where it is; empty = its name does not resolve.
    pub addresses: Arc<[SocketAddr]>,
}

impl MemberLive {
    /// Its connections over all workers.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }
    /// Where to connect; empty = the name does not resolve, which counts as refused.
    pub fn addresses(&self) -> Arc<[SocketAddr]> {
        todo!()
    }
    /// Set by whoever resolves names.
    pub fn set_addresses(&self, _addresses: Vec<SocketAddr>) {
        todo!()
    }
    /// Whether it may be given requests.
    pub fn admission(&self, _now: Micros) -> Admission {
        todo!()
    }
    /// The verdict of an active check.
    pub fn checked(&self, _pass: bool, _check: &HealthCheck) -> Option<Transition> {
        todo!()
    }
    /// For `switchyard status`.
    pub fn status(&self) -> MemberStatus {
        todo!()
    }
}
