//! The project's own commands: `cargo xtask --help` lists them.

mod bench;
mod cli;
mod demo;
mod fuzz;
mod gateway;
mod guests;
mod http;
mod interrupt;
mod load;
mod polyglot;
mod soak;
mod stamp;
mod steps;
mod tenants;
mod test;
mod tomcat;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Guests(options) => guests::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Tenants(options) => tenants::run(&options),
        Command::Tomcat(options) => tomcat::run(&options),
        Command::Toolchains => polyglot::toolchains(),
        Command::Bindings(options) => polyglot::bindings(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
