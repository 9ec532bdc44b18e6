//! The gateway under test: one process of the real program.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    client::{Client, Request},
    log::Log,
    setup::{Setup, write},
    wait::{DEADLINE, eventually},
    wire::Response,
};

/// A running gateway. Dropping it kills the process; a failing test shows its log.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    pub(crate) log: Arc<Log>,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    setup: Setup,
    finished: bool,
}

impl Gateway {
    /// Around a process that was just started.
    pub(crate) fn new(child: Child, log: Arc<Log>, setup: Setup) -> Self {
        Self {
            child,
            log,
            listeners: Vec::new(),
            admin: None,
            setup,
            finished: false,
        }
    }

    /// Starts one with the usual listener and admin endpoint.
    #[track_caller]
    pub fn start(body: impl Into<String>) -> Self {
        Setup::new(body).start()
    }

    // `switchyard ready: listening on 127.0.0.1:41234, 127.0.0.1:41235; admin on 127.0.0.1:41236`
    pub(crate) fn read_ready_line(&mut self, line: &str) {
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

    /// Waits until `ready` holds for the status. The failure shows the last one.
    #[track_caller]
    pub fn wait_for_status(&self, what: &str, ready: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let status = self.status();
            if ready(&status) {
                return status;
            }
            assert!(
                Instant::now() < end,
                "waited {DEADLINE:?} in vain: {what}; the status is {status:#}"
            );
            thread::park_timeout(Duration::from_millis(5));
        }
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
        self.memory("VmRSS:")
    }

    /// The most that it ever was.
    pub fn resident_peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text
            .lines()
            .find(|l| l.starts_with(which))
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
