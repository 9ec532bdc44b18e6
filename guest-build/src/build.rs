//! A cargo of its own that builds guests.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use serde_json::Value;

use crate::{TARGET, Toolchain, command};

/// How guests are optimised. Given on the command line, so that the workspace's own
/// release profile stays the host's. Names stay in the module, for backtraces.
const PROFILE: [&str; 6] = [
    "profile.release.opt-level=3",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic='abort'",
    "profile.release.strip='debuginfo'",
    "profile.release.debug=false",
];

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The folder of the workspace's Cargo.toml.
    pub workspace: PathBuf,
    /// See [`target_dir`].
    pub target_dir: PathBuf,
    /// Packages whose library is a guest.
    pub packages: Vec<String>,
    /// Packages whose examples are guests.
    pub examples_of: Vec<String>,
}

/// A guest as the compiler made it: a core module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The package's name, or the example's.
    pub name: String,
    /// The `.wasm` file.
    pub module: PathBuf,
}

/// Guests that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The nested cargo could not be run.
    #[error("cannot run `{cargo}` to build guests: {cause}")]
    Cargo {
        /// The program.
        cargo: String,
        /// Why.
        cause: io::Error,
    },
    /// The nested cargo said why on standard error.
    #[error(
        "building guests failed ({status}), see the compiler's messages above; to repeat it alone: {repeat}"
    )]
    Failed {
        /// Of cargo.
        status: ExitStatus,
        /// A command line.
        repeat: String,
    },
    /// Cargo succeeded and made no module.
    #[error(
        "package `{package}` makes no wasm module; its Cargo.toml needs crate-type = [\"cdylib\"]"
    )]
    NoModule {
        /// The package's name.
        package: String,
    },
}

/// Where guests are built: beside the outer build's profiles, so that all of them (and
/// `xtask`) share one, and apart from them, because the outer cargo holds their lock.
///
/// `inside` is any path in the outer target folder, such as `OUT_DIR`.
pub fn target_dir(inside: &Path) -> PathBuf {
    // Cargo leaves this tag at the top of a target folder.
    let tagged = inside
        .ancestors()
        .skip(1)
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    // <target>/<profile>/build/<package>-<hash>/out
    let target = tagged
        .or_else(|| inside.ancestors().nth(4))
        .unwrap_or(inside);
    target.join("guests")
}

impl Toolchain {
    /// Builds the ordered guests; compiles nothing where all are up to date.
    ///
    /// The compiler's messages go to standard error as they come.
    pub fn build(&self, order: &Order) -> Result<Vec<Guest>, BuildError> {
        let mut guests = Vec::new();
        if !order.packages.is_empty() {
            let what = select("--lib", &order.packages);
            guests.extend(
                self.cargo(order, &what)?
                    .into_iter()
                    .map(Artifact::named_by_package),
            );
        }
        if !order.examples_of.is_empty() {
            let what = select("--examples", &order.examples_of);
            guests.extend(
                self.cargo(order, &what)?
                    .into_iter()
                    .map(Artifact::named_by_target),
            );
        }
        for package in &order.packages {
            if !guests.iter().any(|guest| guest.name == *package) {
                return Err(BuildError::NoModule {
                    package: package.clone(),
                });
            }
        }
        Ok(guests)
    }

