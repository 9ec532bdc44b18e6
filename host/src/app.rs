//! Builds the gateway and runs it: the one file that knows every module.
//!
//! Threads: one for each worker, which serves clients on a runtime of its own;
//! `reload`, the single writer; `watch`, which wakes it; `policy` with a tenant's name, which
//! does that tenant's slow work; and the main thread, which waits for signals.

mod endpoint;
mod outlets;
mod outside;
mod process;
mod signals;
mod sockets;
mod upkeep;
mod worker;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::{
    admin::{AdminError, Order, Sources},
    builtin,
    control::{Cause, Controller, Failure, Setup, Stock, Watch, Writer},
    generation::Linker,
    listener::ConnectionCount,
    members::{Clock, Live},
    policy::{BackgroundThread, Loader, TenantThreads},
    recording::Recorders,
    snapshot::{AdminBind, Snapshot},
    telemetry::Logs,
    tenants::Tenants,
    wasm::{CacheDir, CacheError, SetupError, WasmLoader, WasmOptions},
};
use endpoint::Endpoint;
use outlets::Outlets;
use outside::Outside;
pub use sockets::BindError;

/// How the gateway is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file, read again at every reload.
    pub config: PathBuf,
    /// Threads that serve clients; at least one.
    pub workers: usize,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every request was served to its end, or the drain deadline was over.
    Drained,
    /// By the second signal of this number, at once.
    Killed(i32),
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The admin listener's address.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The configuration, or a policy that it names.
    #[error("{0}")]
    Failure(#[from] Failure),
    /// The engine.
    #[error(transparent)]
    Wasm(#[from] SetupError),
    /// Where compiled code is to be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Threads, signals, timers.
    #[error("cannot {what}: {cause}")]
    System {
        /// In the infinitive.
        what: &'static str,
        /// The system's word.
        #[source]
        cause: io::Error,
    },
}

impl StartError {
    fn system(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |cause| Self::System { what, cause }
    }
}

/// Runs the gateway until a signal ends it. Says on standard error when it is ready.
pub fn run(options: &Options, snapshot: Snapshot) -> Result<Ending, StartError> {
    process::small_pages();
    let system = StartError::system;
    let logs = Logs::start().map_err(system("start the logs"))?;
    logs.install()
        .map_err(io::Error::other)
        .map_err(system("install the log"))?;
    let ending = serve(options, snapshot, &logs);
    // The last lines tell how it ended.
    logs.flush();
    ending
}

fn serve(options: &Options, snapshot: Snapshot, logs: &Arc<Logs>) -> Result<Ending, StartError> {
    process::log_panics();
    process::raise_descriptor_limit();
    let system = StartError::system;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the main runtime"))?;
    let workers = options.workers.max(1);
    let live = Arc::new(Live::new(Clock::start(), workers));
    let background = BackgroundThread::on_demand("drain", 0);
    let cache = snapshot.cache_dir.as_ref().map(CacheDir::open);
    let loader = Arc::new(WasmLoader::new(WasmOptions {
        cache: cache.transpose()?,
        ..WasmOptions::default()
    })?);
    let (outlets, inboxes) = Outlets::new(workers, background);
    // Addresses first: policies take a while to compile, and a taken port is known at once.
    outlets.bind(&snapshot)?;
    let endpoint = Arc::new(Endpoint::default());
    endpoint.bind(&snapshot)?;
    let (changed, changes) = watch::channel(0);
    let announcer = upkeep::start(&live, &changes).map_err(system("start the upkeep thread"))?;
    let tenants = Arc::new(Tenants::new(Arc::clone(&live)));
    let recorders = Arc::new(Recorders::default());
    let linker = Linker {
        tenants: Arc::clone(&tenants),
        live: Arc::clone(&live),
        workers,
        lanes: Arc::new(TenantThreads::default()),
        seed: RandomState::new().hash_one(0),
        recorders: Some(Arc::clone(&recorders)),
    };
    let setup = Setup {
        path: options.config.clone(),
        linker,
        stock: Stock::new(Arc::clone(&loader) as Arc<dyn Loader>, |name| {
            builtin::find(name).map(|policy| policy.wasm)
        }),
        surroundings: Box::new(Outside {
            outlets: Arc::clone(&outlets),
            endpoint: Arc::clone(&endpoint),
            logs: Arc::clone(logs),
            errors: None,
            announcer,
            changed,
            live: Arc::clone(&live),
        }),
    };
    let writer = Writer::start(setup, snapshot)?;
    let current = Arc::clone(writer.current());
    let connections = Arc::new(ConnectionCount::default());
    // Closes when the last worker has ended.
    let (alive, mut ended) = mpsc::channel::<()>(1);
    for (worker, inbox) in inboxes.into_iter().enumerate() {
        let parts = worker::Parts {
            worker,
            current: Arc::clone(&current),
            connections: Arc::clone(&connections),
        };
        worker::start(parts, inbox, alive.clone()).map_err(system("start a worker"))?;
    }
    drop(alive);
    let controller =
        Arc::new(Controller::start(writer).map_err(system("start the reload thread"))?);
    let accepting = Arc::new(AtomicBool::new(false));
    let sources = {
        let (controller, outlets, accepting) = (
            Arc::clone(&controller),
            Arc::clone(&outlets),
            Arc::clone(&accepting),
        );
        let orders = Arc::clone(&controller);
        let (reloads, connections) = (Arc::clone(&controller), Arc::clone(&connections));
        Sources {
            live: Arc::clone(&live),
            tenants,
            current: Arc::clone(&current),
            facts: Box::new(move || controller.facts()),
            listeners: Box::new(move || outlets.addresses()),
            ready: Box::new(move || accepting.load(Ordering::Acquire)),
            started_at_ms: Clock::wall_ms(),
            reloads: Box::new(move || reloads.reloads()),
            connections: Box::new(move || connections.open()),
            instances: {
                let loader = Arc::clone(&loader);
                Box::new(move || loader.instances())
            },
            guests: Box::new(move || loader.metrics()),
            recorders: Arc::clone(&recorders),
            orders: Box::new(move |order, policy| match order {
                Order::Rollback => orders.rollback(policy),
                Order::Promote => orders.promote(policy),
                Order::Undo => orders.undo(policy),
            }),
        }
    };
    endpoint.start(Arc::new(sources))?;
    let watch = Watch::start(&controller).inspect_err(|error| {
        warn!(%error, "Files are not watched; SIGHUP reloads");
    });
    let ending = runtime.block_on(async {
        let signals = signals::Signals::new().map_err(system("wait for signals"))?;
        accepting.store(true, Ordering::Release);
        let ready = Ready {
            outlets: &outlets,
            admin: endpoint.address(),
        };
        // In one piece: the error log may write to the same place from a thread of its own.
        let line = format!("{ready}\n");
        // Where nobody can be told, it serves all the same.
        let _ = io::stderr().write_all(line.as_bytes());
        let gateway = signals::Gateway {
            outlets: &outlets,
            connections: &connections,
            reload: &|| drop(controller.reload(Cause::Signal)),
            reopen: &|| logs.reopen(),
            drains: &|| accepting.store(false, Ordering::Release),
            drain_deadline: &|| current.load().snapshot.drain_deadline,
        };
        Ok::<_, StartError>(signals.serve(gateway, &mut ended).await)
    })?;
    endpoint.close();
    if let Ok(watch) = watch {
        watch.stop();
    }
    controller.stop();
    recorders.finish();
    Ok(ending)
}

/// The line that says so, for people and for whoever started the process.
struct Ready<'a> {
    outlets: &'a Outlets,
    admin: Option<AdminBind>,
}

impl fmt::Display for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self
            .outlets
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        write!(f, "switchyard ready: listening on {}", addresses.join(", "))?;
        match &self.admin {
            None => Ok(()),
            Some(AdminBind::Tcp(address)) => write!(f, "; admin on {address}"),
            Some(AdminBind::Unix(path)) => write!(f, "; admin on unix:{}", path.display()),
        }
    }
}
