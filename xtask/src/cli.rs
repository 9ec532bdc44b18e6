//! What can be asked for.

use clap::{Parser, Subcommand};

use crate::{bench, demo, fuzz, guests, polyglot, soak, tenants, test, tomcat};

/// Switchyard's own commands.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Which one.
    #[command(subcommand)]
    pub command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything that must hold: format, lints, guests, unit, property, end-to-end and doc tests
    Test(test::Options),
    /// Build the built-in policies and the SDK's examples to components
    Guests(guests::Options),
    /// Show what the gateway does, on three sample members
    Demo(demo::Options),
    /// Measure the gateway before a real Tomcat cluster, beside Apache httpd's results
    Tomcat(tomcat::Options),
    /// Measure processor time and latency of a request beside other proxies and beside ourselves
    Bench(bench::Options),
    /// Give random bytes to what reads heads, bodies, pages, targets, PROXY headers, configuration and edits
    Fuzz(fuzz::Options),
    /// Send a million requests while config and policy are replaced every 100 ms, or count what reloads leave behind
    Soak(soak::Options),
    /// Measure start, memory and reload with 200 tenants of three policies each
    Tenants(tenants::Options),
    /// Install what policies in C, JavaScript and Python are built with
    Toolchains,
    /// Write the C bindings of a world of the contract
    Bindings(polyglot::Bindings),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
