//! From the file as written to a `Snapshot`: defaults, meanings, references.
//!
//! Every function here goes on after a mistake, so that all of them are reported;
//! what it returns then is thrown away with the rest.

mod affinity;
mod balancer;
mod bounds;
mod candidates;
mod context;
mod hosts;
mod http;
mod member;
mod pages;
mod pattern;
mod policy;
mod proxy;
mod raise;
mod record;
mod reverse;
mod route;
mod semantic;
mod snapshot;
mod target;
mod tenant;
mod url;
mod vhost;

pub(super) use {
    semantic::routable,
    snapshot::compile,
    tenant::{forbidden, tenant, unfit},
};

pub use tenant::TenantPart;
