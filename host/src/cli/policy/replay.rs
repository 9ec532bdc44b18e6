//! `switchyard policy replay`: recorded decisions, put to another version.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;

use super::{
    super::command::{BAD_INPUT, print},
    cache,
};
use crate::{
    offline::{self, Change, Example, ReplayOptions, Report, Tally},
    policy::{Loader, Module},
    recording::Frames,
    simulator,
    wasm::WasmLoader,
};

/// Some decisions are not the same.
const CHANGED: u8 = 1;

/// None is known to be another, and of some the recording does not tell.
const INDETERMINATE: u8 = 3;

/// What is replayed.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 every decision is the same, 1 some changed, 3 none changed but some are indeterminate,
64 the recording or the module cannot be used.")]
pub struct ReplayArgs {
    /// A file that `record` of [policy.NAME] wrote
    recording: PathBuf,
    /// The version to ask: a component or core module of the contract
    module: PathBuf,
    /// Configure it with this instead of what was recorded
    #[arg(long, value_name = "JSON")]
    config: Option<String>,
    /// How many decisions that are not the same to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    examples: usize,
    /// The whole of it, as JSON
    #[arg(long)]
    json: bool,
}

/// Replays, and shows what would change.
pub fn replay(args: &ReplayArgs) -> ExitCode {
    match report(args) {
        Ok(report) => {
            let text = match args.json {
                true => serde_json::to_string_pretty(&report).map(|json| json + "\n"),
                false => Ok(render(&report)),
            };
            let shown = match text {
                Ok(text) => print(&text),
                Err(_) => ExitCode::FAILURE,
            };
            match (report.decisions, report.others.is_empty()) {
                _ if shown != ExitCode::SUCCESS => shown,
                (
                    Tally {
                        changed: 0,
                        indeterminate: 0,
                        ..
                    },
                    true,
                ) => ExitCode::SUCCESS,
                (Tally { changed: 0, .. }, true) => ExitCode::from(INDETERMINATE),
                _ => ExitCode::from(CHANGED),
            }
        }
        Err(what) => {
            eprintln!("switchyard: {what}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn report(args: &ReplayArgs) -> Result<Report, String> {
    if let Some(config) = &args.config {
        let parsed = serde_json::from_str::<serde_json::Value>(config);
        parsed.map_err(|error| format!("--config is not JSON: {error}"))?;
    }
    let of = |path: &Path| path.display().to_string();
    let told = |error: &dyn std::fmt::Display| format!("{} {error}", of(&args.recording));
    let frames = Frames::open(&args.recording).map_err(|error| told(&error))?;
    let module = load(&args.module)?;
    let options = ReplayOptions {
        config: args.config.clone(),
        limits: simulator::limits(),
        examples: args.examples,
    };
    let replayed = offline::replay(frames, &module, &options);
    replayed.map_err(|error| format!("{}: {error}", of(&args.recording)))
}

fn load(path: &Path) -> Result<Arc<dyn Module>, String> {
    let wasm = simulator::read_policy(path).map_err(|trouble| trouble.to_string())?;
    let loader = WasmLoader::new(cache::options()).map_err(|error| error.to_string())?;
    let module = loader.load(&path.display().to_string(), &wasm, &simulator::limits());
    module.map_err(|refusal| refusal.to_string())
}

fn render(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut out, report);
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
    let recorded: Vec<_> = report.recorded.iter().map(|d| short(d)).collect();
    writeln!(
        out,
        "{}: recorded {}, replayed {}",
        report.policy,
        recorded.join(", "),
        short(&report.replayed)
    )?;
    writeln!(
        out,
        "{} decisions in {} windows ({} calls){}",
        report.decisions.total(),
        report.windows,
        report.calls,
        match report.truncated {
            true => "; the file ends in the middle of a call, which is left out",
            false => "",
        }
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "{:<12} {:>10} {:>10} {:>14}",
        "", "unchanged", "changed", "indeterminate"
    )?;
    for (hook, tally) in &report.hooks {
        let Tally {
            unchanged,
            changed,
            indeterminate,
        } = tally;
        writeln!(
            out,
            "{hook:<12} {unchanged:>10} {changed:>10} {indeterminate:>14}"
        )?;
    }
    for (hook, (times, first)) in &report.others {
        writeln!(
            out,
            "{hook:<12} went otherwise {times} times, first: {first}"
        )?;
    }
    if !report.reasons.is_empty() {
        writeln!(out, "\nIndeterminate because the new version")?;
        for (why, times) in &report.reasons {
            writeln!(out, "  {times:>8}  {why}")?;
        }
    }
    if !report.examples.is_empty() {
        writeln!(out, "\nFirst of them:")?;
    }
    for example in &report.examples {
        write_example(out, example)?;
    }
    if report.is_same() {
        writeln!(out, "\nEvery decision is the same.")?;
    }
    Ok(())
}

fn write_example(out: &mut String, example: &Example) -> std::fmt::Result {
    let Example {
        window,
        call,
        hook,
        request,
        recorded,
        replayed,
        change,
        why,
    } = example;
    let request = request.as_deref().unwrap_or("(request not read)");
    writeln!(out, "  window {window} call {call}  {hook}  {request}")?;
    writeln!(out, "    recorded  {recorded}")?;
    if let Some(replayed) = replayed {
        writeln!(out, "    replayed  {replayed}")?;
    }
    if let (Change::Indeterminate, Some(why)) = (change, why) {
        writeln!(out, "    unknown   {why}")?;
    }
    Ok(())
}
