//! How long.

use clap::Args;

/// How long.
#[derive(Debug, Args)]
pub struct Options {
    /// Requests in all
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(super) requests: u64,
    /// Instead: so many reloads of a policy under load, and what they leave behind
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(50..), conflicts_with = "requests")]
    pub(super) reloads: Option<u32>,
    /// Test an unoptimised build
    #[arg(long)]
    pub(super) dev: bool,
}

impl Options {
    /// What a test of a change has time for.
    pub fn short() -> Self {
        Self {
            requests: 150_000,
            reloads: None,
            dev: true,
        }
    }

    /// Reloads that take a few seconds: what each of them leaves behind shows, not what a few do.
    pub fn few_reloads() -> Self {
        Self {
            reloads: Some(100),
            ..Self::short()
        }
    }
}
