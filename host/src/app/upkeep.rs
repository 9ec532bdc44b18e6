//! The thread beside the workers that looks after members: checks them, resolves their names, closes
//! connections that idle too long.

use std::{io, sync::Arc, thread};

use tokio::sync::watch;

use crate::{
    control::{
        probe,
        resolve::{self, Announcer},
    },
    members::Live,
};

/// Starts it; it ends when the sender of `changed` is gone. What is announced to it has addresses
/// when it comes.
pub(super) fn start(live: &Arc<Live>, changed: &watch::Receiver<u64>) -> io::Result<Announcer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (announcer, expected) = resolve::announcer();
    let probes = probe::run(Arc::clone(live), changed.clone());
    let names = resolve::run(Arc::clone(live), changed.clone(), expected);
    thread::Builder::new()
        .name("upkeep".to_owned())
        .spawn(move || runtime.block_on(async { tokio::join!(probes, names) }))?;
    Ok(announcer)
}
