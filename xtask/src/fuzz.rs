//! `cargo xtask fuzz`: random bytes for whatever reads those of clients, members and operators.
//!
//! The engine is libFuzzer, linked into each target by `libfuzzer-sys`; the compiler's own coverage
//! instrumentation guides it, so the toolchain that builds the gateway serves. Inputs that are kept
//! lie in `fuzz/corpus`, what a run finds beyond them in the target folder.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{steps::short, workspace};

/// As libFuzzer wants it: counters for edges, a table of them, and the operands of comparisons.
const INSTRUMENTATION: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Bytes of one input: some heads, or a short configuration.
const LONGEST: u32 = 4096;
/// Seconds for one input, on a busy machine.
const SLOWEST: u32 = 10;
/// Megabytes of one target: none keeps what it is given.
const LARGEST: u32 = 1024;
/// Lines of a failed target's output that are shown.
const SHOWN: usize = 30;

/// What, and for how long.
#[derive(Debug, Args)]
pub struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Give one target this file once, as a failed run tells to
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "keep"])]
    input: Option<PathBuf>,
    /// Add to fuzz/corpus the fewest found inputs that reach what those in it do not
    #[arg(long)]
    keep: bool,
    /// Of fuzz/targets; all where none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Builds the targets, runs one after another and fails after the last if any failed.
pub fn run(options: &Options) -> Result<()> {
    let places = Places::find()?;
    let targets = chosen(&options.targets, &places.targets()?)?;
    if options.input.is_some() && targets.len() != 1 {
        bail!("name the one target that --input is for");
    }
    places.build(&targets)?;
    if let Some(input) = &options.input {
        return places.repeat(&targets[0], input);
    }
    let mut failed = Vec::new();
    for target in &targets {
        if let Err(error) = places.fuzz(target, options.seconds) {
            println!("{target}: FAILED\n{error:#}\n");
            failed.push(target.as_str());
            continue;
        }
        if options.keep {
            places.keep(target)?;
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("failed: {} (see above)", failed.join(", ")),
    }
}

/// Whether the targets compile, so that `cargo xtask test` finds out what changes of the host's sources leave behind.
/// No engine is built, so it needs no C++.
pub fn check() -> Result<()> {
    let fuzz = workspace::root().join("fuzz");
    checked(&fuzz, &workspace::target()?.join("fuzz-check"))
}

fn checked(fuzz: &Path, out: &Path) -> Result<()> {
    let manifest = fuzz.join("Cargo.toml");
    let mut cargo = workspace::cargo(&["check", "--bins", "--locked", "--manifest-path"]);
    cargo.arg(&manifest).arg("--target-dir").arg(out);
    // Where it is told of an engine, `libfuzzer-sys` compiles none. Nothing is linked, so any file will do that stays
    // as it is.
    cargo.env("CUSTOM_LIBFUZZER_PATH", &manifest);
    let status = cargo.status().context("cannot run cargo")?;
    if !status.success() {
        bail!(
            "the fuzz targets do not compile ({status}), see cargo's messages above. They contain sources of host/: \
             where those use a crate or a module that is missing, fuzz/Cargo.toml or fuzz/src/lib.rs wants it too; where \
             fuzz/Cargo.lock is out of date, `cargo check --manifest-path fuzz/Cargo.toml` without --locked brings it up \
             to date"
        );
    }
    Ok(())
}

/// The targets asked for, in the order of `known`.
fn chosen(asked: &[String], known: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no target `{unknown}`; there are {}",
            known.join(", ")
        );
    }
    let wanted = |name: &&String| asked.is_empty() || asked.contains(name);
    Ok(known.iter().filter(wanted).cloned().collect())
}

struct Places {
    /// Of sources and kept inputs.
    fuzz: PathBuf,
    /// Of everything that is made.
    out: PathBuf,
    /// The machine's own triple. Named to cargo, it keeps build scripts from being instrumented.
    host: String,
}

impl Places {
    fn find() -> Result<Self> {
        let told = Command::new("rustc")
            .arg("-vV")
            .output()
            .context("cannot run rustc; https://rustup.rs installs it")?;
        let told = String::from_utf8_lossy(&told.stdout);
        let host = told.lines().find_map(|line| line.strip_prefix("host: "));
        Ok(Self {
            fuzz: workspace::root().join("fuzz"),
            out: workspace::target()?.join("fuzz"),
            host: host.context("rustc does not name its host")?.to_owned(),
        })
    }

