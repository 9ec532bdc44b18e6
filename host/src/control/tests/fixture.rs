//! A writer over files in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use tempfile::TempDir;

use super::native::{Gate, Gated};
use crate::{
    config,
    control::{
        Cause, ControlFacts, Failure, Outcome, PolicyFacts, Setup, Stock, Surroundings, Writer,
        stock,
    },
    generation::{AccessLogs, Generation, Linker},
    members::{Clock, Live},
    policy::TenantThreads,
    snapshot::Snapshot,
    tenants::Tenants,
};

/// Two balancers; `app` is chosen for by the policy `own` (`policies/own.wasm`).
pub(super) const CONFIG: &str = r#"
version = 1
[[listener]]
bind = "127.0.0.1:0"
[[vhost]]
name = "www.example.com"
  [[vhost.route]]
  path = "/app"
  balancer = "app"
  [[vhost.route]]
  path = "/shop"
  balancer = "shop"
[balancer.app]
lbmethod = "policy:own"
members = [{ url = "http://10.0.0.1:8080" }]
[balancer.shop]
lbmethod = "byrequests"
members = [{ url = "http://10.0.0.2:8080" }]
[policy.own]
source = "policies/own.wasm"
"#;

/// Where a test's files and its writer are.
pub(super) struct Scene {
    pub folder: TempDir,
    pub live: Arc<Live>,
    /// Of the writer, with what is being loaded.
    pub patience: Duration,
    /// Holds up whoever loads what says `slow`.
    pub gate: Arc<Gate>,
    /// Makes [`Surroundings::prepare`] fail.
    pub taken: Arc<AtomicBool>,
    /// Digests of all policies, at each publication.
    pub published: mpsc::Receiver<Arc<Generation>>,
    sender: mpsc::Sender<Arc<Generation>>,
}

struct Outside {
    taken: Arc<AtomicBool>,
    published: mpsc::Sender<Arc<Generation>>,
}

impl Surroundings for Outside {
    fn prepare(&mut self, _: &Snapshot) -> Result<AccessLogs, String> {
        match self.taken.load(Ordering::Relaxed) {
            true => Err("cannot listen".into()),
            false => Ok(AccessLogs::default()),
        }
    }

    fn publish(&mut self, next: &Arc<Generation>) {
        // A test that has seen enough may have hung up.
        let _ = self.published.send(Arc::clone(next));
    }

    fn abandon(&mut self) {}
}

impl Scene {
    /// With [`CONFIG`] and a balancer as `own`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, published) = mpsc::channel();
        let scene = Self {
            folder,
            live: Arc::new(Live::new(Clock::start(), 1)),
            // Whoever is not held up is there in time, however busy the machine.
            patience: Duration::from_secs(20),
            gate: Arc::default(),
            taken: Arc::default(),
            published,
            sender,
        };
        scene.write("policies/own.wasm", "balancer v1");
        scene.write("switchyard.toml", CONFIG);
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Starts with the files as they are.
    pub fn start(&self) -> Result<Writer, Failure> {
        let path = self.path("switchyard.toml");
        let snapshot = config::load(&path).unwrap().snapshot;
        Writer::start(self.setup(&path), snapshot)
    }

    fn setup(&self, path: &Path) -> Setup {
        Setup {
            path: path.to_owned(),
            linker: Linker {
                tenants: Arc::new(Tenants::new(Arc::clone(&self.live))),
                live: Arc::clone(&self.live),
                workers: 1,
                lanes: Arc::new(TenantThreads::default()),
                seed: 0,
                recorders: None,
            },
            stock: Stock::new(Arc::new(Gated(Arc::clone(&self.gate))), |name| match name {
                "byrequests" => Some(b"balancer byrequests"),
                "reverse" => Some(b"rewriter"),
                _ => None,
            })
            .with_patience(self.patience),
            surroundings: Box::new(Outside {
                taken: Arc::clone(&self.taken),
                published: self.sender.clone(),
            }),
        }
    }
}

pub(super) fn facts(writer: &Writer) -> Arc<ControlFacts> {
    writer.shared_facts().load_full()
}

pub(super) fn own(writer: &Writer) -> PolicyFacts {
    let facts = facts(writer);
    facts
        .policies
        .iter()
        .find(|p| p.name == "own")
        .unwrap()
        .clone()
}

pub(super) fn digest(text: &str) -> String {
    stock::digest(text.as_bytes()).to_string()
}

pub(super) fn refused(writer: &mut Writer) -> String {
    match writer.reload(Cause::Files) {
        Outcome::Refused { why } => why,
        other => panic!("{other:?}"),
    }
}

pub(super) fn published(writer: &mut Writer) -> u64 {
    match writer.reload(Cause::Files) {
        Outcome::Published { generation } => generation,
        other => panic!("{other:?}, {:?}", facts(writer)),
    }
}
