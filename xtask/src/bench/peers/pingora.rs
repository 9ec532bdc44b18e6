//! Pingora, as the small balancer in `xtask/peers/pingora`, which is built when this peer is asked for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::Peer;
use crate::{
    bench::front::{ACCESS_LOG, Front, Site, free_address, launch},
    workspace,
};

/// The package's program.
const NAME: &str = "bench-pingora";

/// Where it is put.
pub fn program() -> Option<PathBuf> {
    Some(workspace::target().ok()?.join("bench/pingora").join(NAME))
}

/// Builds it from crates.io, with the versions that were looked at.
pub fn build() -> Result<()> {
    let program = program().context("there is no folder for what is built")?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let built = folder.join("target");
    // Its compression library is C and built by that.
    let cmake = Command::new("cmake").arg("--version").output();
    ensure!(
        cmake.is_ok(),
        "Pingora is built with cmake; to get it: apt-get install --no-install-recommends cmake"
    );
    println!("Building Pingora's balancer, which takes some minutes");
    let mut cargo = workspace::cargo(&["build", "--release", "--locked", "--target-dir"]);
    let status = cargo
        .arg(&built)
        .current_dir(workspace::root().join("xtask/peers/pingora"))
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "building Pingora's balancer failed ({status}), see cargo's messages above"
    );
    fs::copy(built.join("release").join(NAME), &program)
        .with_context(|| format!("cannot write {}", program.display()))?;
    // Some gigabyte that is of no more use.
    fs::remove_dir_all(&built)?;
    Ok(())
}

pub fn start(site: &Site, program: &Path) -> Result<Front> {
    let address = free_address()?;
    let mut command = Command::new(program);
    command
        .current_dir(&site.folder)
        .arg(address.to_string())
        .arg(site.workers.to_string())
        .arg(if site.access_log { ACCESS_LOG } else { "-" })
        .args(site.members.iter().map(ToString::to_string))
        .stdin(Stdio::null());
    launch(
        site,
        Peer::Pingora,
        command,
        address,
        &site.folder.join("error.log"),
    )
}
