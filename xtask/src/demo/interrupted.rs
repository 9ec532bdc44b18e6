//! The demo as its user ends it: with Ctrl-C.

use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The line after which there is a gateway to put away.
const BEGUN: &str = "The gateway runs";
/// What it says when it is done.
const DONE: &str = "In all";

/// Runs the demo, sends SIGINT while it shows, and expects it to end in order.
pub fn interrupted() -> Result<()> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    let mut demo = Command::new(own)
        .arg("demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("cannot start the demo")?;
    let output = demo.stdout.take().context("its output was asked for")?;
    let (mut begun, mut done) = (false, false);
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read the demo's output")?;
        println!("    {line}");
        if !begun && line.contains(BEGUN) {
            begun = true;
            // As a terminal does: to the whole group, the gateway included.
            // SAFETY: the child has not been waited for, so its number is still its own.
            unsafe { libc::kill(-demo.id().cast_signed(), libc::SIGINT) };
        }
        done |= line.contains(DONE);
    }
    let status = demo.wait()?;
    if !(status.success() && begun && done) {
        bail!("the demo ended with {status} after Ctrl-C (begun: {begun}, done: {done})");
    }
    Ok(())
}
