//! `switchyard schema`: the JSON schema of the configuration.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::config;

/// Prints the schema, of the main file or of a tenant's, for editors (`#:schema switchyard.schema.json`) and
/// other tools.
pub fn schema(tenant: bool) -> ExitCode {
    let schema = match tenant {
        true => config::tenant_schema(),
        false => config::schema(),
    };
    let text = format!("{schema:#}\n");
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
