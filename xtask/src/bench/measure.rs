//! Turns: every front works for the same time in every round.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{front::Front, work};
use crate::{
    http::Client,
    load::{self, Plan, Usage},
};

/// Kept-alive connections of the client.
const CONNECTIONS: usize = 64;
/// Connections that are opened to see what an idle one costs.
const IDLE: usize = 1_000;

/// One front's turn in one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn {
    /// Processor time a request, microseconds, in user mode.
    pub user: f64,
    /// And in the kernel.
    pub system: f64,
    /// Requests a second.
    pub rate: f64,
    /// Kept-alive connections that it closed under a request.
    pub closed: u64,
}

impl Turn {
    /// Processor time a request, microseconds.
    pub fn total(&self) -> f64 {
        self.user + self.system
    }
}

/// Lets one front work for `time`, with `rate` requests a second or as many as it answers.
pub fn turn(front: &Front, time: Duration, rate: Option<u32>) -> Result<Turn> {
    let plan = Plan {
        server: front.address,
        connections: CONNECTIONS,
        requests: work::requests(front.address),
        count: u64::MAX,
        time,
        rate,
    };
    let before = Usage::of(front.pid)?;
    let tally = load::run(&plan, |_, _| {}).with_context(|| format!("{} broke off", front.name))?;
    let used = Usage::of(front.pid)?.since(before);
    // httpd closes kept-alive connections when it is busy; a gateway may not, and none may fail otherwise.
    let may_close = !front.is_gateway();
    ensure!(
        tally.failed == if may_close { tally.closed } else { 0 },
        "{} failed requests: {tally:?}",
        front.name
    );
    ensure!(
        tally.answered > 0 && !used.total().is_zero(),
        "{} did nothing",
        front.name
    );
    let each = |time: Duration| time.as_secs_f64() * 1e6 / tally.answered as f64;
    Ok(Turn {
        user: each(used.user),
        system: each(used.system),
        rate: tally.answered as f64 / tally.took.as_secs_f64(),
        closed: tally.closed,
    })
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
pub fn idle_connection(front: &Front) -> Result<u64> {
    let request = &work::requests(front.address)[0];
    // The first ones fill what is set up once and kept.
    let mut warm: Vec<Client> = (0..CONNECTIONS)
        .map(|_| Client::new(front.address))
        .collect();
    for client in &mut warm {
        client.get("/app/orders", &[])?;
    }
    let before = memory(front)?;
    let mut connections = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut stream = TcpStream::connect(front.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        std::io::Write::write_all(&mut stream, request)?;
        let mut buffer = [0; 4096];
        std::io::Read::read(&mut stream, &mut buffer)?;
        connections.push(stream);
    }
    // Some answers come in two pieces, and what was borrowed for them goes back a little later.
    let end = Instant::now() + Duration::from_secs(2);
    let mut after = memory(front)?;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        after = after.min(memory(front)?);
    }
    Ok(after.saturating_sub(before) / IDLE as u64)
}
