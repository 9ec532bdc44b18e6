//! `switchyard explain URL`: what the gateway would do with a request, and why.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use super::{explain_request, explain_words, rehearsal::rehearsed};
use crate::{
    config::{self, Report, TenantPart, Whole},
    control::Rehearsal,
    generation::Generation,
    snapshot::{Balancer, Snapshot, TenantName},
    wasm::Compiler,
};

/// `EX_USAGE` of sysexits.h: the operator's input is wrong.
const BAD_INPUT: u8 = 64;
/// `EX_SOFTWARE`: this process could not do its work.
const INTERNAL: u8 = 70;

/// What to explain.
#[derive(Debug, Clone, clap::Args)]
pub struct ExplainArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// What is asked for, as a client would: http://host/path?query. Quote it for the shell
    pub url: String,
    /// A field of the request; may be given more than once
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// A cookie of the request; may be given more than once
    #[arg(long = "cookie", value_name = "NAME=VALUE")]
    pub cookies: Vec<String>,
    /// How it is asked
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// The address that connects
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub client: IpAddr,
    /// Put the whole URL into the request line, as clients of a forward proxy do
    #[arg(long)]
    pub absolute: bool,
}

/// Why there is no explanation.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file or the command line.
    Input(String),
    /// This process or its machine.
    Internal(String),
}

/// Prints what would be done with a request, sending nothing: 0 whatever the answer would be, 64
/// where the file or the URL cannot be used, 70 where the explanation itself fails.
pub fn explain(args: &ExplainArgs) -> ExitCode {
    match explained(args, Compiler::default()) {
        Ok(text) => {
            // Whoever closed the pipe has seen enough.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Trouble::Input(why)) => fail(&why, BAD_INPUT),
        Err(Trouble::Internal(why)) => fail(&why, INTERNAL),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "{}", why.trim_end());
    ExitCode::from(code)
}

pub(super) fn explained(args: &ExplainArgs, compiler: Compiler) -> Result<String, Trouble> {
    let asked = explain_request::Asked::of(args).map_err(Trouble::Input)?;
    let loaded = config::load(&args.config).map_err(|report| Trouble::Input(report.lines()))?;
    let whole = config::whole(&loaded.snapshot);
    let mut left_out = problems(&whole);
    let live = link(loaded.snapshot, whole.parts, &mut left_out, compiler)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Trouble::Internal(format!("no runtime can be started: {error}")))?;
    let told = runtime.block_on(explain_words::tell(&live, &asked));
    Ok(told + &explain_words::left_out(&left_out))
}

/// What of the tenants cannot be used and is not looked at.
fn problems(whole: &Whole) -> Vec<String> {
    let broken = whole.loaded.iter();
    let broken = broken.filter_map(|tenant| tenant.outcome.as_ref().err());
    let lines = broken.map(Report::lines);
    let lines = lines.chain(whole.problems.iter().map(ToString::to_string));
    lines.collect()
}

/// Has every policy as the gateway does, for one worker and with fresh members. Tenants whose
/// policies cannot be used are left out.
fn link(
    mut operator: Snapshot,
    mut parts: BTreeMap<TenantName, Arc<TenantPart>>,
    left_out: &mut Vec<String>,
    compiler: Compiler,
) -> Result<Generation, Trouble> {
    // Nobody comes back while this process looks on.
    hurry(&mut operator.balancers);
    let parts_of = parts.values_mut();
    parts_of.for_each(|part| hurry(&mut Arc::make_mut(part).balancers));
    let rehearsed = rehearsed(&operator, parts, 1, (compiler, || None));
    let Rehearsal { generation, unfit } =
        rehearsed.map_err(|error| Trouble::Internal(error.to_string()))?;
    let told = unfit.iter().map(ToString::to_string);
    match generation {
        Some(generation) => {
            left_out.extend(told);
            Ok(generation)
        }
        None => Err(Trouble::Input(told.collect::<Vec<_>>().join("\n"))),
    }
}

fn hurry(balancers: &mut BTreeMap<String, Arc<Balancer>>) {
    for balancer in balancers.values_mut() {
        Arc::make_mut(balancer).wait = Duration::ZERO;
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
