//! `cargo xtask test`: everything that must hold before a change is taken.

use std::process::{Command, Stdio};

use anyhow::Result;
use clap::Args;

use crate::{demo, fuzz, guests, polyglot, soak, steps::Steps, workspace};

/// How much of it.
#[derive(Debug, Args)]
pub struct Options {
    /// Leave out lints, the fuzz targets, doc tests, the demo, the soak and the end-to-end suite
    #[arg(long)]
    quick: bool,
    /// Install the toolchains of examples/polyglot, so that no test is skipped for want of one
    #[arg(long, conflicts_with = "quick")]
    all: bool,
}

/// Runs the steps, the quickest to fail first and the test runner last, so that its own
/// summary stands right above ours.
pub fn run(options: &Options) -> Result<()> {
    let nextest = has_nextest();
    let out = workspace::target()?.join("policies");
    let mut steps = Steps::default();

    steps.command("Format", workspace::cargo(&["fmt", "--all", "--check"]));
    // Packages that are no members, so that nobody builds what he does not need.
    for manifest in ["fuzz/Cargo.toml", "xtask/peers/pingora/Cargo.toml"] {
        steps.command(
            &format!("Format of {manifest}"),
            workspace::cargo(&["fmt", "--manifest-path", manifest, "--check"]),
        );
    }
    steps.step(
        "Guests: the built-in policies and the SDK's examples",
        || {
            let toolchain = guests::find()?;
            let built = guests::components(&toolchain, &out)?;
            println!("{} components in {}", built.len(), out.display());
            Ok(())
        },
    );
    if options.all {
        steps.step(
            "Toolchains for C, JavaScript and Python",
            polyglot::toolchains,
        );
    }
    if !options.quick {
        let lints = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        steps.command("Lints", workspace::cargo(&lints));
        steps.step("Fuzz targets compile", fuzz::check);
    }
    // What the runner would build, with the same features: `cargo build` leaves out those that only
    // tests ask for, so everything that depends on them would be compiled twice.
    let mut build = runner(nextest, options.quick);
    build.arg("--no-run");
    steps.command("Build", build);
    if !options.quick {
        steps.command(
            "Doc tests",
            workspace::cargo(&["test", "--workspace", "--doc", "--exclude", "switchyard"]),
        );
        steps.step("The demo, once through", || {
            demo::run(&demo::Options::once())
        });
        steps.step("The demo, ended by Ctrl-C", demo::interrupted);
        steps.step("The soak, shortened", || {
            soak::run(&soak::Options::short())?;
            soak::run(&soak::Options::few_reloads())
        });
    }
    let title = if options.quick {
        "Unit and property tests"
    } else {
        "Unit, property and end-to-end tests"
    };
    let mut tests = runner(nextest, options.quick);
    if options.all {
        // Makes a failure of what would be skipped.
        tests.env("SWITCHYARD_TEST_ALL", "1");
    }
    steps.command(title, tests);

    println!("{}", steps.run()?);
    if !nextest {
        println!(
            "(with cargo's own test runner; cargo-nextest is quicker and is used where it is installed)"
        );
    }
    Ok(())
}

fn runner(nextest: bool, quick: bool) -> Command {
    let mut arguments = if nextest {
        vec!["nextest", "run", "--workspace"]
    } else {
        vec!["test", "--workspace", "--lib", "--bins", "--tests"]
    };
    if quick {
        arguments.extend(["--exclude", "switchyard-tests"]);
    }
    workspace::cargo(&arguments)
}

fn has_nextest() -> bool {
    let mut asked = workspace::cargo(&["nextest", "--version"]);
    asked
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<&str> {
        command
            .get_args()
            .filter_map(|word| word.to_str())
            .collect()
    }

    #[test]
    fn cargos_own_runner_serves_where_nextest_is_missing() {
        assert_eq!(
            words(&runner(false, false)),
            ["test", "--workspace", "--lib", "--bins", "--tests"]
        );
        assert_eq!(
            words(&runner(true, false)),
            ["nextest", "run", "--workspace"]
        );
    }

    #[test]
    fn quick_leaves_out_the_end_to_end_suite() {
        assert!(words(&runner(true, true)).ends_with(&["--exclude", "switchyard-tests"]));
    }
}
