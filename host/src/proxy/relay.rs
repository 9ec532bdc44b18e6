//! Both bodies at once: the answer to the client, and what is left of the upload.

use std::{
    io,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{
    download::{Download, DownloadError},
    downstream::Downstream,
    splice,
    upload::{Patience, Upload},
};
use crate::{http1::Inlet, upstream::Connection};

/// How long each side may pause.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// The member, between pieces of its answer and for taking bytes.
    pub member: Duration,
    /// The client, between pieces of its body.
    pub client_body: Duration,
    /// The client, for taking bytes.
    pub client: Duration,
}

/// Carries on until the answer is delivered. An upload that fails meanwhile does not matter: the
/// member has answered already.
pub async fn relay(
    connection: &mut Connection,
    down: &mut Downstream<'_>,
    download: &mut Download,
    upload: &mut Upload,
    pauses: Pauses,
) -> Result<(), DownloadError> {
    let (mut reader, mut writer) = connection.stream.split();
    let left = download.left();
    let mut member = Inlet::of_answer(&mut reader, &mut connection.buffer, left);
    let patience = Patience {
        client: pauses.client_body,
        member: pauses.member,
    };
    let written = AtomicU64::new(0);
    // Neither body is begun anew when the other gets on: each one's limits run on.
    let client = &mut down.writer;
    let mut delivery = pin!(async {
        let note = |download: &Download| written.store(download.written(), Relaxed);
        let mut may_pass = true;
        loop {
            let (patience, client_patience) = (pauses.member, pauses.client);
            if download
                .step(&mut member, client, patience, client_patience)
                .await?
            {
                return Ok(());
            }
            note(download);
            let is_large = download.passing().is_some_and(|left| left >= splice::WORTH);
            if may_pass && is_large && member.buffer.is_empty() {
                let (from, to) = (member.io().as_ref(), client.as_ref());
                may_pass = Box::pin(splice::carry(from, to, download, pauses, note)).await?;
                if download.is_over() {
                    return Ok(());
                }
            }
        }
    });
    if !upload.is_done() {
        let mut client = Inlet::new(&mut down.reader, &mut down.buffer);
        let rest = async {
            while !upload.is_done()
                && upload
                    .step(&mut client, &mut writer, patience)
                    .await
                    .is_ok()
            {}
        };
        tokio::select! {
            delivered = &mut delivery => return delivered,
            () = rest => {}
        }
    }
    down.presence.begin_answer();
    tokio::select! {
        biased;
        delivered = delivery => delivered,
        () = down.presence.left(down.reader.as_ref(), &written) => {
            Err(DownloadError::Client(io::ErrorKind::ConnectionReset.into()))
        }
    }
}
