//! Finding a compiler whose target is `wasm32-unknown-unknown`.
//!
//! Three ways, in order: the active toolchain has the target's standard library;
//! rustup adds it; Debian's packages for building browsers bring a compiler and the
//! library's source, from which cargo builds it. The second and third may change the
//! machine, so they do nothing new unless the caller permits it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{TARGET, command, machine::Machine};

/// 3 minutes: the component is 20 MB, and a mirror that is slower is not coming back.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);
/// 10 minutes: the packages are 200 MB with what they need.
const APT_LIMIT: Duration = Duration::from_secs(600);
const PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld-22"];
/// The oldest compiler that reads this workspace's sources (`rust-version`).
const OLDEST_MINOR: u32 = 95;

/// What the search may do to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Take what is there.
    LookOnly,
    /// Add rustup's target, or install Debian's packages as root.
    Install,
}

/// A compiler that makes wasm modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    route: Route,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Route {
    Active { rustc: PathBuf },
    Debian { rustc: PathBuf, linker: PathBuf },
}

/// No toolchain: what each of the three ways lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "guests cannot be built: no compiler for {TARGET} was found. Any one of these three is enough:\n  \
     1. the active Rust toolchain has the target: {active}\n  \
     2. `rustup target add {TARGET}`: {rustup}\n  \
     3. Debian's packages, `apt-get install {}`: {debian}",
    PACKAGES.join(" ")
)]
pub struct NotFound {
    /// What is wrong with the active toolchain.
    pub active: String,
    /// Why rustup did not help.
    pub rustup: String,
    /// Why Debian's packages did not help.
    pub debian: String,
}

impl Toolchain {
    /// Searches this machine. Takes minutes at most where it may install, else no time.
    pub fn find(permission: Permission) -> Result<Self, NotFound> {
        Self::find_on(&Machine::here(), permission)
    }

    fn find_on(machine: &Machine, permission: Permission) -> Result<Self, NotFound> {
        let active = match active(machine) {
            Ok(found) => return Ok(found),
            Err(reason) => reason,
        };
        let rustup = match rustup(machine, permission) {
            Ok(found) => return Ok(found),
            Err(reason) => reason,
        };
        let debian = match debian(machine, permission) {
            Ok(found) => return Ok(found),
            Err(reason) => reason,
        };
        Err(NotFound {
            active,
            rustup,
            debian,
        })
    }

    /// Adds the compiler, and what else this route needs, to a `cargo build`.
    pub(crate) fn equip(&self, cargo: &mut Command) {
        match &self.route {
            Route::Active { rustc } => {
                cargo.env("RUSTC", rustc);
            }
            Route::Debian { rustc, linker } => {
                // The variable lets a stable cargo and compiler use -Z, which building
                // the standard library needs.
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                cargo.arg("-Zbuild-std=std,panic_abort");
            }
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.route {
            Route::Active { rustc } => write!(f, "the active toolchain ({})", rustc.display()),
            Route::Debian { rustc, .. } => {
                write!(
                    f,
                    "Debian's {} with the standard library built from source",
                    rustc.display()
                )
            }
        }
    }
}

/// The first way. The error says what is missing.
fn active(machine: &Machine) -> Result<Toolchain, String> {
    let Some(rustc) = machine.tool(&machine.rustc) else {
        return Err(format!("there is no `{}` on PATH", machine.rustc.display()));
    };
    let asked = ["--print", "target-libdir", "--target", TARGET];
    let Some(library) = machine.ask(&rustc, &asked) else {
        return Err(format!("{} does not know the target", rustc.display()));
    };
    if !has_standard_library(Path::new(&library)) {
        return Err(format!(
            "{} has no standard library for it in {library}",
            rustc.display()
        ));
    }
    Ok(Toolchain {
        route: Route::Active { rustc },
    })
}

fn has_standard_library(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        })
    })
}

/// The second way.
fn rustup(machine: &Machine, permission: Permission) -> Result<Toolchain, String> {
    let Some(rustup) = machine.tool("rustup") else {
        return Err("there is no rustup".to_owned());
    };
    if permission == Permission::LookOnly {
        return Err("not done yet".to_owned());
    }
    eprintln!("Adding the target {TARGET} with rustup");
    let mut command = machine.command(&rustup);
    command.args(["target", "add", TARGET]);
    run(command, RUSTUP_LIMIT)?;
    active(machine).map_err(|reason| format!("it was done, yet {reason}"))
}

/// The third way.
fn debian(machine: &Machine, permission: Permission) -> Result<Toolchain, String> {
    let missing = match installed_debian(machine) {
        Ok(found) => return Ok(found),
        Err(missing) => missing,
    };
    if permission == Permission::LookOnly {
        return Err(missing);
    }
    let Some(apt) = machine.tool("apt-get") else {
        return Err("this is no Debian: there is no apt-get".to_owned());
    };
    if !machine.superuser {
        return Err(format!("{missing}, and only root may install packages"));
    }
    eprintln!("Installing Debian's packages {}", PACKAGES.join(", "));
    let install = || {
        let mut command = machine.command(&apt);
        // Waits for another apt-get rather than failing at once.
        command.args([
            "-o",
            "DPkg::Lock::Timeout=120",
            "install",
            "--yes",
            "--quiet",
            "--no-install-recommends",
        ]);
        command
            .args(PACKAGES)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(command, APT_LIMIT)
    };
    if install().is_err() {
        // A fresh machine has no package lists, an old one has stale ones.
        let mut update = machine.command(&apt);
        update.args(["--quiet", "update"]);
        run(update, APT_LIMIT)?;
        install()?;
    }
    installed_debian(machine).map_err(|reason| format!("they were installed, yet {reason}"))
}

/// The third way, where the packages are there. The error says which part is not.
fn installed_debian(machine: &Machine) -> Result<Toolchain, String> {
    let rustc = machine.file("usr/bin/rustc");
    let Some(rustc) = machine.tool(&rustc) else {
        return Err(format!("there is no {}", rustc.display()));
    };
    let version = machine.ask(&rustc, &["--version"]).unwrap_or_default();
    if minor_version(&version).is_none_or(|minor| minor < OLDEST_MINOR) {
        return Err(format!(
            "{} is `{version}`, and 1.{OLDEST_MINOR} is needed",
            rustc.display()
        ));
    }
    let Some(linker) = machine.tool("wasm-ld-22") else {
        return Err("there is no wasm-ld-22 on PATH".to_owned());
    };
    let source = machine.file("usr/lib/rustlib/src/rust/library/Cargo.lock");
    if !source.is_file() {
        return Err(format!("there is no {}", source.display()));
    }
    Ok(Toolchain {
        route: Route::Debian { rustc, linker },
    })
}

/// The `96` of `rustc 1.96.0 (…)`.
fn minor_version(text: &str) -> Option<u32> {
    text.strip_prefix("rustc 1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// Runs to the end, showing on standard error what the program says.
fn run(mut command: Command, limit: Duration) -> Result<(), String> {
    let shown = format!("`{}`", describe(&command));
    // Standard output may be read by a program (a build script's is, by cargo).
    command.stdout(Stdio::from(std::io::stderr()));
    let mut child = command
        .spawn()
        .map_err(|cause| format!("{shown} cannot be started: {cause}"))?;
    match command::wait(&mut child, limit) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("{shown} failed ({status})")),
        Ok(None) => Err(format!("{shown} was ended after {} s", limit.as_secs())),
        Err(cause) => Err(format!("{shown} cannot be waited for: {cause}")),
    }
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
#[path = "toolchain_tests.rs"]
mod tests;
