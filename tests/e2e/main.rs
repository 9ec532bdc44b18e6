//! The end-to-end suite: the real program, through configuration text, sockets and signals.
//!
//! One binary, one module a theme. A test's name states the behaviour; what it needs
//! to know of configuration is in [`conf`].
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, outside functions marked as tests"
)]

mod conf;

mod access;
mod admin_status;
mod affinity;
mod bad_config;
mod balancing;
mod failover;
mod golden_failover;
mod golden_mapping;
mod golden_reverse;
mod golden_schedules;
mod golden_sticky;
mod headers;
mod health;
mod limits;
mod logs;
mod members_misbehave;
mod policies;
mod policy_reload;
mod policy_rewriters;
mod proxying;
mod reload;
mod reverse_mapping;
mod routing;
mod shutdown;
mod smuggling;
mod static_files;
mod strictness_requests;
mod strictness_responses;
mod websocket;
