//! Load and swaps together, and the verdict.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    Options,
    swapper::{EVERY, Files, MODULES, Swapper},
    watch::Watch,
};
use crate::{
    gateway::Gateway,
    guests, load,
    load::{Plan, Tally},
    stamp::{HEADER, Stamped},
    steps::short,
    workspace::{self, Profile},
};

const CONNECTIONS: usize = 64;
/// After a tenth of the requests memory is expected to have reached its level, but never before so many:
/// every module is compiled in that time.
const WARM_UP: u64 = 50_000;
/// Of the memory after warming up, in percent: what allocators keep and lose, not what a leak adds.
const MOST_GROWTH: u64 = 15;
/// Swaps a second that must be seen.
const LEAST_SWAPS: f64 = 8.0;
/// And of an unoptimised build, whose compiler takes several times as long.
const LEAST_SWAPS_DEV: f64 = 4.0;
/// Requests more, again and again, while some module was not seen;
const MORE: u64 = 20_000;
/// but no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Shorter runs cannot show all modules, for each is in service for 100 ms.
const LEAST_TIME: Duration = Duration::from_secs(3);

/// Runs to the end; fails if one request did.
pub fn run(options: &Options) -> Result<()> {
    let toolchain = guests::find()?;
    println!("Building the gateway");
    let program = workspace::gateway(if options.dev {
        Profile::Dev
    } else {
        Profile::Release
    })?;
    let stamped = Stamped::build(&toolchain)?;
    load::raise_file_limit()?;

    let folder = tempfile::Builder::new()
        .prefix("switchyard-soak-")
        .tempdir()?;
    let origin = load::Origin::start(2, &[])?;
    let files = Files::new(folder.path(), &origin.addresses, stamped)?;
    let gateway = Gateway::start(&program, &files.config(), None, &[])?;
    if let Some(reloads) = options.reloads {
        return super::reloads::run(reloads, &files, gateway);
    }
    let mut run = Run {
        gateway: &gateway,
        watch: Watch::default(),
        total: Tally::default(),
    };

    println!(
        "{} requests, files replaced every {} ms",
        options.requests,
        EVERY.as_millis()
    );
    let swapper = Swapper::start(&files);
    let warm_up = (options.requests / 10).max(WARM_UP.min(options.requests / 2));
    run.send(warm_up)?;
    let before = load::resident(gateway.pid())?;
    run.send(options.requests - warm_up)?;
    // A slow machine compiles for long, a quick one answers all before every module had its turn.
    while run.watch.served.len() < MODULES as usize && run.total.took < LONGEST_WAIT {
        run.send(MORE)?;
    }
    let after = load::resident(gateway.pid())?;
    let replaced = swapper.stop()?;
    let Run { watch, total, .. } = run;
    gateway.stop().context("the gateway did not end in order")?;

    let result = Verdict {
        least_swaps: if options.dev {
            LEAST_SWAPS_DEV
        } else {
            LEAST_SWAPS
        },
        replaced,
        before,
        after,
        watch,
        total,
    };
    println!("{}", result.text());
    conclude("results.json", &result.json(), &result.missed())
}

/// Keeps the results; fails where a goal was missed.
pub(super) fn conclude(file: &str, results: &Value, missed: &[String]) -> Result<()> {
    let folder = workspace::target()?.join("soak");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(file), format!("{results:#}\n"))?;
    match missed.is_empty() {
        true => Ok(()),
        false => bail!("goals missed:\n  {}", missed.join("\n  ")),
    }
}

struct Run<'a> {
    gateway: &'a Gateway,
    watch: Watch,
    total: Tally,
}

impl Run<'_> {
    /// Sends so many requests in ten parts, with a line after each.
    fn send(&mut self, requests: u64) -> Result<()> {
        let address = self.gateway.address;
        let request = |cookie: &str| {
            format!("GET /app/orders HTTP/1.1\r\nHost: {address}\r\n{cookie}\r\n").into_bytes()
        };
        let session = "Cookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF.worker1\r\n";
        let plan = Plan {
            server: address,
            connections: CONNECTIONS,
            requests: vec![request(""), request(session)],
            count: requests,
            // Nobody waits longer for a hundred thousand requests than for a gateway that hangs.
            time: Duration::from_secs(3600),
            rate: None,
        };
        let mut answers = 0;
        let watch = &mut self.watch;
        let every = requests.div_ceil(5);
        let tally = load::run(&plan, |connection, head| {
            watch.note(connection, load::field(head, HEADER));
            answers += 1;
            if answers % every == 0 {
                println!(
                    "  {answers} of {requests} answered, {} versions seen, {} swaps",
                    watch.served.len(),
                    watch.swaps()
                );
            }
        })?;
        self.total.add(&tally);
        Ok(())
    }
}

