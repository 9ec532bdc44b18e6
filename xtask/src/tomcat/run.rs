//! Cluster up, scenario, results, cluster down.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use super::{goals, table};
use crate::{
    steps::short,
    workspace::{self, Profile},
};

/// How long and with which build.
#[derive(Debug, Args)]
pub struct Options {
    /// Repeats of each check that kills a member under load
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Measure an optimised build
    #[arg(long)]
    release: bool,
    /// Only these checks, by name or first letter, separated by commas
    #[arg(long, value_name = "CHECKS")]
    only: Option<String>,
}

/// Where the cluster listens: a port range of its own, so that a cluster that somebody
/// started by hand at the default 25000 goes on undisturbed.
const BASE_PORT: u16 = 25100;

/// The AJP check: Switchyard speaks HTTP to its members.
const SKIPPED: &str = "o";

/// Runs the scenario; fails if a check or a goal does.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let profile = if options.release {
        Profile::Release
    } else {
        Profile::Dev
    };
    println!("== Building the gateway");
    let gateway = workspace::gateway(profile)?;
    let results = workspace::target()?.join("tomcat");
    fs::create_dir_all(&results)
        .with_context(|| format!("cannot make the folder {}", results.display()))?;
    let site = Site {
        folder: workspace::root().join("tests/tomcat"),
        gateway,
        state: results.join("state"),
    };

    println!(
        "\n== Starting the cluster (a first run installs Tomcat from the distribution's packages)"
    );
    let up = site.call("up.sh", &[]);
    let scenario = up.and_then(|()| site.scenario(options, &results.join("results.json")));
    // Whatever happened, no Tomcat stays behind.
    let down = site.call("down.sh", &[]);
    let passed = scenario?;
    down?;

    let ours = read(&results.join("results.json"))?;
    let baseline = read(&site.folder.join("baseline-apache.json"))?;
    let goals = goals::judge(&ours);
    let page = table::page(&ours, &baseline, &goals);
    let path = results.join("results.md");
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\n{}", table::goals(&goals));
    println!(
        "Results: {} and results.json beside it; took {}",
        path.display(),
        short(started.elapsed())
    );

    let missed = goals.iter().filter(|goal| goal.held == Some(false)).count();
    if !passed || missed > 0 {
        bail!(
            "the Tomcat scenario did not pass: {missed} of {} goals missed, see {}",
            goals.len(),
            path.display()
        );
    }
    println!("All checks and goals of the Tomcat scenario passed");
    Ok(())
}

/// The scripts and what they need to know.
struct Site {
    folder: PathBuf,
    gateway: PathBuf,
    state: PathBuf,
}

impl Site {
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
            .env("TC_FRONT", "none")
            .env("TC_RUN", &self.state)
            .env("SWITCHYARD_BIN", &self.gateway);
        if std::env::var_os("TC_BASE_PORT").is_none() {
            command.env("TC_BASE_PORT", BASE_PORT.to_string());
        }
        command
    }

    fn call(&self, script: &str, arguments: &[&str]) -> Result<()> {
        let path = self.folder.join(script);
        let status = self.command(&path).args(arguments).status();
        let status = status.with_context(|| format!("cannot run {}", path.display()))?;
        if !status.success() {
            bail!(
                "{} failed ({status}); its logs are in {}",
                path.display(),
                self.state.display()
            );
        }
        Ok(())
    }

    /// `Ok(false)` where a check failed.
    fn scenario(&self, options: &Options, json: &Path) -> Result<bool> {
        println!(
            "\n== Scenario, {} round(s) of each check that kills under load",
            options.rounds
        );
        let port = std::env::var("TC_BASE_PORT")
            .ok()
            .and_then(|port| port.parse().ok())
            .unwrap_or(BASE_PORT);
        let _ = fs::remove_file(json);
        let mut scenario = self.command(Path::new("python3"));
        scenario.arg("scenario.py").args([
            "--url",
            &format!("http://127.0.0.1:{port}"),
            "--label",
            "Switchyard",
        ]);
        scenario.args([
            "--worker",
            "./worker.sh",
            "--front",
            "./switchyard.sh",
            "--skip",
            SKIPPED,
        ]);
        scenario.args([
            "--compare",
            "baseline-apache.json",
            "--rounds",
            &options.rounds.to_string(),
        ]);
        if let Some(only) = &options.only {
            scenario.args(["--only", only]);
        }
        scenario.arg("--json").arg(json);
        let status = scenario
            .status()
            .context("cannot run python3; the scenario needs it")?;
        // The front may have been left running by the last check.
        self.call("switchyard.sh", &["stop"])?;
        match status.code() {
            Some(0) => Ok(true),
            Some(1) if json.is_file() => Ok(false),
            _ => bail!("the scenario broke off ({status})"),
        }
    }
}

fn read(path: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}
