//! `cargo xtask toolchains` and `cargo xtask bindings`: what examples/polyglot is built with.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use switchyard_guest_build::c_bindings;

use crate::workspace;

/// Debian's packages for C: the compiler, its linker, and a C library for wasm.
const PACKAGES: [&str; 3] = ["clang", "lld", "wasi-libc"];

/// Which bindings, and where to.
#[derive(Debug, Args)]
pub struct Bindings {
    /// Folder for the three files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// World of wit/policy.wit
    #[arg(long, default_value = "balancer-policy")]
    world: String,
}

/// Writes the C bindings of a world.
pub fn bindings(options: &Bindings) -> Result<()> {
    let wit = workspace::root().join("wit");
    c_bindings(&wit, &options.world, &options.out)?;
    println!("{} for C in {}", options.world, options.out.display());
    Ok(())
}

/// Installs what is missing: C by apt, JavaScript and Python into `target/toolchains`.
pub fn toolchains() -> Result<()> {
    let examples = workspace::root().join("examples/polyglot");
    let folder = workspace::target()?.join("toolchains");
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    c()?;
    javascript(&examples.join("js"), &folder.join("js"))?;
    python(&examples.join("python"), &folder.join("python"))?;
    println!("Toolchains for C, JavaScript and Python are there");
    Ok(())
}

fn c() -> Result<()> {
    let header = Path::new("/usr/include/wasm32-wasi/stdlib.h");
    if is_on_path("clang") && is_on_path("wasm-ld") && header.is_file() {
        return Ok(());
    }
    let mut apt = Command::new("apt-get");
    apt.args([
        "-o",
        "DPkg::Lock::Timeout=120",
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
    ]);
    apt.args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive");
    run(
        &mut apt,
        "C policies need Debian's clang, lld and wasi-libc; only root may install them",
    )
}

/// The package that the example names, in the version that it names.
fn javascript(example: &Path, folder: &Path) -> Result<()> {
    let manifest = fs::read_to_string(example.join("package.json"))
        .context("cannot read the JavaScript example's package.json")?;
    let installed = folder.join("package.json");
    if fs::read_to_string(&installed).is_ok_and(|text| text == manifest)
        && folder.join("node_modules/.bin/componentize-qjs").exists()
    {
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(&installed, manifest)
        .with_context(|| format!("cannot write {}", installed.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(folder);
    run(&mut npm, "JavaScript policies need Node.js with npm")
}

fn python(example: &Path, folder: &Path) -> Result<()> {
    let wanted = example.join("requirements.txt");
    let stamp = folder.join("requirements.txt");
    let list =
        fs::read_to_string(&wanted).context("cannot read the Python example's requirements.txt")?;
    if fs::read_to_string(&stamp).is_ok_and(|text| text == list)
        && folder.join("bin/componentize-py").exists()
    {
        return Ok(());
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(folder);
    run(
        &mut venv,
        "Python policies need Python 3 with its module venv",
    )?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&wanted);
    run(&mut pip, "Python policies need componentize-py from PyPI")?;
    // Last, so that half an installation is done again.
    fs::write(&stamp, list).with_context(|| format!("cannot write {}", stamp.display()))
}

fn run(command: &mut Command, needs: &str) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot run `{shown}`: {needs}"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status}): {needs}");
    }
    Ok(())
}

fn is_on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
