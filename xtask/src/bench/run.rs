//! Finds the programs, plays the variants, writes the results.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    chart, goals,
    machine::Machine,
    options::Options,
    outcome::{OURS, Outcome},
    peers::{self, Peer},
    report,
    scene::{self, Cores, PACEMAKER, Stage},
    variant::{self, VARIANTS},
};
use crate::{
    guests, load,
    workspace::{self, Profile},
};

/// Measures; fails if a goal is missed.
pub fn run(options: &Options) -> Result<()> {
    if options.variant == ["list"] {
        for variant in &VARIANTS {
            println!("{:<16}{}", variant.key, variant.says);
        }
        return Ok(());
    }
    if options.install {
        return peers::install();
    }
    let variants = variant::chosen(&options.variant)?;
    // What was mistyped is told before anything is built or measured.
    given(options)?;
    let tell = |line: String| println!("{line}");
    let peers = match variants.iter().any(|variant| variant.peers) {
        true => {
            let peers = peers::chosen(options.peers.as_deref(), Peer::is_installed, tell)?;
            refer(options, &peers)?;
            peers::build(peers, tell)?
        }
        false => Vec::new(),
    };
    let results = workspace::target()?.join("bench");
    fs::create_dir_all(&results)?;
    let policies = results.join("policies");
    let toolchain = guests::find()?;
    guests::components(&toolchain, &policies)?;
    let gateways = gateways(options)?;
    load::raise_file_limit()?;

    let all = load::cores()?;
    let cores = Cores::share(&all)?;
    load::pin(&cores.client).context("cannot keep the client on its core")?;
    load::be_punctual()?;
    let folder = tempfile::Builder::new()
        .prefix("switchyard-bench-")
        .tempdir()?;
    // Apache's processes give up root and must still reach what is theirs.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let stage = Stage {
        options,
        peers: &peers,
        gateways: &gateways,
        policies: &policies,
        cores,
        folder: folder.path(),
        failed: &results.join("failed"),
    };
    let machine = Machine::here(all.len());
    let mut outcomes = Vec::new();
    for variant in variants {
        let outcome = scene::play(&stage, variant).with_context(|| {
            let key = variant.key;
            format!("{key} broke off (`cargo xtask bench --variant {key}` measures it alone)")
        })?;
        println!("\n{}", report::table(&outcome));
        let chart = chart::draw(&outcome);
        save(&results.join(format!("chart-{}.svg", variant.key)), &chart)?;
        if let (true, Some(path)) = (outcomes.is_empty(), &options.chart) {
            save(path, &chart)?;
        }
        outcomes.push(outcome);
        // After each: what was measured stays if a later one breaks off.
        write(&results, &machine, &outcomes)?;
    }
    let judgements = goals::judge(&outcomes);
    println!(
        "{}{}\nResults: {}, results.json and charts beside it",
        goals::table(&judgements),
        not_run(&outcomes),
        results.join("results.md").display()
    );
    match goals::missed(&judgements) {
        missed if missed.is_empty() => Ok(()),
        missed => bail!("goals missed:\n  {}", missed.join("\n  ")),
    }
}

fn gateways(options: &Options) -> Result<Vec<PathBuf>> {
    let ours = match &options.gateway {
        Some(program) => found(program)?,
        None => {
            println!("Building the gateway, optimised");
            workspace::gateway(Profile::Release)?
        }
    };
    let others = options.beside.iter().map(|program| found(program));
    std::iter::once(Ok(ours)).chain(others).collect()
}

/// A program of this folder too is started from another one.
fn found(program: &Path) -> Result<PathBuf> {
    program
        .canonicalize()
        .with_context(|| format!("there is no gateway at {}", program.display()))
}

/// Fails where a file that was named is no gateway, or a chart has no folder to go to.
fn given(options: &Options) -> Result<()> {
    for program in options.gateway.iter().chain(&options.beside) {
        let said = peers::version(&found(program)?, "--version");
        ensure!(
            said.starts_with("switchyard "),
            "{} is no gateway, or this machine cannot run it; its version: {said}",
            program.display()
        );
    }
    let folder = options.chart.as_deref().and_then(Path::parent);
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        ensure!(
            folder.is_dir(),
            "there is no folder {} for the chart",
            folder.display()
        );
    }
    Ok(())
}