    fn targets(&self) -> Result<Vec<String>> {
        let folder = self.fuzz.join("targets");
        let mut names = Vec::new();
        for entry in
            fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?
        {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(
                    path.file_stem()
                        .map(|name| name.to_string_lossy().into_owned()),
                );
            }
        }
        names.sort();
        Ok(names)
    }

    fn build(&self, targets: &[String]) -> Result<()> {
        need_compiler()?;
        let mut cargo = workspace::cargo(&["build", "--manifest-path", "fuzz/Cargo.toml"]);
        cargo.args(["--target", &self.host, "--target-dir"]);
        cargo.arg(&self.out);
        targets.iter().for_each(|target| {
            cargo.args(["--bin", target]);
        });
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.env(
            "RUSTFLAGS",
            [&INSTRUMENTATION[..], &["--cfg", "fuzzing"]]
                .concat()
                .join(" "),
        );
        let status = cargo.status().context("cannot run cargo")?;
        if !status.success() {
            bail!(
                "the targets were not built ({status}), see cargo's messages above; where a crate is \
                 missing that host/ got lately, fuzz/Cargo.toml wants it too"
            );
        }
        Ok(())
    }

    fn program(&self, target: &str) -> PathBuf {
        self.out.join(&self.host).join("debug").join(target)
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(self.program(target));
        command.stdin(Stdio::null());
        command.args([
            format!("-max_len={LONGEST}"),
            format!("-timeout={SLOWEST}"),
            format!("-rss_limit_mb={LARGEST}"),
        ]);
        command
    }

    /// The folder of that kind for a target, which is there afterwards.
    fn folder(&self, kind: &str, target: &str) -> Result<PathBuf> {
        let path = self.out.join(kind).join(target);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    fn kept(&self, target: &str) -> Result<PathBuf> {
        let path = self.fuzz.join("corpus").join(target);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    fn fuzz(&self, target: &str, seconds: u32) -> Result<()> {
        let log = self.out.join(format!("{target}.log"));
        let artifacts = self.folder("artifacts", target)?;
        let (found, kept) = (self.folder("found", target)?, self.kept(target)?);
        let began = Instant::now();
        let status = self
            .command(target)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg("-print_final_stats=1")
            // What is found goes to the first.
            .args([&found, &kept])
            .stdout(Stdio::null())
            .stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?)
            .status()
            .with_context(|| format!("cannot run {target}"))?;
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        if status.success() {
            println!("{target}: {} in {}", summary(&text), short(began.elapsed()));
            return Ok(());
        }
        let repeat = match artifact(&text) {
            Some(path) => format!(
                "the input: {path}\nto repeat: cargo xtask fuzz {target} --input {path}\nonce it is \
                 understood and put right, copy it to {} under a name that says what it is",
                kept.display()
            ),
            None => format!("it ended with {status} and left no input"),
        };
        bail!(
            "{}\n...\n{repeat}\nall it said: {}",
            end(&text),
            log.display()
        )
    }

    fn repeat(&self, target: &str, input: &Path) -> Result<()> {
        let input = fs::canonicalize(input)
            .with_context(|| format!("cannot find the input {}", input.display()))?;
        let status = self.command(target).arg(&input).status()?;
        if !status.success() {
            bail!("{target} fails on {} ({status})", input.display());
        }
        println!("{target} has nothing against {}", input.display());
        Ok(())
    }

    fn keep(&self, target: &str) -> Result<()> {
        let (found, kept) = (self.folder("found", target)?, self.kept(target)?);
        let before = fs::read_dir(&kept)?.count();
        let output = self
            .command(target)
            // Edges alone: how often each is passed would make hundreds of them.
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .args([&kept, &found])
            .output()?;
        if !output.status.success() {
            bail!(
                "{target}: what was found could not be merged:\n{}",
                end(&String::from_utf8_lossy(&output.stderr))
            );
        }
        let now = fs::read_dir(&kept)?.count();
        println!(
            "{target}: {} inputs more in {}",
            now.saturating_sub(before),
            kept.display()
        );
        Ok(())
    }
}

