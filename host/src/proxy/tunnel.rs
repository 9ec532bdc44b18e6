//! Bytes both ways after a 101, until either side ends.

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use super::downstream::Downstream;
use crate::{http1::ResponseHead, upstream::Connection};

/// Bytes held in one direction while the other side does not take them.
const BUFFER: usize = 16 * 1024;

/// Carries bytes until both directions ended, one broke, or nothing moved for `idle`. Gives the
/// numbers of bytes to the client and to the member.
pub async fn run(
    connection: &mut Connection,
    down: &mut Downstream<'_>,
    idle: Duration,
) -> (u64, u64) {
    let (mut reader, mut writer) = connection.stream.split();
    let mut to_client = Lane::new(std::mem::take(&mut connection.buffer));
    let mut to_member = Lane::new(std::mem::take(&mut down.buffer));
    while !(to_client.ended && to_member.ended) {
        let step = async {
            tokio::select! {
                moved = to_client.step(&mut reader, &mut down.writer), if !to_client.ended => moved,
                moved = to_member.step(&mut down.reader, &mut writer), if !to_member.ended => moved,
            }
        };
        match timeout_at(Instant::now() + idle, step).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    (to_client.moved, to_member.moved)
}

/// Whether a 101 switches to a protocol that was asked for.
pub fn switched(head: &ResponseHead, asked: Option<&str>) -> bool {
    let Some(asked) = asked else { return false };
    let to = head.fields.text("upgrade").unwrap_or_default().trim();
    head.fields.has_token("connection", "upgrade")
        && asked
            .split(',')
            .any(|protocol| protocol.trim().eq_ignore_ascii_case(to))
}

/// One direction.
struct Lane {
    buffer: BytesMut,
    moved: u64,
    ended: bool,
}

impl Lane {
    fn new(buffer: BytesMut) -> Self {
        Self {
            buffer,
            moved: 0,
            ended: false,
        }
    }

    /// Writes what is there, or else reads; passes an end on as an end. May be cancelled.
    async fn step(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        if !self.buffer.is_empty() {
            let written = to.write_buf(&mut self.buffer).await?;
            self.moved += written as u64;
            return if written == 0 {
                Err(io::ErrorKind::WriteZero.into())
            } else {
                Ok(())
            };
        }
        self.buffer.reserve(BUFFER);
        if from.read_buf(&mut self.buffer).await? == 0 {
            self.ended = true;
            to.shutdown().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Fields, Framing, Version};

    #[test]
    fn a_switch_must_be_to_what_was_offered() {
        for (fields, asked, matched) in [
            (
                &[("Connection", "Upgrade"), ("Upgrade", "WebSocket")][..],
                Some("websocket"),
                true,
            ),
            (
                &[("Connection", "x, upgrade"), ("Upgrade", "b")],
                Some("a, b"),
                true,
            ),
            (
                &[("Connection", "upgrade"), ("Upgrade", "h2c")],
                Some("websocket"),
                false,
            ),
            (&[("Upgrade", "websocket")], Some("websocket"), false),
            (&[("Connection", "upgrade")], Some("websocket"), false),
            (
                &[("Connection", "upgrade"), ("Upgrade", "websocket")],
                None,
                false,
            ),
        ] {
            let mut head = ResponseHead {
                status: 101,
                version: Version::Http11,
                fields: Fields::new(),
                framing: Framing::None,
            };
            fields
                .iter()
                .for_each(|(name, value)| head.fields.push(name, value.as_bytes()));
            assert_eq!(switched(&head, asked), matched, "{fields:?} {asked:?}");
        }
    }
}
