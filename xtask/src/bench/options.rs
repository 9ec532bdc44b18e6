//! What can be asked of the command.

use std::path::PathBuf;

use clap::Args;

/// Whom, what, how long.
#[derive(Debug, Args)]
pub struct Options {
    /// Other programs to measure: nginx, haproxy, apache, envoy, envoy-wasm, caddy, traefik, pingora
    ///
    /// Without this all that are installed. One that is missing is left out, and a line says how to get it; Pingora is
    /// built where it is named.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub peers: Option<Vec<String>>,
    /// Install or renew those that need no administrator, say how to get the others, and measure nothing
    #[arg(long)]
    pub install: bool,
    /// Scenarios, one after the other; `all` for every one, `list` to see them
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "200b"
    )]
    pub variant: Vec<String>,
    /// The front whose processor time the others' is divided by
    #[arg(long, value_name = "NAME", default_value = "nginx")]
    pub reference: String,
    /// Rounds; in each, every front has a turn
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Seconds of a turn
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Requests a second while every front is given the same work, instead of half of what nginx answers
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub rate: Option<u32>,
    /// A built gateway to measure, instead of building this workspace's
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
    /// Another build of the gateway to measure in the same rounds; may be given several times
    #[arg(long, value_name = "FILE")]
    pub beside: Vec<PathBuf>,
    /// Write the chart of the first variant here too, for the README
    #[arg(long, value_name = "FILE")]
    pub chart: Option<PathBuf>,
}
