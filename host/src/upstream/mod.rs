//! Connections to members: kept ones that still live, or new ones.
//!
//! Which member to use was decided in `policy`; what is sent and what comes back is
//! `proxy`'s. A connection belongs to a member, not to a generation, so a reload
//! never closes a healthy socket.

mod connect;

pub use connect::{ConnectError, Connection, connect, open};
