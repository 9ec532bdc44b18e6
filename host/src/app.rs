//! Builds and runs the gateway. (First thin version: no reload yet.)

use std::{net::SocketAddr, path::Path, process::ExitCode, sync::Arc};

use tokio::sync::watch;

use crate::{
    builtin,
    generation::{Current, Linker, Modules, Origin},
    listener::{self, ConnectionCount, Context, Drain},
    members::{Clock, Live},
    policy::{BackgroundThread, Loader},
    proxy::Gateway,
    wasm::{WasmLoader, WasmOptions},
};

/// Runs until told to stop.
pub fn run(path: &Path, workers: usize) -> anyhow::Result<ExitCode> {
    let loaded = crate::config::load(path)?;
    let snapshot = Arc::new(loaded.snapshot);
    let live = Arc::new(Live::new(Clock::start(), workers));
    let loader = WasmLoader::new(WasmOptions {
        cache_dir: snapshot.cache_dir.clone(),
        ..WasmOptions::default()
    })?;
    let linker = Linker {
        live: Arc::clone(&live),
        workers,
        background: BackgroundThread::start("policies")?,
        seed: std::hash::RandomState::new(),
    };
    let mut named = std::collections::BTreeMap::new();
    for (name, policy) in &snapshot.policies {
        let wasm = std::fs::read(&policy.source)?;
        named.insert(name.clone(), loader.load(name, &wasm, &policy.limits)?);
    }
    let limits = snapshot.policy_limits.clone();
    let built_in =
        |name: &str| builtin::find(name).map(|found| loader.load(name, found.wasm, &limits));
    let modules = Modules {
        named: &named,
        built_in: &built_in,
    };
    let generation = linker.link(
        Arc::clone(&snapshot),
        &modules,
        Origin {
            number: 1,
            before: None,
        },
    )?;
    live.publish(snapshot.balancers.values());
    let current = Arc::new(Current::new(generation));
    let (drain, drained) = watch::channel(Drain::Serving);
    let connections = Arc::new(ConnectionCount::default());
    let mut sockets: Vec<Vec<(std::net::TcpListener, bool)>> =
        (0..workers).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    for listener in &snapshot.listeners {
        let mut bind = listener.bind;
        for sockets in &mut sockets {
            let socket = socket(bind)?;
            bind = socket.local_addr()?;
            sockets.push((socket, listener.proxy_protocol));
        }
        addresses.push(bind.to_string());
    }
    let mut threads = Vec::new();
    for (worker, sockets) in sockets.into_iter().enumerate() {
        let context = Context {
            gateway: Gateway {
                worker,
                current: Arc::clone(&current),
            },
            drain: drained.clone(),
            connections: Arc::clone(&connections),
        };
        threads.push(
            std::thread::Builder::new()
                .name(format!("worker-{worker}"))
                .spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .expect("runtime");
                    runtime.block_on(async {
                        let mut tasks = tokio::task::JoinSet::new();
                        for (socket, proxy_protocol) in sockets {
                            tasks.spawn(listener::accept(socket, proxy_protocol, context.clone()));
                        }
                        tasks.join_all().await
                    });
                })?,
        );
    }
    eprintln!("switchyard ready: listening on {}", addresses.join(", "));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        term.recv().await;
        let _ = drain.send(Drain::Draining);
        anyhow::Ok(())
    })?;
    for thread in threads {
        let _ = thread.join();
    }
    Ok(ExitCode::SUCCESS)
}

fn socket(bind: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(bind),
        socket2::Type::STREAM,
        None,
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&bind.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}
