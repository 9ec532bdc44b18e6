//! Replaces the config and the policy, over and over.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::stamp::{Stamped, replace};

/// Between two replacements.
pub const EVERY: Duration = Duration::from_millis(100);
/// Different policy modules, in turn.
pub const MODULES: u32 = 20;

/// The gateway's folder while it is being rewritten.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
    members: Vec<SocketAddr>,
    stamped: Arc<Stamped>,
}

impl Files {
    /// Writes the first version.
    pub fn new(folder: &Path, members: &[SocketAddr], stamped: Stamped) -> Result<Self> {
        let files = Self {
            folder: folder.to_owned(),
            members: members.to_vec(),
            stamped: Arc::new(stamped),
        };
        files.write(0)?;
        Ok(files)
    }

    /// The config file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("switchyard.toml")
    }

    /// Replaces the policy alone; tells its stamp.
    pub fn write_policy(&self, turn: u32) -> Result<String> {
        let number = turn % MODULES;
        self.stamped
            .install(number, &self.folder.join("stamp.wasm"))?;
        Ok(Stamped::stamp(number))
    }

    /// Replaces policy and config by the `turn`th.
    fn write(&self, turn: u32) -> Result<()> {
        self.write_policy(turn)?;
        replace(&self.config(), self.text(turn).as_bytes())
    }

    /// Neighbouring turns differ in load factors and in a header's presence, so each is a real change.
    fn text(&self, turn: u32) -> String {
        let mut text = format!(
            r#"version = 1
x_real_ip = {}
cache_dir = "cache"
state_dir = "state"

[admin]
listen = "127.0.0.1:0"

[[listener]]
bind = "127.0.0.1:0"

[[vhost]]
name = "localhost"
default = true

  [[vhost.route]]
  path = "/app"
  balancer = "cluster"
  reverse = {{ location = true, cookie_path = true, cookie_domain = true }}
  rewrite = ["policy:stamp"]

[policy.stamp]
source = "stamp.wasm"

[balancer.cluster]
stickysession = "JSESSIONID|jsessionid"
members = [
"#,
            turn.is_multiple_of(2)
        );
        for (index, address) in self.members.iter().enumerate() {
            let (worker, factor) = (index + 1, turn % 7 + 1);
            let _ = writeln!(
                text,
                "  {{ url = \"http://{address}/Test\", route = \"worker{worker}\", loadfactor = {factor} }},"
            );
        }
        text.push_str("]\n");
        text
    }
}

/// A thread that replaces. Ending it says how often it did.
#[derive(Debug)]
pub struct Swapper {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32>>,
}

impl Swapper {
    /// Starts replacing.
    pub fn start(files: &Files) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (files, is_over) = (files.clone(), Arc::clone(&is_over));
            move || {
                let started = Instant::now();
                let mut turn = 0;
                while !is_over.load(Ordering::Relaxed) {
                    turn += 1;
                    files.write(turn)?;
                    // Measured from the start, so that slow turns do not add up.
                    thread::sleep(
                        (started + EVERY * turn).saturating_duration_since(Instant::now()),
                    );
                }
                Ok(turn)
            }
        });
        Self { is_over, thread }
    }

    /// Stops it: how often files were replaced.
    pub fn stop(self) -> Result<u32> {
        self.is_over.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(turns) => turns,
            Err(_) => bail!("the thread that replaces files broke off"),
        }
    }
}
