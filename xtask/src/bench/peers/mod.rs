//! The programs that ours is compared with: how to get each, and how it is configured to do the same.

mod apache;
mod haproxy;
mod nginx;
mod peer;

pub use peer::{Peer, chosen, version};
