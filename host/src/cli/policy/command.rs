//! The command line of `switchyard policy`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::{inspect::inspect, test::test};

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what a policy is: its decisions, what it imports, how it is configured
    Inspect {
        /// The policy: a .wasm file
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Play scenarios to a policy and hold it to what they expect
    ///
    /// Time stands still but for what a scenario says, chance comes from its seed, and calls are
    /// counted in instructions: two runs print the same. Exit code 1 where something that a scenario
    /// expects does not hold, 64 where a scenario or the policy cannot be used.
    Test {
        /// The policy: a .wasm file
        file: PathBuf,
        /// Scenarios: TOML files
        #[arg(required = true)]
        scenarios: Vec<PathBuf>,
    },
}

/// Does it.
pub fn policy(command: PolicyCommand) -> ExitCode {
    match command {
        PolicyCommand::Inspect { file, json } => inspect(&file, json),
        PolicyCommand::Test { file, scenarios } => test(&file, &scenarios),
    }
}
