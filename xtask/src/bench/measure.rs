//! Turns: every front works for the same time in every round.

use std::{
    fs::OpenOptions,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{calls::Sent, front::Front, work::Request};
use crate::load::{self, Plan, Tally, Usage};

/// Kept-alive connections of the client.
pub const CONNECTIONS: usize = 64;
/// Fewest bytes of a line in an access log.
const LINE: u64 = 40;
/// Bytes of lines that a front may keep back until there are more.
const KEPT_BACK: u64 = 64 * 1024;

/// One front's turn in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// Processor time a request, microseconds, in user mode.
    pub user: f64,
    /// And in the kernel.
    pub system: f64,
    /// Requests a second.
    pub rate: f64,
    /// Half of the answers took no longer, microseconds.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// How busy it kept its cores, 0 to 1.
    pub share: f64,
    /// Requests that failed.
    pub failed: u64,
    /// Kept-alive connections that it closed under a request.
    pub closed: u64,
}

impl Turn {
    /// Processor time a request, microseconds.
    pub fn total(&self) -> f64 {
        self.user + self.system
    }

    #[cfg(test)]
    pub fn of_time(time: f64) -> Self {
        Self {
            user: time / 2.0,
            system: time / 2.0,
            rate: 1e6 / time,
            p50: time,
            p99: 2.0 * time,
            p999: 3.0 * time,
            share: 1.0,
            failed: 0,
            closed: 0,
        }
    }
}

/// What a front is asked, and how often it was so far.
pub struct Load {
    /// In turn.
    pub requests: Vec<Request>,
    /// Connections that are open and ask nothing.
    pub idle: usize,
    /// Whether our gateway's cores; more than one worker has more than one.
    pub workers: usize,
    /// What was sent in all.
    pub sent: Sent,
}

/// Lets one front work for `time`, with `rate` requests a second or as many as it answers.
pub fn turn(front: &Front, load: &mut Load, time: Duration, rate: Option<u32>) -> Result<Turn> {
    let _idle = hold(front, load, load.idle)?;
    settle(front)?;
    if let Some(log) = &front.access_log {
        OpenOptions::new().write(true).open(log)?.set_len(0)?;
    }
    let plan = Plan {
        server: front.address,
        connections: CONNECTIONS,
        requests: load.requests.iter().map(|one| one.bytes.clone()).collect(),
        count: u64::MAX,
        time,
        rate,
    };
    let before = Usage::of(front.pid)?;
    let tally = load::run(&plan, |_, _| {}).with_context(|| format!("{} broke off", front.name))?;
    let used = Usage::of(front.pid)?.since(before);
    load.sent
        .add(tally.answered + tally.failed, load.requests.len());
    judge(front, &tally)?;
    ensure!(
        tally.answered > 0 && !used.total().is_zero(),
        "{} did nothing",
        front.name
    );
    if let Some(log) = &front.access_log {
        settle(front)?;
        // Some write theirs once a second.
        let end = Instant::now() + Duration::from_secs(3);
        let least = (tally.answered * LINE).saturating_sub(KEPT_BACK);
        while log.metadata()?.len() < least {
            ensure!(
                Instant::now() < end,
                "{} logged {} bytes of {} requests",
                front.name,
                log.metadata()?.len(),
                tally.answered
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
    let each = used.total().as_secs_f64() * 1e6 / tally.answered as f64;
    let took = tally.took.as_secs_f64();
    let quantile = |of| {
        let latency = tally.latencies.quantile(of).unwrap_or_default();
        latency.as_secs_f64() * 1e6
    };
    Ok(Turn {
        user: each * used.user_share(),
        system: each * (1.0 - used.user_share()),
        rate: tally.answered as f64 / took,
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
        share: used.total().as_secs_f64() / took / load.workers as f64,
        failed: tally.failed,
        closed: tally.closed,
    })
}

/// A gateway may fail nothing. Others close kept-alive connections when they are busy; what fails beyond a
/// hundredth is no work that could be compared.
fn judge(front: &Front, tally: &Tally) -> Result<()> {
    let most = match front.setup {
        Some(_) => 0,
        None => tally.answered / 100,
    };
    ensure!(
        tally.failed <= most,
        "{} failed {} requests of {}; it closed {} connections under a request",
        front.name,
        tally.failed,
        tally.answered + tally.failed,
        tally.closed
    );
    Ok(())
}

/// Waits until the front rests: what it does after the last answer belongs to nobody's turn.
fn settle(front: &Front) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(2);
    let mut before = Usage::of(front.pid)?;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(40));
        let now = Usage::of(front.pid)?;
        // A tenth is what timers of its own may take.
        if now.since(before).total() < Duration::from_millis(4) {
            break;
        }
        before = now;
    }
    Ok(())
}

/// Memory of all its processes, bytes.
pub fn memory(front: &Front) -> Result<u64> {
    let pids = load::family(front.pid)?;
    Ok(pids
        .iter()
        .filter_map(|pid| load::resident(*pid).ok())
        .sum())
}

/// What an idle connection costs that served one request: bytes.
pub fn idle_connection(front: &Front, load: &mut Load, count: usize) -> Result<u64> {
    // The first ones fill what is set up once and kept.
    let _warm = hold(front, load, CONNECTIONS)?;
    let before = memory(front)?;
    let _connections = hold(front, load, count)?;
    // Some answers come in two pieces, and what was borrowed for them goes back a little later.
    let end = Instant::now() + Duration::from_secs(2);
    let mut after = memory(front)?;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        after = after.min(memory(front)?);
    }
    Ok(after.saturating_sub(before) / count.max(1) as u64)
}

/// Opens connections that ask once and then stay.
fn hold(front: &Front, load: &mut Load, count: usize) -> Result<Vec<TcpStream>> {
    let Some(first) = load.requests.first() else {
        return Ok(Vec::new());
    };
    let mut connections = Vec::with_capacity(count);
    let mut buffer = vec![0; 64 * 1024];
    for _ in 0..count {
        let mut stream = TcpStream::connect(front.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&first.bytes)?;
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "{} closed a connection unasked", front.name);
        connections.push(stream);
    }
    load.sent.add_first(count as u64, load.requests.len());
    Ok(connections)
}
