//! The configuration as a whole: text in, snapshot or report out.

mod meaning;
mod mistakes;
mod random;
mod schema;
mod twins;
mod warnings;

use std::path::Path;

use super::{Loaded, Report, parse};

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
