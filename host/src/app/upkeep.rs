//! The thread beside the workers that looks after members: checks them, resolves their names, closes
//! connections that idle too long.

use std::{io, sync::Arc, thread};

use tokio::sync::{oneshot, watch};

use crate::{
    control::{probe, resolve},
    members::Live,
};

/// Starts it; it ends when the sender of `changed` is gone. The answer comes once every name was
/// tried, or has had its time: until then a member might seem to have no address.
pub(super) fn start(
    live: &Arc<Live>,
    changed: &watch::Receiver<u64>,
) -> io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (settled, settles) = oneshot::channel();
    let probes = probe::run(Arc::clone(live), changed.clone());
    let names = resolve::run(Arc::clone(live), changed.clone(), settled);
    thread::Builder::new()
        .name("upkeep".to_owned())
        .spawn(move || runtime.block_on(async { tokio::join!(probes, names) }))?;
    Ok(settles)
}
