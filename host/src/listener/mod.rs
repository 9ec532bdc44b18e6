//! Where clients come in: sockets, connections, and when they end.
//!
//! One accept loop a worker and socket; one task a connection. A connection reads
//! heads and hands them to `proxy`; what a request means is decided there.

mod accept;
mod connection;
mod linger;
mod preface;

pub use accept::{ConnectionCount, Context, accept};

pub use crate::proxy::Drain;