/// libFuzzer is C++, compiled by the build script of `libfuzzer-sys`.
fn need_compiler() -> Result<()> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let found = Command::new(&compiler)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => bail!(
            "the fuzzing engine is C++ and there is no `{compiler}`: install one (on Debian: apt-get \
             install g++), or name one in CXX"
        ),
    }
}

/// libFuzzer's last figures.
fn summary(log: &str) -> String {
    let stat = |name: &str| {
        let of = |line: &str| {
            line.strip_prefix("stat::")?
                .strip_prefix(name)?
                .strip_prefix(':')
                .map(str::trim)
                .map(str::to_owned)
        };
        log.lines().find_map(of).unwrap_or_else(|| "?".to_owned())
    };
    let word = |name: &str| {
        let last = log
            .lines()
            .rev()
            .find(|line| line.starts_with('#') && line.contains(name));
        let after = last.and_then(|line| line.split_once(name));
        after
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .unwrap_or("?")
            .to_owned()
    };
    format!(
        "{} inputs tried, {} edges reached, {} inputs found",
        stat("number_of_executed_units"),
        word("cov: "),
        stat("new_units_added")
    )
}

/// Where libFuzzer wrote the input it fell over.
fn artifact(log: &str) -> Option<&str> {
    log.lines().find_map(|line| {
        let (_, path) = line.split_once("Test unit written to ")?;
        Some(path.trim())
    })
}

/// What matters of a failure: the lines from the panic on, or the last ones.
fn end(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    let from = lines
        .iter()
        .position(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"))
        .unwrap_or(lines.len().saturating_sub(SHOWN));
    let shown: Vec<_> = lines[from..].iter().take(SHOWN).copied().collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_declared_and_has_inputs_to_begin_with() {
        let fuzz = workspace::root().join("fuzz");
        let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let places = Places {
            fuzz: fuzz.clone(),
            out: PathBuf::new(),
            host: String::new(),
        };
        let targets = places.targets().unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            let path = format!("path = \"targets/{target}.rs\"");
            assert!(
                manifest.contains(&path),
                "{target} is not in fuzz/Cargo.toml"
            );
            let inputs = fs::read_dir(fuzz.join("corpus").join(&target)).map(Iterator::count);
            assert!(
                inputs.is_ok_and(|count| count > 0),
                "{target} has no corpus"
            );
        }
    }

    #[test]
    fn a_target_that_does_not_compile_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("targets")).unwrap();
        let manifest = "[package]\nname = \"a\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
                        [[bin]]\nname = \"one\"\npath = \"targets/one.rs\"\n";
        fs::write(at("Cargo.toml"), manifest).unwrap();
        let target = at("targets/one.rs");
        fs::write(&target, "fn main() {}\n").unwrap();
        let check = || checked(folder.path(), &at("out"));
        assert!(check().is_err(), "there is no lock file");
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\n";
        fs::write(at("Cargo.lock"), lock).unwrap();
        check().unwrap();
        fs::write(&target, "fn main() { missing::crate_of_the_host(); }\n").unwrap();
        let error = check().unwrap_err().to_string();
        assert!(error.contains("fuzz/Cargo.toml"), "{error}");
    }

    #[test]
    fn targets_are_all_or_those_named() {
        let known = ["a", "b", "c"].map(str::to_owned);
        let asked = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            chosen(&names, &known)
        };
        assert_eq!(asked(&[]).unwrap(), known);
        assert_eq!(asked(&["c", "a"]).unwrap(), ["a", "c"]);
        let error = asked(&["d"]).unwrap_err().to_string();
        assert_eq!(error, "there is no target `d`; there are a, b, c");
    }

    #[test]
    fn figures_and_finds_are_read_from_the_engines_log() {
        let log = "INFO: seed\n#2\tINITED cov: 40 ft: 41 corp: 1/1b\n#97\tDONE   cov: 55 ft: 60 corp: 9/1Kb\n\
                   stat::number_of_executed_units: 97\nstat::new_units_added:          7\n";
        assert_eq!(
            summary(log),
            "97 inputs tried, 55 edges reached, 7 inputs found"
        );
        let log = "x\nthread '<unnamed>' panicked at src/a.rs:1:\nwhy\n==1== ERROR: libFuzzer: deadly signal\n\
                   artifact_prefix='/t/'; Test unit written to /t/crash-1\n";
        assert_eq!(artifact(log), Some("/t/crash-1"));
        assert!(end(log).starts_with("thread"), "{}", end(log));
    }
}
