//! The programs that ours is compared with: how to get each, and how it is configured to do the same.

mod apache;
mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod peer;
mod pingora;
mod traefik;
mod venv;

pub use peer::{Peer, build, chosen, install, version};
