//! `switchyard policy inspect FILE`: what a policy is, without running it for anybody.

use std::{path::Path, process::ExitCode};

use super::fail;
use crate::{cli::command::print, policy::Exports, simulator::Tested, wasm::Compiler};

/// Prints what a file says of itself.
pub fn inspect(file: &Path, _json: bool) -> ExitCode {
    match Tested::load(file, Compiler::default()) {
        Ok(tested) => print(&format!(
            "{}\n{} bytes, sha256 {}\n",
            kinds(tested.exports()).join(", "),
            tested.size(),
            tested.digest()
        )),
        Err(trouble) => fail(&trouble),
    }
}

/// The decisions that a policy makes.
fn kinds(exports: Exports) -> Vec<&'static str> {
    let all = [
        ("balancer", exports.balancer),
        ("affinity", exports.affinity),
        ("rewriter", exports.rewriter),
    ];
    all.into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name)
        .collect()
}
