//! `switchyard policy …`: what an author does with a policy before a gateway gets it.

mod bench;
mod build;
mod cache;
mod command;
mod inspect;
mod new;
mod order;
mod polyglot;
mod project;
mod replay;
mod spread;
mod test;
mod workload;

pub(super) use cache::users as users_cache;
pub use command::{PolicyCommand, policy};

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::simulator::Trouble;

/// `EX_SOFTWARE` of sysexits.h: this process could not do its work.
const INTERNAL: u8 = 70;

/// Says why nothing can be done, on standard error.
fn fail(trouble: &Trouble) -> ExitCode {
    let code = match trouble {
        Trouble::Input(_) => super::command::BAD_INPUT,
        Trouble::Internal(_) => INTERNAL,
    };
    // Where the terminal is gone there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{}", trouble.to_string().trim_end());
    ExitCode::from(code)
}
