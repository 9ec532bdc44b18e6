//! A balancer for tests: it does what its configuration, or its mark, says.
//!
//! What is bad it does for requests with `X-Misbehave` alone, or it would not get into service;
//! with `always-` in front of it, for all.

#![forbid(unsafe_code)]

use std::hint::black_box;

use switchyard_policy::{
    Balancer, Context, Handoff, Member, Problem, Verdict,
    config::{Config, Fields},
    log, pool, request,
};

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
}

impl Config for Asked {
    fn read(fields: &mut Fields<'_>) -> Self {
        let does = fields.text("does").unwrap_or_else(|| "count".to_owned());
        if does == "refuse" || mark() == "refuse" {
            fields.problem("does", "this is refused, as asked");
        }
        Self { does }
    }
}

/// Keeps what it allocates, and counts its picks.
#[derive(Debug)]
pub struct TestBalancer {
    does: String,
    always: bool,
    members: Vec<Member>,
    picks: u64,
    hoard: Vec<Vec<u8>>,
}

impl Balancer for TestBalancer {
    type Config = Asked;

    fn init(asked: Asked, _: &Context) -> Result<Self, Vec<Problem>> {
        // A mark that says what to do outweighs the configuration; a version's name does not.
        let mark = mark();
        let does = if mark.is_empty() || mark.starts_with('v') {
            asked.does
        } else {
            mark
        };
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
            hoard: Vec::new(),
        })
    }

    fn members_changed(&mut self, _: u64, members: Vec<Member>) {
        if self.does == "trap-in-members" {
            panic!("asked to trap in members-changed");
        }
        self.members = members;
    }

    fn pick(&mut self, _: u32, _: u64) -> Verdict {
        self.picks += 1;
        let next = Verdict::Member((self.picks - 1) as u32 % self.members.len().max(1) as u32);
        let bad = self.always || request::header("x-misbehave").is_some();
        match self.does.as_str() {
            "trap" if bad => panic!("asked to trap"),
            "trap-often" if bad && self.picks.is_multiple_of(2) => {
                panic!("asked to trap every second time")
            }
            "loop" if bad => spin(),
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
            "abstain" => return Verdict::Abstain,
            "shed" => return Verdict::Shed,
            _ => {}
        }
        next
    }
}

/// Runs until somebody stops it.
fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

impl Handoff for TestBalancer {
    fn save(&mut self) -> Vec<u8> {
        match self.does.as_str() {
            "trap-in-save" => panic!("asked to trap in save"),
            "loop-in-save" => spin(),
            _ => {}
        }
        self.picks.to_le_bytes().to_vec()
    }

    fn restore(&mut self, _: &str, states: Vec<Vec<u8>>) -> Result<(), String> {
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

switchyard_policy::balancer!(TestBalancer, with handoff);
