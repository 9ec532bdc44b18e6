//! Where things are, and how cargo is called.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The folder of the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    // Cargo sets the variable when it runs this program; the folder at compile time is
    // the next best answer.
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// The folder that all builds of this workspace write to.
pub fn target() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot tell where this program is")?;
    let guests = switchyard_guest_build::target_dir(&own);
    Ok(guests
        .parent()
        .map_or_else(|| root().join("target"), Path::to_owned))
}

/// A cargo in the workspace's folder that waits for nobody's input.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null());
    // Set by the `cargo run` that started us and about this package, not about what is built now.
    for (name, _) in env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
        {
            command.env_remove(name);
        }
    }
    command
}

/// How optimised the gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build.
    Dev,
    /// As it is used.
    Release,
}

/// Builds the gateway and says where its binary is.
pub fn gateway(profile: Profile) -> Result<PathBuf> {
    // Of the whole workspace: for the package alone cargo settles on fewer features of what its
    // macros depend on, and compiles wasmtime once more than the tests need.
    let mut cargo = cargo(&["build", "--workspace", "--bin", "switchyard"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let output = cargo
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!(
            "building the gateway failed ({}), see cargo's messages above",
            output.status
        );
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo built no binary named `switchyard`")
}

/// The binary that cargo's report names.
fn executable(report: &str) -> Option<PathBuf> {
    report.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let named = message["target"]["name"] == "switchyard";
        message["executable"]
            .as_str()
            .filter(|_| named)
            .map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_that_cargo_names() {
        let report = r#"{"reason":"compiler-artifact","target":{"name":"build-script-build"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"switchyard"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"switchyard"},"executable":"/t/debug/switchyard"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(report),
            Some(PathBuf::from("/t/debug/switchyard"))
        );
        assert_eq!(executable(""), None);
    }

    #[test]
    fn the_root_holds_the_contract() {
        assert!(root().join("wit/policy.wit").is_file());
    }
}
