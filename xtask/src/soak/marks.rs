//! What the process holds while nothing is asked of it: counted now and then, and judged.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::swapper::MODULES;
use crate::{http::Client, load};

/// For clients' connections to be seen as closed, and for versions that nobody asks any more to go: a
/// moment, unless the machine has other things to do.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// Counts that stay the same for so long are what is held.
const STEADY: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(20);

/// Descriptors beyond those of the first mark: the compile process has two pipes and a memory file.
const MORE_DESCRIPTORS: u64 = 3;
/// Threads that come when there is something to do and go later: the tenant's lane, and those of the
/// runtime for work that blocks.
const MORE_THREADS: u64 = 3;
/// Instances: a worker that was not asked since the last reload has not made its own yet.
const MORE_INSTANCES: u64 = 2;
/// Of the resident memory at the first mark, in percent: what allocators keep and lose,
const MORE_MEMORY: u64 = 8;
/// and bytes a reload beside it, which the history of versions may take until it is full.
const MEMORY_OF_A_RELOAD: u64 = 256;

/// What is held after so many reloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Done so far.
    pub reloads: u32,
    /// Bytes.
    pub resident: u64,
    /// Open, without connections.
    pub descriptors: u64,
    /// Of the process.
    pub threads: u64,
    /// Of policies.
    pub instances: u64,
}

impl Mark {
    /// Counts once no client is connected and the counts stand still.
    pub fn take(pid: u32, admin: SocketAddr, reloads: u32) -> Result<Self> {
        let mut client = Client::new(admin);
        let end = Instant::now() + QUIET_LIMIT;
        let mut last: Option<(Self, Instant)> = None;
        loop {
            let page = client.get("/metrics", &[])?.text();
            let clients = sum(&page, "switchyard_client_connections")?;
            let members = sum(&page, "switchyard_member_connections")?;
            let mark = Self {
                reloads,
                resident: load::resident(pid)?,
                descriptors: load::descriptors(pid)?.saturating_sub(clients + members),
                threads: load::threads(pid)?,
                instances: sum(&page, "switchyard_instances")?,
            };
            match &mut last {
                Some((before, since)) if clients == 0 && before.is_as(&mark) => {
                    before.descriptors = before.descriptors.min(mark.descriptors);
                    if since.elapsed() >= STEADY {
                        return Ok(*before);
                    }
                }
                _ => last = Some((mark, Instant::now())),
            }
            if Instant::now() > end {
                bail!(
                    "after {reloads} reloads it does not come to rest: {clients} clients, {mark:?}"
                );
            }
            thread::sleep(LOOK);
        }
    }

    /// Whether as much is held. The connection over which this was asked may be gone yet, or not.
    fn is_as(&self, other: &Self) -> bool {
        (self.threads, self.instances) == (other.threads, other.instances)
            && self.descriptors.abs_diff(other.descriptors) <= 1
    }

    /// A line of the table.
    pub fn text(&self) -> String {
        let Self {
            reloads,
            resident,
            descriptors,
            threads,
            instances,
        } = self;
        let megabytes = *resident as f64 / 1e6;
        format!(
            "  {reloads:>6} reloads: {megabytes:.1} MB resident, {descriptors} descriptors, {threads} threads, {instances} instances"
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "reloads": self.reloads,
            "resident": self.resident,
            "descriptors": self.descriptors,
            "threads": self.threads,
            "instances": self.instances,
        })
    }
}

/// Goals missed: everything is as much as at the first mark, but for what these bounds are for. Marks from before
/// every module was loaded do not count: each one's code has a descriptor and stays.
pub fn missed(marks: &[Mark]) -> Vec<String> {
    let mut marks = marks.iter().filter(|mark| mark.reloads > MODULES);
    let Some(first) = marks.next() else {
        return vec!["nothing was counted".to_owned()];
    };
    let mut missed = Vec::new();
    for mark in marks {
        let mut judge = |what: &str, of: fn(&Mark) -> u64, more: u64| {
            let (was, is) = (of(first), of(mark));
            if is > was + more {
                let (from, to) = (first.reloads, mark.reloads);
                missed.push(format!(
                    "{what} rose from {was} after {from} reloads to {is} after {to}"
                ));
            }
        };
        judge("descriptors", |mark| mark.descriptors, MORE_DESCRIPTORS);
        judge("threads", |mark| mark.threads, MORE_THREADS);
        judge("instances", |mark| mark.instances, MORE_INSTANCES);
        let reloads = u64::from(mark.reloads - first.reloads);
        let memory = first.resident * MORE_MEMORY / 100 + reloads * MEMORY_OF_A_RELOAD;
        judge("bytes of memory", |mark| mark.resident, memory);
    }
    missed
}

/// All series of a family, added up.
fn sum(page: &str, family: &str) -> Result<u64> {
    let mut values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        let value = match rest.strip_prefix('{') {
            Some(_) => rest.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.parse::<u64>().ok()
    });
    let first = values
        .next()
        .with_context(|| format!("the metrics have no {family}"))?;
    Ok(values.fold(first, |sum, value| sum + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Mark = Mark {
        reloads: 1_000,
        resident: 50_000_000,
        descriptors: 30,
        threads: 12,
        instances: 8,
    };

    #[test]
    fn what_stays_as_it_was_misses_nothing() {
        let later = Mark {
            reloads: 10_000,
            resident: 52_000_000,
            threads: 13,
            ..FIRST
        };
        assert_eq!(missed(&[FIRST, later]), [""; 0]);
    }

    #[test]
    fn what_is_loaded_for_the_first_time_is_no_leak() {
        let early = Mark {
            reloads: MODULES,
            descriptors: 20,
            ..FIRST
        };
        assert_eq!(missed(&[early, FIRST]), [""; 0]);
        assert_eq!(missed(&[early]), ["nothing was counted"]);
    }

    #[test]
    fn whatever_one_reload_in_a_thousand_leaves_behind_is_found() {
        let spoilt: [fn(&mut Mark); 4] = [
            |mark| mark.descriptors += 9,
            |mark| mark.threads += 9,
            |mark| mark.instances += 9,
            |mark| mark.resident += 9_000 * 1_000,
        ];
        for (index, spoil) in spoilt.into_iter().enumerate() {
            let mut later = Mark {
                reloads: 10_000,
                ..FIRST
            };
            spoil(&mut later);
            assert_eq!(missed(&[FIRST, FIRST, later]).len(), 1, "{index}");
        }
        assert_eq!(missed(&[]).len(), 1);
    }

    #[test]
    fn series_are_added_up() {
        let page = "# HELP a b\na{x=\"1\"} 2\na{x=\"} 7\"} 3\nab 100\nc 4\n";
        assert_eq!(sum(page, "a").unwrap(), 5);
        assert_eq!(sum(page, "c").unwrap(), 4);
        assert!(sum(page, "d").is_err());
    }
}
