//! `switchyard policy test FILE SCENARIO…`: plays scenarios to a policy.

use std::{
    io::{self, IsTerminal, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{cache, fail};
use crate::{
    cli::command::BAD_INPUT,
    config::Report,
    simulator::{self, Scenario, Tested, Trouble},
};

/// Prints what each scenario shows: 0 where all that they expect holds, 1 where something does
/// not, 64 where a scenario or the policy cannot be used. Mistakes of all scenarios come before
/// any is played.
pub fn test(file: &Path, scenarios: &[PathBuf]) -> ExitCode {
    show_logs();
    let tested = match Tested::load(file, cache::options()) {
        Ok(tested) => tested,
        Err(trouble) => return fail(&trouble),
    };
    let read = |path: &PathBuf| simulator::read(path, file, tested.exports());
    let (good, bad): (Vec<_>, Vec<_>) = scenarios.iter().map(read).partition(Result::is_ok);
    let mistakes: Vec<Report> = bad.into_iter().filter_map(Result::err).collect();
    if !mistakes.is_empty() {
        return refuse(&mistakes);
    }
    let mut held = true;
    for (index, scenario) in good.into_iter().flatten().enumerate() {
        match play(&tested, &scenario, index > 0) {
            Ok(this) => held &= this,
            Err(trouble) => return fail(&trouble),
        }
    }
    match held {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// What policies log, panics among it, and what the gateway says of them goes to standard error.
fn show_logs() {
    let lines = tracing_subscriber::fmt()
        .with_env_filter("switchyard::policy=info")
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        // Two runs print the same.
        .without_time();
    // Somebody else may have said already where logs go.
    let _ = lines.try_init();
}

/// A terminal sees the lines in question; a pipe gets one line a mistake, for editors and scripts.
fn refuse(mistakes: &[Report]) -> ExitCode {
    let terminal = io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    for report in mistakes {
        let text = match terminal {
            true => report.render(colour),
            false => report.lines(),
        };
        // Whoever closed the pipe has seen enough; the exit code still tells.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
    ExitCode::from(BAD_INPUT)
}

fn play(tested: &Tested, scenario: &Scenario, follows: bool) -> Result<bool, Trouble> {
    let outcome = simulator::play(tested, scenario)?;
    let mut out = io::stdout().lock();
    // As above.
    let _ = out.write_all(if follows { b"\n" } else { b"" });
    for warning in &scenario.warnings {
        let _ = writeln!(out, "{warning}");
    }
    let _ = out.write_all(outcome.text.as_bytes());
    Ok(outcome.held)
}
