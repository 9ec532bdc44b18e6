//! Scenarios played to the built-in policies, and to guests that misbehave.

mod events;
mod golden;
mod messages;
mod mistakes;

use std::path::Path;

use super::{Outcome, Tested, play::play, scenario};
use crate::{builtin, config::Report, wasm::Compiler};

/// A built-in policy.
fn built_in(name: &str) -> Tested {
    let wasm = builtin::find(name).unwrap().wasm;
    Tested::of(name, wasm, Compiler::InProcess.into()).unwrap()
}

/// Three members of weights 1, 2 and 3.
const POOL: &str = "[balancer]\nmembers = [\n\
    { url = \"http://a\", loadfactor = 1 },\n\
    { url = \"http://b\", loadfactor = 2 },\n\
    { url = \"http://c\", loadfactor = 3 },\n]\n";

/// What becomes of a scenario that is free of mistakes.
fn played(tested: &Tested, text: &str) -> Outcome {
    let scenario = read(tested, text).unwrap_or_else(|report| panic!("{}", report.lines()));
    play(tested, &scenario).unwrap()
}

fn read(tested: &Tested, text: &str) -> Result<scenario::Scenario, Report> {
    let file = Path::new("it.toml");
    // Any file that is there.
    let policy = Path::new("Cargo.toml");
    scenario::parse(text.to_owned(), file, policy, tested.exports())
}

/// It holds.
#[track_caller]
fn holds(tested: &Tested, text: &str) -> String {
    let outcome = played(tested, text);
    assert!(outcome.held, "{}", outcome.text);
    outcome.text
}

/// It does not, and the line about it says so.
#[track_caller]
fn breaks(tested: &Tested, text: &str, due: &str) {
    let outcome = played(tested, text);
    assert!(!outcome.held, "{}", outcome.text);
    assert!(outcome.text.contains(due), "{due:?} in {}", outcome.text);
}
