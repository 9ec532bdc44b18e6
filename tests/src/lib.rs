//! The harness of the end-to-end tests.
//!
//! Tests reach the gateway as its operator and its clients do: through the
//! program's file, configuration text, sockets, signals and the admin endpoint.
//! Nothing here links against the host. What the harness reads from a socket it
//! reads with its own small, strict reader ([`wire`]), so that a mistake in the
//! gateway's reader cannot hide behind the same mistake here.
//!
//! Every wait is for a condition and has a deadline; every port is the system's choice.
#![allow(
    clippy::unwrap_used,
    reason = "a test harness reports what went wrong by panicking in the test's thread"
)]

pub mod client;
pub mod cluster;
pub mod command;
pub mod exchange;
pub mod gateway;
pub mod golden;
pub mod guests;
pub mod head;
mod log;
pub mod member;
pub mod name_server;
pub mod page;
pub mod polyglot;
pub mod ports;
pub mod scripts;
pub mod setup;
pub mod target;
pub mod wait;
pub mod wire;

pub use client::{Client, Request};
pub use cluster::Cluster;
pub use exchange::{After, Exchange, Script, Seen};
pub use gateway::Gateway;
pub use member::Member;
pub use name_server::NameServer;
pub use ports::ReservedPort;
pub use setup::Setup;
pub use wait::{DEADLINE, SetOnDrop, eventually};
pub use wire::{Broken, Head, Response};
