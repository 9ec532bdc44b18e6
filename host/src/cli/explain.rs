//! `switchyard explain URL`: what the gateway would do with a request, and why.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use super::{explain_request, explain_words};
use crate::{
    beneath, builtin,
    config::{self, Report, TenantPart, Whole},
    generation::{AccessLogs, Generation, LinkErrors, Linker, Modules, Origin},
    members::{Clock, Live},
    policy::{Loader, Module, Refusal, TenantThreads},
    snapshot::{PolicySource, Snapshot, TenantName},
    tenants::Tenants,
    wasm::{CacheDir, Compiler, WasmLoader, WasmOptions},
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
    let live = link(&loaded.snapshot, whole.parts, &mut left_out, compiler)?;
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

/// Instantiates every policy as the gateway does, for one worker and with fresh members. Tenants whose
/// policies cannot be used are left out.
fn link(
    operator: &Snapshot,
    mut parts: BTreeMap<TenantName, Arc<TenantPart>>,
    left_out: &mut Vec<String>,
    compiler: Compiler,
) -> Result<Generation, Trouble> {
    let loader = loader(operator.cache_dir.as_deref(), compiler)?;
    let mut named: BTreeMap<String, Arc<dyn Module>> = BTreeMap::new();
    for (key, policy) in &operator.policies {
        let module = module(&loader, policy).map_err(Trouble::Input)?;
        named.insert(key.clone(), module);
    }
    parts.retain(|tenant, part| {
        for (key, policy) in &part.policies {
            match module(&loader, policy) {
                Ok(module) => drop(named.insert(key.clone(), module)),
                Err(why) => {
                    left_out.push(format!("tenant `{tenant}`: {why}"));
                    return false;
                }
            }
        }
        true
    });
    let built_in = |name: &str| {
        let wasm = builtin::find(name)?.wasm;
        Some(loader.load(name, wasm, &operator.policy_limits))
    };
    loop {
        let mut snapshot = config::compose(operator, parts.values());
        // Nobody comes back while this process looks on.
        for balancer in snapshot.balancers.values_mut() {
            Arc::make_mut(balancer).wait = Duration::ZERO;
        }
        named.retain(|key, _| snapshot.policies.contains_key(key));
        let errors = match linked(&Arc::new(snapshot), &named, &built_in) {
            Ok(generation) => return Ok(generation),
            Err(errors) => errors,
        };
        let told = errors.to_string();
        let before = parts.len();
        for (tenant, error) in errors.by_tenant() {
            if parts.remove(&tenant).is_some() {
                left_out.push(format!("tenant `{tenant}`: {error}"));
            }
        }
        if parts.len() == before {
            return Err(Trouble::Input(told));
        }
    }
}

fn module(loader: &WasmLoader, policy: &PolicySource) -> Result<Arc<dyn Module>, String> {
    let wasm = read(policy).map_err(|error| {
        let (name, file) = (&policy.name, policy.source.display());
        format!("policy `{name}`: {file} cannot be read: {error}; name a .wasm file with `source`")
    })?;
    let module = loader.load(&policy.name, &wasm, &policy.limits);
    module.map_err(|refusal| format!("policy {refusal}"))
}

/// Gives a built-in policy by its name.
type BuiltIn<'a> = dyn Fn(&str) -> Option<Result<Arc<dyn Module>, Refusal>> + 'a;

fn linked(
    snapshot: &Arc<Snapshot>,
    named: &BTreeMap<String, Arc<dyn Module>>,
    built_in: &BuiltIn<'_>,
) -> Result<Generation, LinkErrors> {
    let live = Arc::new(Live::new(Clock::start(), 1));
    let linker = Linker {
        tenants: Arc::new(Tenants::new(Arc::clone(&live))),
        live,
        workers: 1,
        lanes: Arc::new(TenantThreads::default()),
        seed: RandomState::new().hash_one(0),
        recorders: None,
    };
    let modules = Modules { named, built_in };
    let origin = Origin {
        number: 1,
        before: None,
    };
    // Nobody has asked: nothing is written down.
    let silent = AccessLogs::default();
    linker.link(Arc::clone(snapshot), &modules, silent, origin)
}

/// Uses the gateway's cache where it is there and ours; never makes it, for it would then belong to
/// whoever explains.
fn loader(cache: Option<&Path>, compiler: Compiler) -> Result<WasmLoader, Trouble> {
    let there = cache.filter(|dir| dir.is_dir());
    let loader = WasmLoader::new(WasmOptions {
        cache: there.and_then(|dir| CacheDir::open(dir).ok()),
        ..compiler.into()
    });
    loader.map_err(|error| Trouble::Internal(error.to_string()))
}

/// One byte more than allowed tells the loader that there is too much.
fn read(policy: &PolicySource) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut wasm = Vec::new();
    let bound = (policy.limits.module_size as u64).saturating_add(1);
    let file = beneath::regular(policy.beneath.as_deref(), &policy.source)?;
    file.take(bound).read_to_end(&mut wasm)?;
    Ok(wasm)
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
