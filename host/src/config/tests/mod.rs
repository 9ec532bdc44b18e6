//! The configuration as a whole: text in, snapshot or report out.

mod bad_values;
mod balancers;
mod docs;
mod meaning;
mod mistakes;
mod random;
mod routes;
mod schema;
mod twins;
mod warnings;

use std::path::Path;

use serde_json::Value;

use super::{Loaded, Report, parse};
use crate::snapshot::PolicyRef;

/// Enough to be taken.
const LEAST: &str =
    "version = 1\n[[listener]]\nbind = \"127.0.0.1:0\"\n[[vhost]]\nname = \"a.example\"\n";

fn read(text: &str) -> Result<Loaded, Report> {
    parse(text, Path::new("switchyard.toml"))
}

/// What a text that is taken means.
fn taken(text: &str) -> Loaded {
    read(text).unwrap_or_else(|report| panic!("{report}{text}"))
}

/// All that is said about a text, one line each.
fn said(text: &str) -> String {
    match read(text) {
        Ok(loaded) => loaded.lines(),
        Err(report) => report.lines(),
    }
}

/// Two members for a balancer.
const TWO: &str = "members = [{ url = \"http://a/\", route = \"w1\" }, { url = \"http://b:81/x\", route = \"w2\" }]";

/// The configuration made for a built-in policy.
fn made(policy: &PolicyRef) -> (&'static str, Value) {
    match policy {
        PolicyRef::BuiltIn { name, config } => (name, config.clone()),
        PolicyRef::Named(name) => panic!("policy:{name}"),
    }
}
