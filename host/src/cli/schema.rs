//! `switchyard schema`: the JSON schema of the configuration.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Prints the schema, for editors (`#:schema switchyard.schema.json`) and other tools.
pub fn schema() -> ExitCode {
    let text = format!("{:#}\n", crate::config::schema());
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
