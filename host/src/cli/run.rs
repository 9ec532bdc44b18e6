//! `switchyard run -c FILE`: the gateway, in the foreground.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use super::command::BAD_INPUT;
use crate::{
    app::{self, Ending, Options, StartError},
    config,
};

/// `EX_UNAVAILABLE` of sysexits.h: an address is taken.
const UNAVAILABLE: u8 = 69;

/// Runs until a signal ends it; 0 where it drained.
pub fn run(config: PathBuf, workers: Option<usize>) -> ExitCode {
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let loaded = match config::load(&config) {
        Ok(loaded) => loaded,
        Err(report) => {
            eprintln!("{}", report.render(colour).trim_end());
            eprintln!("switchyard: {} cannot be used", config.display());
            return ExitCode::from(BAD_INPUT);
        }
    };
    if !loaded.warnings.is_empty() {
        eprintln!("{}", loaded.render(colour).trim_end());
    }
    let workers = workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into));
    match app::run(&Options { config, workers }, loaded.snapshot) {
        Ok(Ending::Drained) => ExitCode::SUCCESS,
        // As a shell reports a process that a signal ended.
        Ok(Ending::Killed(signal)) => {
            ExitCode::from(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
        }
        Err(error) => {
            eprintln!("switchyard: {error}");
            ExitCode::from(match error {
                StartError::Bind(_) | StartError::Admin(_) => UNAVAILABLE,
                StartError::Failure(_) => BAD_INPUT,
                StartError::Wasm(_) | StartError::Cache(_) | StartError::System { .. } => 1,
            })
        }
    }
}
