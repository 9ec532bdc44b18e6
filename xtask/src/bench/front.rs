//! A running front, whoever's it is.

use std::{
    fs::{self, File, OpenOptions},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{peers::Peer, variant::Setup};
use crate::{
    gateway::{self, Gateway},
    http::Client,
};

/// A front that does not listen by then never will. Envoy compiles its filter before.
const START_LIMIT: Duration = Duration::from_secs(30);
/// The access log's file in a front's folder.
pub const ACCESS_LOG: &str = "access.log";

/// A running front. Dropping it ends it.
pub struct Front {
    /// For the report's JSON.
    pub key: String,
    /// `Switchyard`, `nginx`, `Apache httpd`
    pub name: String,
    /// As the program says it.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its first process; the others are its descendants.
    pub pid: u32,
    /// What it was configured to do, where it is ours.
    pub setup: Option<Setup>,
    /// Where ours tells its counters.
    pub admin: Option<SocketAddr>,
    /// The file that its access log grows in.
    pub access_log: Option<PathBuf>,
    /// What it leaves undone, where it cannot do all that the others do.
    pub lacks: Option<&'static str>,
    /// What it wrote of its troubles.
    pub log: PathBuf,
    process: Process,
}

enum Process {
    Own(Gateway),
    Other(Child),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Other(child) = self {
            // A front that ignores SIGTERM was killed, and nothing is measured any more.
            let _ = gateway::terminate(child, Duration::from_secs(5));
        }
    }
}

impl Front {
    /// Ours, with what it was configured to do.
    pub fn own(site: &Site, key: &str, name: &str, setup: Setup, gateway: Gateway) -> Self {
        Self {
            key: key.to_owned(),
            name: name.to_owned(),
            version: String::new(),
            address: gateway.address,
            pid: gateway.pid(),
            setup: Some(setup),
            admin: gateway.admin,
            access_log: site.log_file(),
            lacks: None,
            log: gateway.log.clone(),
            process: Process::Own(gateway),
        }
    }

    /// Ends ours, which gathers lines before it writes them: its log is whole then. The others' are as they
    /// are. An error says how it ended otherwise.
    pub fn end_for_log(&mut self) -> Result<()> {
        match &mut self.process {
            Process::Own(gateway) => gateway.end(),
            Process::Other(_) => Ok(()),
        }
    }
}

/// Where a front works and for whom.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its config and logs go here.
    pub folder: PathBuf,
    /// `worker1` is the first.
    pub members: Vec<SocketAddr>,
    /// Its cores.
    pub cores: Vec<usize>,
    /// Its threads or processes.
    pub workers: usize,
    /// Whether it logs each request.
    pub access_log: bool,
}

impl Site {
    /// Writes a file in the front's folder.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn log_file(&self) -> Option<PathBuf> {
        self.access_log.then(|| self.folder.join(ACCESS_LOG))
    }
}

/// Starts a peer and waits until it listens. What it writes goes to `log`, which tells why it does not.
pub fn launch(
    site: &Site,
    peer: Peer,
    mut command: Command,
    address: SocketAddr,
    log: &Path,
) -> Result<Front> {
    command.stdout(append(log)?);
    launch_with(site, peer, command, address, log)
}

/// A file that others may write to and shorten meanwhile.
pub fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Likewise one whose standard output goes where `command` says.
pub fn launch_with(
    site: &Site,
    peer: Peer,
    mut command: Command,
    address: SocketAddr,
    log: &Path,
) -> Result<Front> {
    let name = peer.name();
    command.stdin(Stdio::null()).stderr(append(log)?);
    gateway::tie(&mut command, &site.cores);
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let pid = child.id();
    let mut process = Process::Other(child);
    let end = Instant::now() + START_LIMIT;
    // Some listen before they know their routes.
    while !is_ready(address) {
        let Process::Other(child) = &mut process else {
            break;
        };
        if child.try_wait()?.is_some() || Instant::now() > end {
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("{name} does not serve on {address}; its log says:\n{said}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Front {
        key: peer.key().to_owned(),
        name: name.to_owned(),
        version: peer.version(),
        address,
        pid,
        setup: None,
        admin: None,
        access_log: site.log_file(),
        lacks: None,
        log: log.to_owned(),
        process,
    })
}

fn is_ready(address: SocketAddr) -> bool {
    let answer = Client::new(address).get("/app/orders", &[]);
    answer.is_ok_and(|answer| answer.status == 201)
}

/// A port that was free a moment ago: these programs cannot be asked to choose one.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr())?)
}

/// Whether programs would change to a user of their own.
pub fn is_root() -> bool {
    // SAFETY: asks for a number and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
