//! Both bodies at once: the answer to the client, and what is left of the upload.

use std::{io, time::Duration};

use super::{
    download::{Download, DownloadError},
    downstream::Downstream,
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
    let mut member = Inlet::new(&mut reader, &mut connection.buffer);
    let mut client = Inlet::new(&mut down.reader, &mut down.buffer);
    let patience = Patience {
        client: pauses.client_body,
        member: pauses.member,
    };
    let mut uploading = !upload.is_done();
    while uploading {
        tokio::select! {
            step = download.step(&mut member, &mut down.writer, pauses.member, pauses.client) => {
                if step? {
                    return Ok(());
                }
            }
            step = upload.step(&mut client, &mut writer, patience) => {
                uploading = step.is_ok() && !upload.is_done();
            }
        }
    }
    down.presence.begin_answer();
    loop {
        tokio::select! {
            biased;
            step = download.step(&mut member, &mut down.writer, pauses.member, pauses.client) => {
                if step? {
                    return Ok(());
                }
                down.presence.wrote();
            }
            () = down.presence.left(down.reader.as_ref()) => {
                return Err(DownloadError::Client(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }
}
