//! The operator's file: TOML -> diagnostics -> `Snapshot`.
//!
//! `read` walks the parsed document into the types of `source`, value by value, so
//! that every mistake is found in one run; `compile` gives them meaning: defaults,
//! references, what cannot be together. Nothing is taken unless all of it is right,
//! and whoever holds a `Snapshot` need not check anything again.

mod compile;
mod diagnostic;
mod load;
pub(crate) mod problems;
mod reach;
pub(crate) mod read;
mod schema;
mod share;
pub(crate) mod source;
pub(crate) mod table;
mod tenant;
pub(crate) mod units;
mod whole;

#[cfg(test)]
mod tests;

pub use diagnostic::{Diagnostic, Report, Severity};
pub use load::{Loaded, load, parse};
pub(crate) use load::{checked, located, snapshot, typed};
pub use schema::{schema, tenant_schema};
pub use tenant::{
    LoadedTenant, TenantPart, Tenants, load_tenant, recall_tenant, tenant_files, tenants,
};
pub use whole::{Whole, compose, contested, whole};
