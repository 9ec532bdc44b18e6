//! `cargo xtask guests`: policies and examples as components.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use switchyard_guest_build::{Guest, Order, Permission, Toolchain, componentize, target_dir};

use crate::workspace;

/// Package whose examples are guests.
const SDK: &str = "switchyard-policy";

/// What to build and where to put it.
#[derive(Debug, Args)]
pub struct Options {
    /// Folder for the components
    #[arg(long, value_name = "DIR", default_value = "target/policies")]
    out: PathBuf,
}

/// Builds all of them.
pub fn run(options: &Options) -> Result<()> {
    let toolchain = find()?;
    for (name, path, size) in components(&toolchain, &options.out)? {
        println!(
            "{name:<24} {:>6.1} KiB  {}",
            size as f64 / 1024.0,
            path.display()
        );
    }
    Ok(())
}

/// A toolchain, installed where it is missing.
pub fn find() -> Result<Toolchain> {
    let toolchain = Toolchain::find(Permission::Install)?;
    println!("Guests are built with {toolchain}");
    Ok(toolchain)
}

/// Writes every guest to `<out>/<name>.wasm`: name, path and size in bytes of each.
pub fn components(toolchain: &Toolchain, out: &Path) -> Result<Vec<(String, PathBuf, usize)>> {
    let order = Order {
        workspace: workspace::root(),
        target_dir: target_dir(&std::env::current_exe()?),
        packages: policies()?,
        examples_of: examples().then(|| SDK.to_owned()).into_iter().collect(),
    };
    fs::create_dir_all(out).with_context(|| format!("cannot make the folder {}", out.display()))?;
    toolchain
        .build(&order)?
        .into_iter()
        .map(|guest| write(&guest, out))
        .collect()
}

fn write(guest: &Guest, out: &Path) -> Result<(String, PathBuf, usize)> {
    let name = guest
        .name
        .strip_prefix("policy-")
        .unwrap_or(&guest.name)
        .to_owned();
    let core = fs::read(&guest.module)
        .with_context(|| format!("cannot read {}", guest.module.display()))?;
    let component = componentize(&core).with_context(|| format!("guest `{name}`"))?;
    let path = out.join(&name).with_extension("wasm");
    fs::write(&path, &component).with_context(|| format!("cannot write {}", path.display()))?;
    Ok((name, path, component.len()))
}

/// Every folder of `policies` is a package of a built-in policy.
fn policies() -> Result<Vec<String>> {
    let folder = workspace::root().join("policies");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(format!("policy-{}", entry.file_name().to_string_lossy()));
        }
    }
    names.sort();
    Ok(names)
}

/// Whether the SDK has any: cargo refuses to build none.
fn examples() -> bool {
    fs::read_dir(workspace::root().join("guest-sdk/examples"))
        .is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_policies_are_found() {
        let found = policies().unwrap();
        for name in [
            "bybusyness",
            "byrequests",
            "bytraffic",
            "jsessionid",
            "reverse",
        ] {
            assert!(
                found.contains(&format!("policy-{name}")),
                "{name} in {found:?}"
            );
        }
    }
}