/// Fails where nobody who takes part has the name that the others are to be divided by. Of nginx, which need not be
/// named, a variant says itself what stands in for it.
fn refer(options: &Options, peers: &[Peer]) -> Result<()> {
    let builds = (1..=options.beside.len()).map(|number| format!("build-{number}"));
    let there = peers.iter().map(|peer| peer.key().to_owned());
    let all: Vec<_> = std::iter::once(OURS.to_owned())
        .chain(builds)
        .chain(there)
        .collect();
    let name = &options.reference;
    ensure!(
        name == PACEMAKER || all.contains(name),
        "there is no front `{name}` to divide by; there are: {}",
        all.join(", ")
    );
    Ok(())
}

fn write(results: &Path, machine: &Machine, outcomes: &[Outcome]) -> Result<()> {
    let judgements = goals::judge(outcomes);
    let command = command();
    let mut page = format!(
        "Measured on {}: {} cores of {}, Linux {}.\n\n    {command}\n\n",
        machine.date, machine.cores, machine.processor, machine.kernel
    );
    for (name, version) in versions(outcomes) {
        let _ = writeln!(page, "- {name}: {version}");
    }
    for outcome in outcomes {
        let _ = write!(page, "\n{}", report::table(outcome));
    }
    let _ = write!(
        page,
        "\n### Goals\n\n{}{}",
        goals::table(&judgements),
        not_run(outcomes)
    );
    let all: Vec<Value> = outcomes.iter().map(report::json).collect();
    let json = json!({
        "machine": machine.json(),
        "command": command,
        "variants": all,
        "goals": goals::json(&judgements),
    });
    for (name, text) in [
        ("results.md", page),
        ("results.json", format!("{json:#}\n")),
    ] {
        save(&results.join(name), &text)?;
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn not_run(outcomes: &[Outcome]) -> String {
    match goals::left(outcomes) {
        left if left.is_empty() => String::new(),
        left => format!("\nNot run, though they have goals: {}.\n", left.join(", ")),
    }
}

/// As it was called.
fn command() -> String {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    format!("cargo xtask {}", arguments.join(" "))
}

/// Each program once, in the order of the fronts.
fn versions(outcomes: &[Outcome]) -> Vec<(&str, &str)> {
    let mut all: Vec<(&str, &str)> = Vec::new();
    for front in outcomes.iter().flat_map(|outcome| &outcome.fronts) {
        if !all.iter().any(|(name, _)| *name == front.name) {
            all.push((&front.name, &front.version));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        let all = std::iter::once(&"bench").chain(arguments);
        Command::try_parse_from(all).unwrap().options
    }

    #[test]
    fn a_file_that_is_no_gateway_is_refused_before_anything_is_built() {
        for name in ["--gateway", "--beside"] {
            let error = given(&options(&[name, "/bin/cat"])).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with("/bin/cat is no gateway"), "{error}");
            let error = given(&options(&[name, "/none/there"])).unwrap_err();
            assert_eq!(error.to_string(), "there is no gateway at /none/there");
        }
    }

    #[test]
    fn a_chart_wants_a_folder() {
        let error = given(&options(&["--chart", "/none/there.svg"])).unwrap_err();
        assert_eq!(error.to_string(), "there is no folder /none for the chart");
        given(&options(&["--chart", "here.svg"])).unwrap();
    }

    #[test]
    fn the_reference_takes_part() {
        let peers = [Peer::Nginx, Peer::HaProxy];
        for name in ["switchyard", "nginx", "haproxy"] {
            refer(&options(&["--reference", name]), &peers).unwrap();
        }
        refer(&options(&[]), &[]).unwrap();
        let error = refer(&options(&["--reference", "apache"]), &peers).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no front `apache` to divide by; there are: switchyard, nginx, haproxy"
        );
    }
}