/// What came of it.
struct Verdict {
    /// The goal, a second.
    least_swaps: f64,
    /// How often files were replaced.
    replaced: u32,
    /// Bytes resident after warming up.
    before: u64,
    /// And at the end.
    after: u64,
    watch: Watch,
    total: Tally,
}

impl Verdict {
    /// Swaps a second, as seen from outside.
    fn rate(&self) -> f64 {
        self.watch.swaps() as f64 / self.total.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn missed(&self) -> Vec<String> {
        let Tally {
            failed,
            closed,
            ended,
            took,
            ..
        } = self.total;
        let mut missed = Vec::new();
        let mut none = |count: u64, what: &str| {
            if count > 0 {
                missed.push(format!("{count} {what}"));
            }
        };
        none(failed, "requests failed");
        none(closed, "connections ended under a request");
        none(ended, "kept-alive connections were closed");
        none(self.watch.unnamed, "answers did not name their version");
        let seen = self.watch.served.len();
        if took < LEAST_TIME {
            missed.push(format!(
                "it took {}, too short to see {MODULES} modules: send more requests",
                short(took)
            ));
        } else if seen != MODULES as usize {
            missed.push(format!("{seen} of {MODULES} modules were seen"));
        }
        if self.rate() < self.least_swaps {
            missed.push(format!(
                "{:.1} swaps a second were seen, at least {} is the goal",
                self.rate(),
                self.least_swaps
            ));
        }
        if self.after > self.before + self.before * MOST_GROWTH / 100 {
            missed.push(format!(
                "memory rose from {} to {} bytes",
                self.before, self.after
            ));
        }
        missed
    }

    fn text(&self) -> String {
        format!(
            "{} requests in {} ({:.0} a second): {} failed, {} connections ended under a request, {} closed otherwise\n\
             files replaced {} times; {:.1} swaps a second seen; {} of {MODULES} modules served requests\n\
             memory {:.1} MB after warming up, {:.1} MB at the end",
            self.total.answered + self.total.failed,
            short(self.total.took),
            self.total.answered as f64 / self.total.took.as_secs_f64(),
            self.total.failed,
            self.total.closed,
            self.total.ended,
            self.replaced,
            self.rate(),
            self.watch.served.len(),
            self.before as f64 / 1e6,
            self.after as f64 / 1e6,
        )
    }

    fn json(&self) -> Value {
        json!({
            "answered": self.total.answered,
            "failed": self.total.failed,
            "closed_under_a_request": self.total.closed,
            "closed_otherwise": self.total.ended,
            "seconds": self.total.took.as_secs_f64(),
            "replaced": self.replaced,
            "swaps_seen": self.watch.swaps(),
            "served": self.watch.served,
            "unnamed": self.watch.unnamed,
            "resident_after_warm_up": self.before,
            "resident_at_end": self.after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 modules and 100 swaps in 10 s, memory at its level.
    fn good() -> Verdict {
        let mut watch = Watch::default();
        for turn in 0..=100 {
            watch.note(0, Some(Stamped::stamp(turn % MODULES).as_bytes()));
        }
        let total = Tally {
            answered: 101,
            took: Duration::from_secs(10),
            ..Tally::default()
        };
        Verdict {
            least_swaps: LEAST_SWAPS,
            replaced: 100,
            before: 100_000_000,
            after: 110_000_000,
            watch,
            total,
        }
    }

    #[test]
    fn a_run_that_held_misses_nothing() {
        assert_eq!(good().missed(), [""; 0]);
    }

    #[test]
    fn each_goal_is_judged() {
        let spoilt: [fn(&mut Verdict); 7] = [
            |verdict| verdict.total.failed = 1,
            |verdict| verdict.total.closed = 1,
            |verdict| verdict.total.ended = 1,
            |verdict| verdict.watch.unnamed = 1,
            |verdict| verdict.total.took = Duration::from_secs(100),
            |verdict| verdict.after = 120_000_000,
            |verdict| drop(verdict.watch.served.pop_first()),
        ];
        for (index, spoil) in spoilt.into_iter().enumerate() {
            let mut verdict = good();
            spoil(&mut verdict);
            assert_eq!(verdict.missed().len(), 1, "{index}: {:?}", verdict.missed());
        }
    }
}
