//! Starts the fronts, takes turns, writes the report.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{
    front::{self, Front, Place},
    measure,
    report::{self, Measured},
    work,
};
use crate::{
    guests, load,
    workspace::{self, Profile},
};

/// How long.
#[derive(Debug, Args)]
pub struct Options {
    /// Rounds; in each, every front has a turn
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of a turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Requests a second while every front is given the same work
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    rate: u32,
    /// A built gateway to measure, instead of building this workspace's
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// Another build of the gateway to measure in the same rounds; may be given several times
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
}

/// Measures; fails if a goal is missed.
pub fn run(options: &Options) -> Result<()> {
    if let Some(command) = front::missing() {
        bail!(
            "nginx and Apache httpd are what the gateway is measured against; to get what is missing: {command}"
        );
    }
    let program = match &options.gateway {
        Some(program) => found(program)?,
        None => {
            guests::find()?;
            println!("Building the gateway, optimised");
            workspace::gateway(Profile::Release)?
        }
    };
    load::raise_file_limit()?;

    let cores = load::cores()?;
    let [ours, rest @ ..] = &cores[..] else {
        bail!("this process may use no core")
    };
    // With one core all share it, and the turns are still comparable.
    let client = rest.first().copied().unwrap_or(*ours);
    let origin = load::Origin::start(2, Some(rest.get(1).copied().unwrap_or(client)))?;
    load::pin(client).context("cannot keep the client on its core")?;

    let folder = tempfile::Builder::new()
        .prefix("switchyard-bench-")
        .tempdir()?;
    // Apache's processes give up root and must still reach what is theirs.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let members = [origin.addresses[0], origin.addresses[1]];
    let place = Place {
        folder: folder.path().to_owned(),
        members,
        core: *ours,
    };
    let mut fronts = vec![
        front::switchyard(&place, "Switchyard", &program)?,
        front::nginx(&place)?,
        front::apache(&place)?,
    ];
    for (number, program) in options.beside.iter().enumerate() {
        let name = format!("Build {}", number + 1);
        fronts.push(front::switchyard(&place, &name, &found(program)?)?);
    }
    let all = measure_all(&fronts, options)?;

    let (ours, base) = (&all[0], &all[1]);
    let table = report::table(&all, base);
    let results = workspace::target()?.join("bench");
    fs::create_dir_all(&results)?;
    fs::write(results.join("results.md"), &table)?;
    fs::write(
        results.join("results.json"),
        format!("{:#}\n", report::json(&all, base)),
    )?;
    println!(
        "\n{table}\nResults: {} and results.json beside it",
        results.join("results.md").display()
    );
    match report::missed(ours, base) {
        missed if missed.is_empty() => Ok(()),
        missed => bail!("goals missed:\n  {}", missed.join("\n  ")),
    }
}

/// A program of this folder too is started from another one.
fn found(program: &Path) -> Result<PathBuf> {
    program
        .canonicalize()
        .with_context(|| format!("there is no gateway at {}", program.display()))
}

fn measure_all(fronts: &[Front], options: &Options) -> Result<Vec<Measured>> {
    let mut all = Vec::with_capacity(fronts.len());
    for front in fronts {
        let memory = measure::memory(front)?;
        work::check(front)?;
        all.push(Measured {
            name: front.name.clone(),
            paced: Vec::new(),
            full: Vec::new(),
            memory,
            idle_connection: 0,
        });
    }
    println!(
        "All answers checked; {} rounds of twice {} s for each front: {} requests a second, then as many as it answers",
        options.rounds, options.seconds, options.rate
    );
    for (front, measured) in fronts.iter().zip(&mut all) {
        // Before the load, whose freed memory would hide what connections take.
        measured.idle_connection = measure::idle_connection(front)?;
        measure::turn(front, Duration::from_secs(1), None)?;
    }
    let time = Duration::from_secs(options.seconds);
    for round in 1..=options.rounds {
        let mut line = format!("round {round}/{}:", options.rounds);
        for rate in [Some(options.rate), None] {
            for (front, measured) in fronts.iter().zip(&mut all) {
                let turn = measure::turn(front, time, rate)?;
                line.push_str(&format!("  {} {:.1} us", front.name, turn.total()));
                if turn.closed > 0 {
                    line.push_str(&format!(" ({} connections closed)", turn.closed));
                }
                match rate {
                    Some(_) => measured.paced.push(turn),
                    None => measured.full.push(turn),
                }
            }
            if rate.is_some() {
                line.push_str("  |");
            }
        }
        println!("{line}");
    }
    Ok(all)
}
