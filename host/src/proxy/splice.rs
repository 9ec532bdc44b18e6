//! Large bodies from socket to socket: through a pipe, whose pages change hands within the kernel.
//!
//! Bytes that nobody looks at need not be copied into this process and out of it again. A pipe belongs to one body at a
//! time and is kept for the next one if it is empty then; where there is none to be had, bodies are copied as small ones are.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::OwnedFd,
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::{io::Interest, net::TcpStream};

use super::{
    download::{Download, DownloadError},
    relay::Pauses,
};
use crate::http1::{ReadError, within};

/// With less to come, two system calls for each buffer cost as much as they save.
pub const WORTH: u64 = 128 * 1024;

/// Of a pipe, where the kernel gives so much; else it has 64 KiB, or less.
const SIZE: usize = 256 * 1024;
/// Pipes of a worker. Each takes two descriptors, which clients may want more.
const MOST: usize = 128;
/// Kept without a body.
const SPARE: usize = 16;

thread_local! {
    static KEPT: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// A pipe in use.
struct Pipe {
    /// Where to read and where to write.
    ends: Option<(OwnedFd, OwnedFd)>,
    /// Bytes in it.
    held: usize,
}

impl Pipe {
    /// `None` where there are too many, or no descriptors.
    fn take() -> Option<Self> {
        let kept = KEPT.with_borrow_mut(Vec::pop);
        let ends = match kept {
            Some(ends) => ends,
            None if OPEN.get() >= MOST => return None,
            None => {
                let ends = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
                // A smaller one does too.
                let _ = fcntl_setpipe_size(&ends.1, SIZE);
                OPEN.set(OPEN.get() + 1);
                ends
            }
        };
        Some(Self {
            ends: Some(ends),
            held: 0,
        })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        // What is left in it must not meet another body.
        let is_kept = self.held == 0
            && KEPT.with_borrow_mut(|kept| {
                let has_room = kept.len() < SPARE;
                if has_room {
                    kept.push(ends);
                }
                has_room
            });
        if !is_kept {
            OPEN.set(OPEN.get() - 1);
        }
    }
}

/// Carries what is left of a body that passes unchanged. False: it could not even begin, and not a byte has moved.
/// `progress` is called after each write.
pub async fn carry(
    member: &TcpStream,
    client: &TcpStream,
    download: &mut Download,
    pauses: Pauses,
    mut progress: impl FnMut(&Download),
) -> Result<bool, DownloadError> {
    let Some(mut pipe) = Pipe::take() else {
        return Ok(false);
    };
    let mut has_begun = false;
    while let Some(left) = download.passing() {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        let Pipe {
            ends: Some((outlet, inlet)),
            held,
        } = &mut pipe
        else {
            return Ok(has_begun);
        };
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(SIZE);
        let read = member.async_io(Interest::READABLE, || {
            Ok(splice(member, None, &*inlet, None, most, flags)?)
        });
        match within(pauses.member, read).await {
            Err(_) => return Err(DownloadError::Member(ReadError::TimedOut)),
            Ok(Ok(0)) => return Err(DownloadError::Member(ReadError::Closed)),
            Ok(Ok(moved)) => *held = moved,
            // Not every kind of socket can.
            Ok(Err(error)) if !has_begun && error.kind() == io::ErrorKind::InvalidInput => {
                return Ok(false);
            }
            Ok(Err(error)) => return Err(DownloadError::Member(error.into())),
        }
        has_begun = true;
        download.passed_in(*held);
        while *held > 0 {
            // Where more follows, the last segment may wait for it.
            let flags = match download.passing() {
                Some(_) => flags | SpliceFlags::MORE,
                None => flags,
            };
            let write = client.async_io(Interest::WRITABLE, || {
                Ok(splice(&*outlet, None, client, None, *held, flags)?)
            });
            match within(pauses.client, write).await {
                Err(_) => return Err(DownloadError::Client(io::ErrorKind::TimedOut.into())),
                Ok(Ok(0)) => return Err(DownloadError::Client(io::ErrorKind::WriteZero.into())),
                Ok(Ok(moved)) => {
                    *held -= moved;
                    download.passed_out(moved);
                    progress(download);
                }
                Ok(Err(error)) => return Err(DownloadError::Client(error)),
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        http1::{Decoder, Framing},
        proxy::download::Filter,
    };

    const LONG: Duration = Duration::from_secs(20);

    fn pauses(client: Duration) -> Pauses {
        Pauses {
            member: LONG,
            client_body: LONG,
            client,
        }
    }

    fn download(length: usize) -> Download {
        let framing = Framing::Length(length as u64);
        Download::new(Decoder::new(framing), Filter::None, framing, Vec::new())
    }

    /// The gateway's end, and the other's.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await;
        (listener.accept().await.unwrap().0, other.unwrap())
    }

    fn body(length: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect()
    }

    #[tokio::test]
    async fn a_body_arrives_as_it_was_sent_and_nothing_behind_it() {
        let sent = body(5_000_003);
        let ((member, mut origin), (client, mut reader)) = (pair().await, pair().await);
        let mut download = download(sent.len());
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            origin.write_all(&sent).await.unwrap();
            origin.write_all(b"surplus").await.unwrap();
            origin
        });
        let reading = tokio::spawn(async move {
            let mut got = vec![0; expected.len()];
            reader.read_exact(&mut got).await.unwrap();
            assert!(got == expected);
            reader
        });
        let mut last = 0;
        let carried = carry(&member, &client, &mut download, pauses(LONG), |d| {
            assert!(d.written() > last);
            last = d.written();
        });
        assert!(carried.await.unwrap());
        assert!(download.is_over() && download.is_received());
        assert_eq!(
            (download.received, download.delivered, last),
            (5_000_003, 5_000_003, 5_000_003)
        );
        drop((writing.await.unwrap(), client));
        let mut rest = Vec::new();
        reading.await.unwrap().read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        let mut left = [0; 8];
        assert_eq!(member.peek(&mut left).await.unwrap(), b"surplus".len());
        assert_eq!((KEPT.with_borrow(Vec::len), OPEN.get()), (1, 1));
    }

    #[tokio::test]
    async fn a_member_that_ends_early_is_told_from_a_whole_body() {
        let ((member, mut origin), (client, mut reader)) = (pair().await, pair().await);
        origin.write_all(&body(300_000)).await.unwrap();
        drop(origin);
        let mut download = download(300_001);
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            got
        });
        let carried = carry(&member, &client, &mut download, pauses(LONG), |_| {}).await;
        assert!(matches!(
            carried,
            Err(DownloadError::Member(ReadError::Closed))
        ));
        assert!(!download.is_over());
        assert_eq!(download.delivered, 300_000);
        drop(client);
        assert!(reading.await.unwrap() == body(300_000));
    }

    #[tokio::test]
    async fn what_a_client_does_not_take_ends_with_its_pipe() {
        let ((member, mut origin), (client, reader)) = (pair().await, pair().await);
        let sent = body(64 << 20);
        let mut download = download(sent.len());
        let writing = tokio::spawn(async move { origin.write_all(&sent).await });
        let patience = pauses(Duration::from_millis(50));
        let carried = carry(&member, &client, &mut download, patience, |_| {}).await;
        assert!(
            matches!(carried, Err(DownloadError::Client(error)) if error.kind() == io::ErrorKind::TimedOut)
        );
        assert!(download.received > download.delivered);
        // It holds bytes of this body: nobody else may have it.
        assert_eq!((KEPT.with_borrow(Vec::len), OPEN.get()), (0, 0));
        drop((member, client, reader));
        assert!(writing.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn without_a_pipe_nothing_moves() {
        let ((member, mut origin), (client, _reader)) = (pair().await, pair().await);
        origin.write_all(b"body").await.unwrap();
        let pipes: Vec<_> = std::iter::repeat_with(Pipe::take).take(MOST).collect();
        assert!(pipes.iter().all(Option::is_some));
        let mut download = download(4);
        let carried = carry(&member, &client, &mut download, pauses(LONG), |_| {}).await;
        assert!(!carried.unwrap());
        assert_eq!(download.received, 0);
        drop(pipes);
        assert_eq!((KEPT.with_borrow(Vec::len), OPEN.get()), (SPARE, SPARE));
    }
}
