//! Bad things that a policy may do in any of its hooks.
//!
//! Which, and where, is said in one word, `hook:deed`: the guest's mark, for a version that
//! misbehaves whenever that hook is called and so fails its trial, or the key `misdeed` of its
//! configuration, for one that waits until it is in service.

#![forbid(unsafe_code)]

use std::hint::black_box;

use switchyard_policy::log;

/// What to do, and where.
#[derive(Debug, Clone, Default)]
pub struct Misdeed {
    word: String,
    always: bool,
}

impl Misdeed {
    /// From a mark with a colon, else from the configuration.
    pub fn new(mark: &str, configured: String) -> Self {
        match mark.contains(':') {
            true => Self {
                word: mark.to_owned(),
                always: true,
            },
            false => Self {
                word: configured,
                always: false,
            },
        }
    }

    /// Does it, if it is for `hook` and for every call of it.
    pub fn at(&self, hook: &str) {
        self.when(hook, false);
    }

    /// Does it, if it is for `hook` and `now`, or for every call of it.
    pub fn when(&self, hook: &str, now: bool) {
        if let Some(deed) = self.deed(hook, now) {
            commit(deed);
        }
    }

    /// Whether it is for `hook`, whenever that is.
    pub fn is_at(&self, hook: &str) -> bool {
        self.deed(hook, true).is_some()
    }

    /// What is to be done in `hook`, if anything.
    pub fn deed(&self, hook: &str, now: bool) -> Option<&str> {
        let (at, deed) = self.word.split_once(':')?;
        (at == hook && (now || self.always)).then_some(deed)
    }
}

/// Does one of them. What it does not know is for the hook itself to do.
pub fn commit(deed: &str) {
    match deed {
        "trap" => first_of_three(deed.len()),
        "loop" => spin(),
        "memory" => hoard(),
        "recursion" => {
            black_box(dig(0));
        }
        "chatter" => {
            let line = format!("chatter{}", "x".repeat(993));
            for _ in 0..20 {
                log::info(&line);
            }
        }
        "string" => log::info(&"x".repeat(5 << 20)),
        _ => {}
    }
}

#[inline(never)]
fn first_of_three(depth: usize) {
    second_of_three(black_box(depth));
    black_box(());
}

#[inline(never)]
fn second_of_three(depth: usize) {
    third_of_three(black_box(depth));
    black_box(());
}

#[inline(never)]
fn third_of_three(depth: usize) {
    assert!(black_box(depth) == 0, "asked to trap three calls deep");
}

/// Runs until somebody stops it.
pub fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![0_u8; 1 << 20]);
        black_box(&hoard);
    }
}

fn dig(depth: u64) -> u64 {
    let room = black_box([depth; 16]);
    // Sixteen million frames of 128 bytes fit no stack.
    if depth > 1 << 24 {
        return depth;
    }
    dig(room[0] + 1) + black_box(room)[1]
}
