//! A balancer for tests: it does what its configuration, or its mark, says.
//!
//! What is bad it does for requests with `X-Misbehave` alone, or it would not get into service;
//! with `always-` in front of it, for all.

#![forbid(unsafe_code)]

use std::hint::black_box;

use switchyard_policy::{
    Balancer, Context, Descriptor, Handoff, Member, Observer, Outcome, Problem, Ticker, Verdict,
    config::{Config, Fields},
    log, metrics, pool, request,
};
use test_guest_misdeeds::{Misdeed, spin};

/// Patched in the built module: versions with digests of their own, compiled once.
static MARK: [u8; 40] = *b"switchyard-test-mark:...................";

/// What follows the colon, without the filling; empty as built.
fn mark() -> String {
    let text = black_box(&MARK)[21..].to_vec();
    String::from_utf8(text)
        .unwrap_or_default()
        .trim_end_matches('.')
        .to_owned()
}

/// What it does.
#[derive(Debug)]
pub struct Asked {
    does: String,
    misdeed: Misdeed,
    turns: u64,
    tick_ms: u32,
}

impl Config for Asked {
    fn read(fields: &mut Fields<'_>) -> Self {
        let does = fields.text("does").unwrap_or_else(|| "count".to_owned());
        if does == "refuse" || mark() == "refuse" {
            fields.problem("does", "this is refused, as asked");
        }
        let misdeed = fields.text("misdeed").unwrap_or_default();
        let misdeed = Misdeed::new(&mark(), misdeed);
        misdeed.at("describe");
        Self {
            does,
            turns: fields.integer("turns", 0..=u64::MAX).unwrap_or_default(),
            tick_ms: if misdeed.is_at("tick") { 20 } else { 0 },
            misdeed,
        }
    }
}

/// Keeps what it allocates, and counts its picks.
#[derive(Debug)]
pub struct TestBalancer {
    does: String,
    always: bool,
    members: Vec<Member>,
    picks: u64,
    ticks: u64,
    told: u64,
    hoard: Vec<Vec<u8>>,
    turns: u64,
    misdeed: Misdeed,
}

impl Balancer for TestBalancer {
    type Config = Asked;

    fn describe(asked: &Asked) -> Descriptor {
        Descriptor::exclusive().every_ms(asked.tick_ms)
    }

    fn init(asked: Asked, _: &Context) -> Result<Self, Vec<Problem>> {
        // A mark that says what to do outweighs the configuration; a version's name does not.
        let mark = mark();
        let does = if mark.is_empty() || mark.starts_with('v') || mark.contains(':') {
            asked.does
        } else {
            mark
        };
        asked.misdeed.at("init");
        match does.as_str() {
            "trap-in-init" => panic!("asked to trap in init"),
            "loop-in-init" => spin(),
            _ => {}
        }
        let always = does.starts_with("always-");
        Ok(Self {
            does: does.trim_start_matches("always-").to_owned(),
            always,
            members: Vec::new(),
            picks: 0,
            ticks: 0,
            told: 0,
            hoard: Vec::new(),
            turns: asked.turns,
            misdeed: asked.misdeed,
        })
    }

    fn members_changed(&mut self, _: u64, members: Vec<Member>) {
        if self.does == "trap-in-members" {
            panic!("asked to trap in members-changed");
        }
        self.told += 1;
        self.misdeed.when("members", self.told > 1);
        self.members = members;
    }

    fn pick(&mut self, _: u32, _: u64) -> Verdict {
        self.picks += 1;
        let next = Verdict::Member((self.picks - 1) as u32 % self.members.len().max(1) as u32);
        let bad = self.always || request::header("x-misbehave").is_some();
        self.misdeed.when("pick", bad);
        match self.does.as_str() {
            "trap" if bad => panic!("asked to trap"),
            "trap-often" if bad && self.picks.is_multiple_of(2) => {
                panic!("asked to trap every second time")
            }
            "loop" if bad => spin(),
            // As long as its test wants, which knows the machine and the deadline.
            "slow" if bad => {
                for turn in 0..self.turns {
                    black_box(turn);
                }
            }
            // Each step needs the one before, so no machine does it much faster than others.
            "crawl" if bad => {
                let steps = (0..CRAWL).fold(1_u64, |n, step| black_box(n.wrapping_mul(step | 1)));
                black_box(steps);
            }
            "allocate" if bad => loop {
                self.hoard.push(vec![1; 1 << 20]);
            },
            "out-of-range" if bad => return Verdict::Member(1000),
            // The first member, whether it may serve or has been tried already.
            "first" => return Verdict::Member(0),
            "last-tried" => {
                if let Some(tried) = request::tried().last() {
                    return Verdict::Member(*tried);
                }
            }
            "log" if bad => {
                let line = "x".repeat(1000);
                for _ in 0..1100 {
                    log::info(&line);
                }
            }
            "say" => log::info(&format!(
                "picked for {} among {}",
                request::path(),
                pool::name()
            )),
            "meter" => metrics::Counter::new("picks", &[]).add(1),
            "abstain" => return Verdict::Abstain,
            "shed" => return Verdict::Shed,
            _ => {}
        }
        next
    }
}

/// Steps of one nanosecond and more: 5 ms at least, a thousand times what a call takes otherwise.
const CRAWL: u64 = 5_000_000;

impl Handoff for TestBalancer {
    fn save(&mut self) -> Vec<u8> {
        if self.misdeed.deed("save", true) == Some("list") {
            return vec![1; 5 << 20];
        }
        self.misdeed.when("save", true);
        match self.does.as_str() {
            "trap-in-save" => panic!("asked to trap in save"),
            "loop-in-save" => spin(),
            _ => {}
        }
        self.picks.to_le_bytes().to_vec()
    }

    fn restore(&mut self, _: &str, states: Vec<Vec<u8>>) -> Result<(), String> {
        self.misdeed.at("restore");
        match self.does.as_str() {
            "cold" => return Err("asked to start cold".to_owned()),
            "trap-in-restore" => panic!("asked to trap in restore"),
            _ => {}
        }
        let state = states.first().and_then(|s| s.as_slice().try_into().ok());
        self.picks = state.map(u64::from_le_bytes).ok_or("not a count")?;
        Ok(())
    }
}

impl Observer for TestBalancer {
    fn completed(&mut self, batch: Vec<Outcome>) {
        // The trial's own outcome is a plain 200.
        let teapot = batch.iter().any(|outcome| outcome.status == 418);
        self.misdeed.when("completed", teapot);
    }
}

impl Ticker for TestBalancer {
    fn tick(&mut self) {
        self.ticks += 1;
        // The trial is the first tick of its instance.
        self.misdeed.when("tick", self.ticks > 1);
    }
}

switchyard_policy::balancer!(TestBalancer, with handoff, observer, ticker);
