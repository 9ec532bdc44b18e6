//! The command line.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use super::{
    AdminAddress, ExplainArgs, PolicyCommand, check, explain, policy, run, schema, status,
};

/// `EX_USAGE` of sysexits.h: the operator's input is wrong.
pub(super) const BAD_INPUT: u8 = 64;

/// A reverse proxy and load balancer whose decisions are WebAssembly policies.
#[derive(Debug, Parser)]
#[command(name = "switchyard", version, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 fine, 64 wrong usage or configuration, 69 an address is taken or nobody answers there,
70 `explain` failed, 1 anything else.
Signals to `run`: HUP reloads, USR1 reopens logs, TERM and INT drain; a second one ends at once.")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground
    Run {
        /// The configuration file; watched, and reloaded when it changes
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// Threads that serve clients [default: one a core]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
        workers: Option<u16>,
    },
    /// Report every problem of a configuration and its policies at once, without serving anything
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Say what would be done with a request, and why, without sending anything
    Explain(ExplainArgs),
    /// Show what is in service: listeners, members, policies
    Status {
        /// The gateway's configuration file, which tells where it listens
        #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
        config: Option<PathBuf>,
        /// Its admin listener: HOST:PORT or unix:PATH [default: 127.0.0.1:9191]
        #[arg(long, value_name = "ADDRESS")]
        admin: Option<AdminAddress>,
        /// The whole of it, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of the configuration, for editors
    Schema {
        /// Of a tenant's files instead of the main one
        #[arg(long)]
        tenant: bool,
    },
    /// Write, build, inspect, test and measure policies
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// Writes to standard output, for people and pipes.
pub(super) fn print(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever closed the pipe has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Where the terminal is gone there is nobody to tell.
            let _ = error.print();
            return match error.use_stderr() {
                true => ExitCode::from(BAD_INPUT),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match line.command {
        Command::Run { config, workers } => run(config, workers.map(usize::from)),
        Command::Check { file } => check(&file),
        Command::Explain(args) => explain(&args),
        Command::Status {
            config,
            admin,
            json,
        } => status(config.as_deref(), admin, json),
        Command::Schema { tenant } => schema(tenant),
        Command::Policy(command) => policy(command),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn run_needs_a_file_and_at_least_one_worker() {
        for wrong in [
            &["switchyard", "run"][..],
            &["switchyard", "run", "-c", "a.toml", "--workers", "0"],
            &["switchyard"],
        ] {
            assert!(Line::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
        assert!(Line::try_parse_from(["switchyard", "run", "-c", "a.toml"]).is_ok());
    }
}
