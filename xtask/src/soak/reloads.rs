//! A policy replaced again and again under load, each time as soon as the last one serves.

use std::{
    net::SocketAddr,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::json;

use super::{
    marks::{Mark, missed},
    run::conclude,
    swapper::Files,
};
use crate::{
    gateway::Gateway,
    http::Client,
    load::{self, Plan, Tally},
    stamp::HEADER,
    steps::short,
};

/// Counted so often; what is held at the first of them is what the others are compared with.
const MARKS: u32 = 10;
const CONNECTIONS: usize = 32;
/// Requests a second: some at every reload, and time for the reloads on two cores.
const RATE: u32 = 2_000;
/// Load comes in pieces, so that it ends soon after the reloads of a mark have.
const PIECE: Duration = Duration::from_millis(500);
/// A version that does not serve by then never will: an unoptimised build compiles one in some 100 ms.
const RELOAD_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at which version serves.
const LOOK: Duration = Duration::from_millis(2);

/// Reloads so often; fails if a request did, or if something is left over.
pub(super) fn run(reloads: u32, files: &Files, gateway: Gateway) -> Result<()> {
    let Some(admin) = gateway.admin else {
        bail!("the gateway has no admin endpoint");
    };
    println!("{reloads} reloads, {RATE} requests a second");
    let (started, mut total, mut marks) = (Instant::now(), Tally::default(), Vec::new());
    let mut reloading = Duration::ZERO;
    for part in 0..MARKS {
        // The first version serves already.
        let turns = 1 + reloads * part / MARKS..1 + reloads * (part + 1) / MARKS;
        let done = turns.end - 1;
        thread::scope(|scope| {
            let began = Instant::now();
            let swapper = scope.spawn(|| replace(turns, files, gateway.address));
            while !swapper.is_finished() {
                total.add(&load(gateway.address)?);
            }
            reloading += began.elapsed();
            match swapper.join() {
                Ok(done) => done,
                Err(_) => bail!("the thread that replaces files broke off"),
            }
        })?;
        let mark = Mark::take(gateway.pid(), admin, done)?;
        println!("{}", mark.text());
        marks.push(mark);
    }
    gateway.stop()?;
    println!(
        "{reloads} reloads in {} ({:.1} ms each), {} requests: {} failed, {} connections ended under a request, {} closed otherwise",
        short(started.elapsed()),
        reloading.as_secs_f64() * 1e3 / f64::from(reloads),
        total.answered + total.failed,
        total.failed,
        total.closed,
        total.ended,
    );
    let mut missed = missed(&marks);
    for (count, what) in [
        (total.failed, "requests failed"),
        (total.closed, "connections ended under a request"),
        (total.ended, "kept-alive connections were closed"),
    ] {
        if count > 0 {
            missed.push(format!("{count} {what}"));
        }
    }
    let results = json!({
        "reloads": reloads,
        "seconds": started.elapsed().as_secs_f64(),
        "answered": total.answered,
        "failed": total.failed,
        "closed_under_a_request": total.closed,
        "closed_otherwise": total.ended,
        "marks": marks.iter().map(Mark::json).collect::<Vec<_>>(),
    });
    conclude("reloads.json", &results, &missed)
}

/// Puts one version after the other into service.
fn replace(turns: Range<u32>, files: &Files, gateway: SocketAddr) -> Result<()> {
    let mut client = Client::new(gateway);
    for turn in turns {
        let stamp = files.write_policy(turn)?;
        let end = Instant::now() + RELOAD_LIMIT;
        while client.get("/app/orders", &[])?.header(HEADER) != Some(&stamp) {
            if Instant::now() > end {
                let limit = RELOAD_LIMIT.as_secs();
                bail!("reload {turn} did not get into service within {limit} s");
            }
            thread::sleep(LOOK);
        }
    }
    Ok(())
}

fn load(server: SocketAddr) -> Result<Tally> {
    let request = format!("GET /app/orders HTTP/1.1\r\nHost: {server}\r\n\r\n").into_bytes();
    let plan = Plan {
        server,
        connections: CONNECTIONS,
        requests: vec![request],
        count: u64::MAX,
        time: PIECE,
        rate: Some(RATE),
    };
    Ok(load::run(&plan, |_, _| {})?)
}
