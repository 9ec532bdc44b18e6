//! The gateway under test: one process of the real program.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Client, Request},
    target,
    wait::{DEADLINE, eventually},
    wire::Response,
};

/// How a gateway is to be started.
#[derive(Debug)]
pub struct Setup {
    top: String,
    admin: String,
    listeners: String,
    body: String,
    whole: Option<String>,
    arguments: Vec<String>,
    nofile: Option<u64>,
    link: Option<PathBuf>,
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
        let cache = target::shared("policy-cache");
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
        let mut gateway = Gateway {
            child,
            log,
            listeners: Vec::new(),
            admin: None,
            setup: self,
            finished: false,
        };
        match gateway.log.wait(DEADLINE, |line| {
            line.contains("switchyard ready:").then(|| line.to_owned())
        }) {
            Some(line) => gateway.read_ready_line(&line),
            None => {
                let lines = gateway.log.lines();
                if !gateway.log.ended() {
                    panic!("no ready line within {DEADLINE:?}:\n{}", lines.join("\n"));
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

fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What the gateway wrote to standard error.
#[derive(Debug, Default)]
struct Log {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Log {
    fn push(&self, line: String) {
        self.state.lock().unwrap().0.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn ended(&self) -> bool {
        self.state.lock().unwrap().1
    }

    fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap().0.clone()
    }

    fn wait<T>(&self, deadline: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut state = self.state.lock().unwrap();
        let mut looked = 0;
        loop {
            if let Some(found) = state.0[looked..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            looked = state.0.len();
            let left = end.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// A running gateway. Dropping it kills the process; a failing test shows its log.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    log: Arc<Log>,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    setup: Setup,
    finished: bool,
}

impl Gateway {
    /// Starts one with the usual listener and admin endpoint.
    #[track_caller]
    pub fn start(body: impl Into<String>) -> Self {
        Setup::new(body).start()
    }

    // `switchyard ready: listening on 127.0.0.1:41234, 127.0.0.1:41235; admin on 127.0.0.1:41236`
    fn read_ready_line(&mut self, line: &str) {
        let after = |what: &str| {
            line.split(what)
                .nth(1)
                .map(|rest| rest.split(';').next().unwrap_or_default())
        };
        let addresses = |text: &str| {
            text.split(',')
                .filter_map(|a| a.trim().parse().ok())
                .collect::<Vec<_>>()
        };
        self.listeners = addresses(after("listening on ").unwrap_or_default());
        self.admin = after("admin on ").and_then(|text| addresses(text).first().copied());
        assert!(
            !self.listeners.is_empty(),
            "no address in the ready line {line:?}"
        );
    }

    /// Its first listener.
    pub fn addr(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// All listeners, in the configuration's order.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The admin endpoint.
    #[track_caller]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.expect("the admin endpoint listens on TCP")
    }

    /// The configuration's folder.
    pub fn dir(&self) -> &Path {
        self.setup.dir()
    }

    /// The configuration's file.
    pub fn file(&self) -> PathBuf {
        self.dir().join("switchyard.toml")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new client connection.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr())
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: &Request) -> Response {
        self.connect().ask(request)
    }

    /// `GET path` on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.ask(&Request::get(path))
    }

    /// Raw bytes on a connection of their own, and the answer.
    #[track_caller]
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Response {
        self.connect().send(bytes).response()
    }

    /// `GET /status` of the admin endpoint.
    #[track_caller]
    pub fn status(&self) -> Value {
        let addr = self.admin_addr();
        let response = Client::connect(addr).ask(&Request::get("/status").host(&addr.to_string()));
        assert_eq!(response.status, 200, "{response:?}");
        response.json()
    }

    /// The status of one member, by its route or its id.
    #[track_caller]
    pub fn member_status(&self, balancer: &str, member: &str) -> Value {
        let status = self.status();
        let members = status["balancers"][balancer]["members"].as_array().cloned();
        let members = members.unwrap_or_else(|| panic!("no members of {balancer:?} in {status:#}"));
        let found = members.iter().find(|m| {
            m["route"] == member || m["id"].as_str().is_some_and(|id| id.starts_with(member))
        });
        found
            .cloned()
            .unwrap_or_else(|| panic!("no member {member:?} in {status:#}"))
    }

    /// Waits until `ready` holds for the status.
    #[track_caller]
    pub fn wait_for_status(&self, what: &str, ready: impl Fn(&Value) -> bool) -> Value {
        eventually(what, DEADLINE, || {
            Some(self.status()).filter(|status| ready(status))
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("pids fit");
        // SAFETY: the child has not been waited for, so the pid is still its own.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }

    /// Replaces the configuration's body in one step (write beside, rename over).
    pub fn rewrite(&mut self, body: impl Into<String>) {
        self.setup.body = body.into();
        let text = self.setup.text();
        self.replace_file("switchyard.toml", text);
    }

    /// Writes a file of the configuration's folder in place.
    pub fn write_file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        write(self.dir(), path, bytes.as_ref());
    }

    /// Replaces a file of the configuration's folder in one step.
    pub fn replace_file(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let beside = format!("{path}.new");
        write(self.dir(), &beside, bytes.as_ref());
        fs::rename(self.dir().join(beside), self.dir().join(path)).unwrap();
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// Waits for a line of standard error that holds every one of `words`.
    #[track_caller]
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        let found = self.log.wait(DEADLINE, |line| {
            words
                .iter()
                .all(|w| line.contains(w))
                .then(|| line.to_owned())
        });
        found.unwrap_or_else(|| panic!("no log line with {words:?}"))
    }

    /// Whether a line of standard error so far holds every one of `words`.
    pub fn logged(&self, words: &[&str]) -> bool {
        self.log
            .lines()
            .iter()
            .any(|line| words.iter().all(|w| line.contains(w)))
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text
            .lines()
            .find(|l| l.starts_with("VmRSS:"))
            .expect("the kernel reports it");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("a number");
        kib * 1024
    }

    /// Whether the process is running.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let status = eventually("the gateway exits", 2 * DEADLINE, || {
            self.child.try_wait().unwrap()
        });
        self.finished = true;
        status
    }

    /// SIGTERM, and exit status 0.
    #[track_caller]
    pub fn terminate(mut self) {
        self.signal(libc::SIGTERM);
        let status = self.wait_for_exit();
        assert!(status.success(), "{status} after SIGTERM");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let died = !self.finished
            && matches!(self.child.try_wait(), Ok(Some(status)) if !status.success());
        if !self.finished {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() || died {
            eprintln!(
                "--- the gateway's standard error ---\n{}\n---",
                self.log.lines().join("\n")
            );
        }
        if died && !thread::panicking() {
            panic!("the gateway ended by itself");
        }
    }
}
