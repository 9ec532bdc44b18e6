//! The command line of `switchyard policy`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use crate::admin::Order;

use super::{
    bench::bench,
    build::build,
    inspect::inspect,
    new::new,
    order::{OrderArgs, history, order},
    project::{Kind, Language},
    replay::{ReplayArgs, replay},
    test::test,
};

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a project that builds and tests as it is
    New {
        /// Its name, and its folder's
        name: String,
        /// What it decides
        #[arg(long, value_enum, default_value = "balancer")]
        kind: Kind,
        /// What it is written in
        #[arg(long = "lang", value_enum, default_value = "rust")]
        language: Language,
    },
    /// Make a project's .wasm file
    Build {
        /// The project's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
        /// Install a missing toolchain where that is possible (rustup's target, or Debian's packages)
        #[arg(long)]
        install: bool,
    },
    /// Say what a policy is: its decisions, what it imports, how it is configured
    Inspect {
        /// The policy: a .wasm file
        file: PathBuf,
        /// Its configuration, as JSON text: what it needs may depend on it
        #[arg(long, value_name = "JSON", default_value = "{}")]
        config: String,
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
    /// Measure what a policy's calls cost in the gateway's engine
    Bench {
        /// The policy: a .wasm file
        file: PathBuf,
        /// Its configuration, as JSON text
        #[arg(long, value_name = "JSON", default_value = "{}")]
        config: String,
        /// Members of the pool
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        members: u16,
    },
    /// Show which recorded decisions another version would have made otherwise
    Replay(ReplayArgs),
    /// Tell the running gateway to go back to the version before
    Rollback(OrderArgs),
    /// Tell the running gateway to let a canary decide for all
    Promote(OrderArgs),
    /// Tell the running gateway to let a canary decide for nobody
    Undo(OrderArgs),
    /// Show what happened to a policy's versions in the running gateway
    History(OrderArgs),
}

/// Does it.
pub fn policy(command: PolicyCommand) -> ExitCode {
    match command {
        PolicyCommand::New {
            name,
            kind,
            language,
        } => new(&name, kind, language),
        PolicyCommand::Build { folder, install } => build(&folder, install),
        PolicyCommand::Inspect { file, config, json } => inspect(&file, &config, json),
        PolicyCommand::Test { file, scenarios } => test(&file, &scenarios),
        PolicyCommand::Bench {
            file,
            config,
            members,
        } => bench(&file, &config, members),
        PolicyCommand::Replay(args) => replay(&args),
        PolicyCommand::Rollback(args) => order(Order::Rollback, &args),
        PolicyCommand::Promote(args) => order(Order::Promote, &args),
        PolicyCommand::Undo(args) => order(Order::Undo, &args),
        PolicyCommand::History(args) => history(&args),
    }
}
