//! What is known of one finished exchange.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

/// The fields of one name in a head, in one value joined by `, `; `None` = there is none.
pub type Header<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// Facts of one finished exchange, borrowed from whoever carried it out. A text that does not apply is empty.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The peer, or the client that trusted proxies vouch for.
    pub client: IpAddr,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// When the request's first byte came.
    pub started: SystemTime,
    /// From then until the answer's last byte was handed to the system.
    pub duration: Duration,
    /// As sent; empty where the head could not be read.
    pub method: &'a str,
    /// The request target as sent, query included.
    pub target: &'a str,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: &'a str,
    /// The host asked for, without port.
    pub host: &'a str,
    /// Of the answer; 0 = none was begun.
    pub status: u16,
    /// Body bytes to the client, without framing.
    pub body_bytes: u64,
    /// Bytes of the answer's head.
    pub head_bytes: u64,
    /// Bytes from the client, head and body.
    pub received_bytes: u64,
    /// Whose virtual host that is.
    pub tenant: &'a str,
    /// Name of the virtual host that served.
    pub vhost: &'a str,
    /// Name of the route.
    pub route: &'a str,
    /// Name of the balancer.
    pub balancer: &'a str,
    /// The member that answered, or was tried last: its id.
    pub member: &'a str,
    /// That member's affinity route.
    pub member_route: &'a str,
    /// The route that the client's session named.
    pub session_route: &'a str,
    /// The session's own member was not the one that served.
    pub moved: bool,
    /// Members tried.
    pub attempts: u32,
    /// The policy that chose, and its version.
    pub policy: &'a str,
    /// Time in policies, all calls of the exchange together.
    pub policy_time: Duration,
    /// What went wrong, a word such as `connect_refused`.
    pub error: &'a str,
    /// Requests served on the connection before this one.
    pub keepalive_index: u32,
    /// The connection stays open.
    pub kept: bool,
    /// The answer could not be finished.
    pub aborted: bool,
    /// The client's fields.
    pub request_header: Header<'a>,
    /// The fields sent to the client.
    pub response_header: Header<'a>,
}
