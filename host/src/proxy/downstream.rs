//! The client's side of a connection, as a request sees it.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::AsyncWriteExt,
    net::tcp::{ReadHalf, WriteHalf},
    time::timeout,
};

use crate::http1::Inlet;

/// A client's connection while it is served.
#[derive(Debug)]
pub struct Downstream<'a> {
    /// Bytes from the client.
    pub reader: ReadHalf<'a>,
    /// Bytes to the client.
    pub writer: WriteHalf<'a>,
    /// Read and not yet used: the rest of a body, the next requests.
    pub buffer: BytesMut,
    /// Who connected.
    pub peer: SocketAddr,
    /// Who is meant: the peer, or whom a trusted PROXY header named.
    pub client: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
    /// Requests before this one.
    pub served: u32,
}

impl<'a> Downstream<'a> {
    /// Reads from the client.
    pub fn inlet(&mut self) -> Inlet<'_, ReadHalf<'a>> {
        Inlet::new(&mut self.reader, &mut self.buffer)
    }

    /// Writes all of `bytes`, each write within `patience`.
    pub async fn write(&mut self, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = timeout(patience, self.writer.write(bytes))
                .await
                .map_err(|_| io::ErrorKind::TimedOut)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        Ok(())
    }
}