    fn cargo(&self, order: &Order, what: &[String]) -> Result<Vec<Artifact>, BuildError> {
        let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut cargo = Command::new(&program);
        command::detach(&mut cargo);
        cargo
            .current_dir(&order.workspace)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        cargo.args([
            "build",
            "--release",
            "--target",
            TARGET,
            "--message-format=json-render-diagnostics",
        ]);
        cargo.arg("--target-dir").arg(&order.target_dir).args(what);
        for setting in PROFILE {
            cargo.args(["--config", setting]);
        }
        // Paths of the registry would otherwise end up in panic messages, and with them
        // the builder's name in a guest's digest.
        if let Some(home) = cargo_home() {
            cargo.env("CARGO_ENCODED_RUSTFLAGS", remap(&home));
        }
        self.equip(&mut cargo);

        let failure = |cause| BuildError::Cargo {
            cargo: program.to_string_lossy().into_owned(),
            cause,
        };
        let output = cargo.stderr(Stdio::inherit()).output().map_err(failure)?;
        if !output.status.success() {
            return Err(BuildError::Failed {
                status: output.status,
                repeat: format!("cargo build --release --target {TARGET} {}", what.join(" ")),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(Artifact::read)
            .collect())
    }
}

fn select(kind: &str, packages: &[String]) -> Vec<String> {
    let packages = packages
        .iter()
        .flat_map(|package| ["--package".to_owned(), package.clone()]);
    packages.chain([kind.to_owned()]).collect()
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
}

fn remap(cargo_home: &Path) -> OsString {
    let mut flag = OsString::from("--remap-path-prefix=");
    flag.push(cargo_home);
    flag.push("=cargo");
    flag
}

/// A module that cargo reported.
#[derive(Debug, PartialEq, Eq)]
struct Artifact {
    package: String,
    target: String,
    module: PathBuf,
}

impl Artifact {
    /// One line of cargo's report; `None` for what is no module.
    fn read(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["reason"] != "compiler-artifact" {
            return None;
        }
        let files = message["filenames"].as_array()?;
        let module = files
            .iter()
            .filter_map(Value::as_str)
            .find(|file| file.ends_with(".wasm"))?;
        let target = message["target"]["name"].as_str()?;
        // `path+file:///…/policies/reverse#policy-reverse@0.1.0`, or `…/name#0.1.0`
        // where folder and package have one name.
        let id = message["package_id"].as_str()?;
        let (source, fragment) = id.rsplit_once('#')?;
        let package = match fragment.split_once('@') {
            Some((name, _)) => name,
            None => source.rsplit('/').next()?,
        };
        Some(Self {
            package: package.to_owned(),
            target: target.to_owned(),
            module: PathBuf::from(module),
        })
    }

    fn named_by_package(self) -> Guest {
        Guest {
            name: self.package,
            module: self.module,
        }
    }

    fn named_by_target(self) -> Guest {
        Guest {
            name: self.target,
            module: self.module,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_built_beside_the_profiles_of_the_outer_build() {
        let target = tempfile::tempdir().unwrap();
        let out = target
            .path()
            .join("x86_64-unknown-linux-gnu/debug/build/switchyard-0123/out");
        std::fs::create_dir_all(&out).unwrap();
        std::fs::write(target.path().join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(target_dir(&out), target.path().join("guests"));
    }

    #[test]
    fn without_a_tag_the_usual_depth_counts() {
        let out = Path::new("/nowhere/target/debug/build/switchyard-0123/out");
        assert_eq!(target_dir(out), Path::new("/nowhere/target/guests"));
    }

    #[test]
    fn reports_of_modules_are_read_and_others_passed_over() {
        let line = |id: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","target":{{"name":"policy_reverse"}},"filenames":["{file}"]}}"#
            )
        };
        let artifact = Artifact {
            package: "policy-reverse".to_owned(),
            target: "policy_reverse".to_owned(),
            module: "/t/policy_reverse.wasm".into(),
        };
        let named = line(
            "path+file:///w/policies/reverse#policy-reverse@0.1.0",
            "/t/policy_reverse.wasm",
        );
        assert_eq!(Artifact::read(&named), Some(artifact));
        let by_folder = line("path+file:///w/canary#0.1.0", "/t/canary.wasm");
        assert_eq!(Artifact::read(&by_folder).unwrap().package, "canary");
        assert_eq!(
            Artifact::read(&line("path+file:///w/sdk#0.1.0", "/t/libsdk.rlib")),
            None
        );
        assert_eq!(
            Artifact::read(r#"{"reason":"build-finished","success":true}"#),
            None
        );
        assert_eq!(Artifact::read("no json"), None);
    }

    #[test]
    fn a_package_without_a_module_says_what_it_lacks() {
        let error = BuildError::NoModule {
            package: "policy-x".to_owned(),
        };
        assert!(error.to_string().contains("crate-type"), "{error}");
    }
}
