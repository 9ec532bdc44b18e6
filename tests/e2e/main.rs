//! The end-to-end suite: the real program, through configuration text, sockets and signals.
//!
//! One binary, one module a theme. A test's name states the behaviour; what it needs
//! to know of configuration is in [`conf`].
//!
//! Where bad input is tested:
//!
//! | what | where |
//! |---|---|
//! | a scenario with mistakes, a policy that cannot be tested, a missing toolchain | `authors` |
//! | a configuration with five mistakes, a missing file, a port in use | `bad_config` |
//! | a policy that traps, loops, allocates, picks a member that cannot be, logs a megabyte | `policies` |
//! | a policy that misbehaves in any of its hooks, in service or at its trial | `misbehaving` |
//! | a policy of another world or contract, of 50 MB, that takes a compiler for ever | `hostile_files` |
//! | a policy that is not Wasm, half written, of another kind, refuses its configuration | `policy_reload` |
//! | a policy that returns what would break the protocol | `policy_rewriters` |
//! | a member that refuses, hangs, or resets within its head | `failover` |
//! | a member that resets within its body, sends garbage, two lengths, a head without end | `strictness_responses` |
//! | a client that sends a malformed or ambiguous request | `strictness_requests`, `smuggling` |
//! | a client that stalls, or leaves in mid-body | `limits`, `connections` |
//! | file descriptors exhausted | `resources` |
//! | a tenant that is broken, or claims another's host | `tenants`, `tenant_recall` |
//! | a tenant that wants more than a quota, each of them | `tenant_quotas` |
//! | a tenant whose members are the gateway, or whose files are another's | `tenant_bounds` |
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, outside functions marked as tests"
)]

mod conf;
mod metrics;
mod mouth;

mod access;
mod admin_status;
mod affinity;
mod authors;
mod bad_config;
mod balancing;
mod candidates;
mod connections;
mod failover;
mod golden_cookies;
mod golden_failover;
mod golden_mapping;
mod golden_reverse;
mod golden_schedules;
mod golden_sticky;
mod headers;
mod health;
mod hostile_files;
mod isolation;
mod limits;
mod logs;
mod misbehaving;
mod names;
mod operators;
mod orders;
mod policies;
mod policy_reload;
mod policy_rewriters;
mod polyglot;
mod proxying;
mod recording;
mod reload;
mod resolving;
mod resources;
mod reverse_mapping;
mod routing;
mod shutdown;
mod smuggling;
mod static_files;
mod strictness_requests;
mod strictness_responses;
mod tenant_bounds;
mod tenant_quotas;
mod tenant_recall;
mod tenants;
mod unanswered;
mod websocket;
