//! Starting a gateway: its configuration, its folder, its process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{gateway::Gateway, log::Log, target, wait::DEADLINE};

/// How a gateway is to be started.
#[derive(Debug)]
pub struct Setup {
    top: String,
    admin: String,
    listeners: String,
    pub(crate) body: String,
    whole: Option<String>,
    arguments: Vec<String>,
    nofile: Option<u64>,
    link: Option<PathBuf>,
    patience: Duration,
    dir: TempDir,
}

impl Setup {
    /// With vhosts, balancers and the rest in `body`; one listener and the admin endpoint, both on free ports.
    pub fn new(body: impl Into<String>) -> Self {
        Self {
            top: String::new(),
            admin: "[admin]\nlisten = \"127.0.0.1:0\"\n".into(),
            listeners: "[[listener]]\nbind = \"127.0.0.1:0\"\n".into(),
            body: body.into(),
            whole: None,
            arguments: vec!["--workers".into(), "2".into()],
            nofile: None,
            link: None,
            patience: DEADLINE,
            dir: tempfile::Builder::new()
                .prefix("switchyard-e2e-")
                .tempdir()
                .unwrap(),
        }
    }

    /// Keys before the first table, such as `x_real_ip = true`.
    #[must_use]
    pub fn top(mut self, keys: &str) -> Self {
        self.top.push_str(keys);
        self.top.push('\n');
        self
    }

    /// Other `[[listener]]` tables.
    #[must_use]
    pub fn listeners(mut self, tables: &str) -> Self {
        self.listeners = tables.into();
        self
    }

    /// Another `[admin]` table.
    #[must_use]
    pub fn admin(mut self, table: &str) -> Self {
        self.admin = table.into();
        self
    }

    /// The whole configuration, nothing added.
    #[must_use]
    pub fn whole(mut self, text: &str) -> Self {
        self.whole = Some(text.into());
        self
    }

    /// Another body, for what refers to the folder.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// Other arguments after `run -c FILE`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
        self
    }

    /// At most so many file descriptors.
    #[must_use]
    pub fn descriptors(mut self, limit: u64) -> Self {
        self.nofile = Some(limit);
        self
    }

    /// Time for a policy that takes a compiler half a minute, on two busy cores.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patience = Duration::from_secs(240);
        self
    }

    /// A file in the configuration's folder.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        write(self.dir.path(), path, bytes.as_ref());
        self
    }

    /// Makes the configuration's file a symbolic link to this file of the folder.
    #[must_use]
    pub fn linked(mut self, to: &str) -> Self {
        self.link = Some(to.into());
        self
    }

    /// The configuration's folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The configuration's text.
    pub fn text(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        // Not made here: the gateway refuses a folder that is open to others, and makes its own 0700.
        let cache = target::shared("cache").join("policies");
        format!(
            "version = 1\ncache_dir = {:?}\n{}\n{}{}\n{}",
            cache.display().to_string(),
            self.top,
            self.admin,
            self.listeners,
            self.body
        )
    }

    /// Starts it and waits for the ready line.
    #[track_caller]
    pub fn start(self) -> Gateway {
        match self.try_start() {
            Ok(gateway) => gateway,
            Err((status, log)) => panic!(
                "the gateway ended with {status} before it was ready:\n{}",
                log.join("\n")
            ),
        }
    }

    /// Starts it; `Err` with its exit status and log where it gives up before it is ready.
    #[track_caller]
    pub fn try_start(self) -> Result<Gateway, (ExitStatus, Vec<String>)> {
        let file = self.dir.path().join("switchyard.toml");
        match &self.link {
            Some(to) => std::os::unix::fs::symlink(to, &file).unwrap(),
            None => fs::write(&file, self.text()).unwrap(),
        }
        let mut command = Command::new(target::switchyard());
        command
            .arg("run")
            .arg("-c")
            .arg(&file)
            .args(&self.arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(limit) = self.nofile {
            limit_descriptors(&mut command, limit);
        }
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("it is piped");
        let into = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                into.push(line);
            }
            into.end();
        });
        let patience = self.patience;
        let mut gateway = Gateway::new(child, log, self);
        match gateway.log.wait(patience, |line| {
            line.contains("switchyard ready:").then(|| line.to_owned())
        }) {
            Some(line) => gateway.read_ready_line(&line),
            None => {
                let lines = gateway.log.lines();
                if !gateway.log.ended() {
                    panic!("no ready line within {patience:?}:\n{}", lines.join("\n"));
                }
                let status = gateway.wait_for_exit();
                return Err((status, lines));
            }
        }
        Ok(gateway)
    }
}

/// `RLIMIT_NOFILE` for the child.
fn limit_descriptors(command: &mut Command, limit: u64) {
    use std::os::unix::process::CommandExt as _;
    let limits = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: setrlimit is async-signal-safe and touches nothing of the parent's memory but `limits`, a copy.
    unsafe {
        command.pre_exec(
            move || match libc::setrlimit(libc::RLIMIT_NOFILE, &limits) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        );
    }
}

pub(crate) fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
    fs::write(path, bytes).unwrap();
}
