//! Running other programs with a deadline and without our surroundings.

use std::{
    ffi::OsStr,
    io,
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// 50 ms: short against anything that is waited for here, long against the cost of a look.
const POLL: Duration = Duration::from_millis(50);

/// Waits for `child`, and ends it where it takes longer than `limit`: `None` then.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Removes from the command's surroundings whatever steers the cargo that started us.
///
/// A build script inherits the outer build's flags, its target folder (whose lock the
/// outer cargo holds) and wrappers such as clippy's, none of which fit a guest.
pub(crate) fn detach(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if steers_a_build(&name) {
            command.env_remove(name);
        }
    }
}

fn steers_a_build(name: &OsStr) -> bool {
    // What is about the machine rather than about one build stays: where the registry
    // is, how to reach it, how to talk to the terminal, and the job server that keeps
    // both cargos within the same number of jobs.
    const KEPT: [&str; 8] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_TERM_",
        "CARGO_SOURCE_",
        "CARGO_REGISTRY_",
        "CARGO_REGISTRIES_",
    ];
    const DROPPED: [&str; 11] = [
        "CARGO",
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_BOOTSTRAP",
        "RUSTC_LINKER",
        "CLIPPY_ARGS",
        "OUT_DIR",
        "TARGET",
    ];
    let Some(name) = name.to_str() else {
        return false;
    };
    DROPPED.contains(&name)
        || name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_build_is_dropped_and_the_machine_stays() {
        for (name, dropped) in [
            ("RUSTFLAGS", true),
            ("CARGO_ENCODED_RUSTFLAGS", true),
            ("CARGO_TARGET_DIR", true),
            ("CARGO_BUILD_TARGET", true),
            ("CARGO_PROFILE_RELEASE_LTO", true),
            ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", true),
            ("RUSTC_WORKSPACE_WRAPPER", true),
            ("RUSTC_WRAPPER", true),
            ("CARGO_PKG_NAME", true),
            ("CARGO_HOME", false),
            ("CARGO_NET_OFFLINE", false),
            ("CARGO_REGISTRIES_MINE_INDEX", false),
            ("CARGO_MAKEFLAGS", false),
            ("CARGO_TERM_COLOR", false),
            ("RUSTUP_TOOLCHAIN", false),
            ("RUSTUP_HOME", false),
            ("PATH", false),
            ("HOME", false),
        ] {
            assert_eq!(steers_a_build(OsStr::new(name)), dropped, "{name}");
        }
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let started = Instant::now();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(
            wait(&mut child, Duration::from_millis(10))
                .unwrap()
                .is_none()
        );
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(
            child.try_wait().unwrap().is_some(),
            "no process is left behind"
        );
    }

    #[test]
    fn the_status_of_a_command_in_time_is_its_own() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let status = wait(&mut child, Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
