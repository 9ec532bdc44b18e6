//! The gateway as a child process.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

/// Compiling the five built-in policies for the first time takes a few seconds in an unoptimised build.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Draining waits for requests in flight, of which there are none by then.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running gateway. Dropping it ends it.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where clients are accepted.
    pub address: SocketAddr,
    /// Its admin endpoint, where it has one on TCP.
    pub admin: Option<SocketAddr>,
    /// What it wrote to standard error.
    pub log: PathBuf,
    /// Copies it there, to the last line.
    copied: Option<JoinHandle<()>>,
}

impl Gateway {
    /// Starts `program` in the folder of `config` and waits for its ready line.
    pub fn start(
        program: &Path,
        config: &Path,
        workers: Option<usize>,
        cores: &[usize],
    ) -> Result<Self> {
        let folder = config.parent().unwrap_or(Path::new("."));
        let log = folder.join("gateway.log");
        let mut command = Command::new(program);
        command.arg("run").arg("-c").arg(config).current_dir(folder);
        if let Some(workers) = workers {
            command.args(["--workers", &workers.to_string()]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        tie(&mut command, cores);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let followed = child
            .stderr
            .take()
            .map(|stderr| follow(BufReader::new(stderr), &log))
            .transpose()?;
        let (ready, copied) = followed.unzip();
        let mut gateway = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: None,
            log,
            copied,
        };
        let line = ready.and_then(|ready| ready.recv_timeout(START_LIMIT).ok());
        let Some(address) = line
            .as_deref()
            .and_then(|line| first(line, "listening on "))
        else {
            // Its log tells more than how it ends now.
            let _ = gateway.child.kill().and_then(|()| gateway.child.wait());
            gateway.wait_for_log();
            let said = std::fs::read(&gateway.log).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            bail!("the gateway did not become ready; it said:\n{said}");
        };
        gateway.address = address;
        gateway.admin = line.as_deref().and_then(|line| first(line, "admin on "));
        Ok(gateway)
    }

    /// Of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Drains it: whether it left within the limit and with status 0.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    /// Likewise; its log is whole then. One that had ended before is an error that says how.
    pub fn end(&mut self) -> Result<()> {
        let ended = match self.child.try_wait()? {
            Some(status) => Err(anyhow!("it had ended before, with {status}")),
            None => terminate(&mut self.child, STOP_LIMIT),
        };
        self.wait_for_log();
        ended
    }

    /// To its end, which is that of the process.
    fn wait_for_log(&mut self) {
        if let Some(copied) = self.copied.take() {
            // One that panicked has copied what it could.
            let _ = copied.join();
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.is_alive() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Ends the child with us however we end, leaves Ctrl-C to us, and keeps it on these cores where there are any.
pub fn tie(command: &mut Command, cores: &[usize]) {
    let cores = cores.to_vec();
    // A group of its own: Ctrl-C reaches us alone, and we end it in order.
    command.process_group(0);
    // SAFETY: between fork and exec only two system calls are made and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            crate::load::pin(&cores)
        });
    }
}

/// SIGTERM, then SIGKILL for who does not go within `limit`, which is an error.
pub fn terminate(child: &mut Child, limit: Duration) -> Result<()> {
    // SAFETY: the child has not been waited for, so its number is still its own.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("it ended with {status}");
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            bail!("it did not end within {} s of SIGTERM", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Copies lines to `log` for as long as they come; sends the one that says it is ready.
fn follow(
    from: impl BufRead + Send + 'static,
    log: &Path,
) -> Result<(mpsc::Receiver<String>, JoinHandle<()>)> {
    let mut log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let (send, receive) = mpsc::channel();
    let copied = thread::spawn(move || {
        use std::io::Write;
        for line in from.lines().map_while(Result::ok) {
            let _ = writeln!(log, "{line}");
            if line.contains("switchyard ready:") {
                let _ = send.send(line);
            }
        }
    });
    Ok((receive, copied))
}

/// The first address of the ready line behind these words.
fn first(line: &str, words: &str) -> Option<SocketAddr> {
    let rest = line.split_once(words)?.1;
    rest.split([',', ';', ' ']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_the_ready_line_counts() {
        let at = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        for (line, admin) in [
            (
                "switchyard ready: listening on 127.0.0.1:41234, 127.0.0.1:41235; admin on 127.0.0.1:41236",
                at(41236),
            ),
            (
                "switchyard ready: listening on 127.0.0.1:41234; admin on unix:/run/admin.sock",
                None,
            ),
            ("switchyard ready: listening on 127.0.0.1:41234", None),
        ] {
            assert_eq!(first(line, "listening on "), at(41234), "{line}");
            assert_eq!(first(line, "admin on "), admin, "{line}");
        }
        assert_eq!(first("switchyard ready", "listening on "), None);
    }

    #[test]
    fn a_program_that_gives_up_is_an_error_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("gives-up");
        std::fs::write(&program, "#!/bin/sh\necho 'no such config' >&2\nexit 64\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let error = Gateway::start(&program, &folder.path().join("x.toml"), None, &[]).unwrap_err();
        assert!(error.to_string().contains("no such config"), "{error}");
    }

    #[test]
    fn the_log_of_one_that_was_ended_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("serves");
        // Its last words come after the signal.
        let script = "#!/bin/sh\ntrap 'echo farewell >&2; exit 0' TERM\n\
            echo 'switchyard ready: listening on 127.0.0.1:1' >&2\nwhile :; do sleep 0.01; done\n";
        std::fs::write(&program, script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let mut gateway =
            Gateway::start(&program, &folder.path().join("x.toml"), None, &[]).unwrap();
        gateway.end().unwrap();
        let said = std::fs::read_to_string(&gateway.log).unwrap();
        assert!(said.ends_with("farewell\n"), "{said}");
        let again = gateway.end().unwrap_err().to_string();
        assert!(again.starts_with("it had ended before"), "{again}");
    }
}
