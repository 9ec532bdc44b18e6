//! Start, memory and reload with many tenants, and the verdict.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::site::{POLICIES, Site, host};
use crate::{
    gateway::Gateway,
    guests,
    http::Client,
    load::{Origin, resident},
    steps::short,
    workspace::{self, Profile},
};

/// From the start of the process to its ready line, everything compiled before.
const MOST_START: Duration = Duration::from_secs(5);
/// Resident bytes of a tenant, each having served a request.
const MOST_MEMORY: u64 = 1 << 20;
/// From the rename of a tenant's file to the first answer by it.
const MOST_RELOAD: Duration = Duration::from_millis(100);
/// Before memory and reloads are measured.
const REST: Duration = Duration::from_secs(4);
/// A reload that takes longer than this does not happen.
const LONGEST_RELOAD: Duration = Duration::from_secs(30);

/// How many, and of what.
#[derive(Debug, Args)]
pub struct Options {
    /// Tenants
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    tenants: u32,
    /// Reloads of one of them
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    reloads: u32,
    /// Measure an unoptimised build
    #[arg(long)]
    dev: bool,
    /// Measure this gateway instead of building one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

/// Prints the figures; fails if one of them is over its bound.
pub fn run(options: &Options) -> Result<()> {
    let program = match (&options.gateway, options.dev) {
        (Some(program), _) => program.clone(),
        (None, true) => workspace::gateway(Profile::Dev)?,
        (None, false) => workspace::gateway(Profile::Release)?,
    };
    let folder = workspace::target()?.join("xtask-tenants");
    let wasm = folder.join("policies");
    guests::components(&guests::find()?, &wasm)?;
    let origin = Origin::start(1, &[])?;
    let member = *origin.addresses.first().context("one member")?;
    let site = Site::new(&folder, member)?;
    site.write_operator()?;
    let start = || {
        let begun = Instant::now();
        let gateway = Gateway::start(&program, &site.config(), Some(2), &[])?;
        Ok::<_, anyhow::Error>((gateway, begun.elapsed()))
    };

    let (gateway, _) = start()?;
    ask(&gateway, "operator.example")?;
    let base = resident(gateway.pid())?;
    gateway.stop()?;
    let tenants = options.tenants as usize;
    for tenant in 0..tenants {
        site.write_tenant(tenant, &wasm, 0)?;
    }
    // Fills the cache.
    let (gateway, cold) = start()?;
    gateway.stop()?;
    let (gateway, warm) = start()?;
    let ready = resident(gateway.pid())?;
    for tenant in 0..tenants {
        ask(&gateway, &host(tenant))?;
    }
    // Threads that made instances end, and files that are younger than two seconds are read again at
    // every event: what is measured is a gateway at rest.
    thread::sleep(REST);
    let used = resident(gateway.pid())?;
    let mut reloads = Vec::new();
    for version in 1..=u64::from(options.reloads) {
        let tenant = version as usize * 7 % tenants;
        reloads.push(reload(&gateway, &site, tenant, version)?);
    }
    gateway.stop()?;
    reloads.sort();
    let median = reloads[reloads.len() / 2];
    let slowest = reloads.last().copied().unwrap_or_default();
    let each = |bytes: u64| bytes.saturating_sub(base) / tenants as u64;

    let policies = POLICIES.len();
    println!("{tenants} tenants, {policies} policies each");
    println!("start, everything compiled anew   {}", short(cold));
    println!(
        "start from a warm cache           {}   (at most {})",
        short(warm),
        short(MOST_START)
    );
    println!("resident without tenants          {}", kib(base));
    println!("a tenant, ready                   {}", kib(each(ready)));
    println!(
        "a tenant that has served          {}   (at most {})",
        kib(each(used)),
        kib(MOST_MEMORY)
    );
    println!(
        "reload of one, median             {}   (at most {})",
        short(median),
        short(MOST_RELOAD)
    );
    println!(
        "reload of one, slowest of {:<4}    {}",
        reloads.len(),
        short(slowest)
    );
    let missed = [
        ("the start", warm > MOST_START),
        ("a tenant's memory", each(used) > MOST_MEMORY),
        ("a reload", median > MOST_RELOAD),
    ];
    let missed: Vec<_> = missed.iter().filter(|m| m.1).map(|m| m.0).collect();
    if !missed.is_empty() {
        bail!("missed: {}", missed.join(", "));
    }
    Ok(())
}

/// One request, which must be served.
fn ask(gateway: &Gateway, host: &str) -> Result<()> {
    let answer = Client::new(gateway.address).get_at(host, "/", &[])?;
    // The members for measuring answer 201.
    if !(200..300).contains(&answer.status) {
        bail!("{host} answers {}: {}", answer.status, answer.text());
    }
    Ok(())
}

/// How long it takes until a tenant's new file serves.
fn reload(gateway: &Gateway, site: &Site, tenant: usize, version: u64) -> Result<Duration> {
    let host = host(tenant);
    let mut client = Client::new(gateway.address);
    let wanted = format!("/{version}");
    let begun = Instant::now();
    site.write_site(tenant, version)?;
    loop {
        let answer = client.get_at(&host, "/version", &[])?;
        let took = begun.elapsed();
        if answer.header("location") == Some(&wanted) {
            ask(gateway, &host)?;
            return Ok(took);
        }
        if took > LONGEST_RELOAD {
            bail!(
                "{host} did not take its file within {}",
                short(LONGEST_RELOAD)
            );
        }
    }
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
