//! What members get of a client's body.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};

use super::upload::{Patience, Step, Upload, UploadError};
use crate::http1::{Framing, Inlet, ReadError};

const PATIENCE: Patience = Patience {
    client: Duration::from_secs(5),
    member: Duration::from_secs(5),
};
const HEAD: &[u8] = b"HEAD\r\n\r\n";

/// A runtime whose clock stands still unless nothing else can happen.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

/// Carries until the end of one attempt; what the member got.
async fn attempt(
    upload: &mut Upload,
    client: &mut &[u8],
    buffer: &mut BytesMut,
) -> Result<Vec<u8>, UploadError> {
    upload.begin(|out| out.extend_from_slice(HEAD));
    let mut member = Vec::new();
    let mut inlet = Inlet::new(client, buffer);
    while upload.step(&mut inlet, &mut member, PATIENCE).await? != Step::Done {}
    assert!(upload.is_done() && upload.is_flushed() && upload.is_received());
    assert_eq!(upload.sent(), member.len() as u64);
    Ok(member)
}

fn carried(framing: Framing, limit: u64, body: &[u8]) -> Result<Vec<u8>, UploadError> {
    let mut upload = Upload::new(framing, limit);
    run(attempt(&mut upload, &mut &*body, &mut BytesMut::new()))
}

fn with_head(body: &[u8]) -> Vec<u8> {
    [HEAD, body].concat()
}

#[test]
fn bodies_keep_their_framing() {
    for (framing, body, sent) in [
        (Framing::None, &b"next request"[..], &b""[..]),
        (Framing::Length(0), b"next request", b""),
        (Framing::Length(4), b"bodynext", b"body"),
        (
            Framing::Chunked,
            b"4;ext=1\r\nbody\r\n0\r\nTrailer: x\r\n\r\nnext",
            b"4\r\nbody\r\n0\r\n\r\n",
        ),
        (Framing::Chunked, b"0\r\n\r\n", b"0\r\n\r\n"),
    ] {
        let got = carried(framing, 0, body).expect("carried");
        assert_eq!(got, with_head(sent), "{framing:?}");
    }
}

/// Notes what each write brings.
#[derive(Default)]
struct Writes(Vec<usize>);

impl AsyncWrite for Writes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.push(bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn what_is_there_goes_with_the_head_in_one_write_and_no_more_than_a_bound() {
    for (length, first) in [(20_000, 20_000), (100_000, 32_768)] {
        let body = vec![b'b'; length];
        let mut upload = Upload::new(Framing::Length(length as u64), 0);
        upload.begin(|out| out.extend_from_slice(HEAD));
        let (mut client, mut buffer, mut member) = (&*body, BytesMut::new(), Writes::default());
        run(async {
            let mut inlet = Inlet::new(&mut client, &mut buffer);
            while upload
                .step(&mut inlet, &mut member, PATIENCE)
                .await
                .expect("carried")
                != Step::Done
            {}
        });
        let first_write = member.0[0];
        assert!(
            (first..first + 32_768).contains(&first_write),
            "{:?}",
            member.0
        );
        assert_eq!(member.0.iter().sum::<usize>(), HEAD.len() + length);
    }
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    assert!(carried(Framing::Chunked, 4, b"4\r\nbody\r\n0\r\n\r\n").is_ok());
    let over = carried(Framing::Chunked, 4, b"2\r\nbo\r\n3\r\ndy!\r\n0\r\n\r\n");
    assert!(matches!(over, Err(UploadError::TooLarge)), "{over:?}");
}

#[test]
fn a_body_cut_short_is_the_clients_failure() {
    for (framing, body) in [
        (Framing::Length(9), &b"body"[..]),
        (Framing::Chunked, b"4\r\nbody\r\n"),
    ] {
        let cut = carried(framing, 0, body);
        assert!(
            matches!(cut, Err(UploadError::Client(ReadError::Closed))),
            "{cut:?}"
        );
    }
    let garbled = carried(Framing::Chunked, 0, b"zz\r\n");
    assert!(
        matches!(garbled, Err(UploadError::Client(ReadError::Malformed(_)))),
        "{garbled:?}"
    );
}

#[test]
fn a_silent_client_and_a_deaf_member_are_told_apart() {
    run(async {
        let (mut client, _client) = duplex(64);
        let mut buffer = BytesMut::new();
        let mut upload = Upload::new(Framing::Length(4), 0);
        upload.begin(|_| ());
        let step = upload
            .step(
                &mut Inlet::new(&mut client, &mut buffer),
                &mut Vec::new(),
                PATIENCE,
            )
            .await;
        assert!(
            matches!(step, Err(UploadError::Client(ReadError::TimedOut))),
            "{step:?}"
        );

        let (mut member, _deaf) = duplex(2);
        upload.begin(|out| out.extend_from_slice(HEAD));
        let mut inlet = Inlet::new(&mut client, &mut buffer);
        assert!(matches!(
            upload.step(&mut inlet, &mut member, PATIENCE).await,
            Ok(Step::Progress)
        ));
        let step = upload.step(&mut inlet, &mut member, PATIENCE).await;
        assert!(matches!(step, Err(UploadError::Member)), "{step:?}");
        assert_eq!(upload.sent(), 2);
    });
}

#[test]
fn what_is_held_goes_out_again_after_a_failure() {
    for framing in [Framing::Length(10), Framing::Chunked] {
        let whole: &[u8] = match framing {
            Framing::Chunked => b"4\r\nbody\r\n6\r\n, more\r\n0\r\n\r\n",
            _ => b"body, more",
        };
        let first = if framing == Framing::Chunked { 9 } else { 4 };
        run(async {
            let mut upload = Upload::new(framing, 0);
            let mut buffer = BytesMut::from(&whole[..first]);
            // The first member closes after the piece that came with the head.
            upload.begin(|out| out.extend_from_slice(HEAD));
            let (mut member, mut other) = duplex(1024);
            let mut nothing = tokio::io::empty();
            upload
                .step(
                    &mut Inlet::new(&mut nothing, &mut buffer),
                    &mut member,
                    PATIENCE,
                )
                .await
                .unwrap();
            drop(member);
            let mut seen = Vec::new();
            other.read_to_end(&mut seen).await.unwrap();
            assert!(String::from_utf8_lossy(&seen).contains("body"), "{seen:?}");
            assert!(upload.can_repeat() && !upload.is_done());

            let again = attempt(&mut upload, &mut &whole[first..], &mut buffer)
                .await
                .unwrap();
            assert_eq!(again, with_head(whole), "{framing:?}");
            assert_eq!(upload.received(), 10);
        });
    }
}

#[test]
fn only_small_bodies_are_held() {
    const HELD: usize = 64 * 1024;
    for (length, held) in [(HELD, true), (HELD + 1, false)] {
        let body = vec![b'x'; length];
        let mut upload = Upload::new(Framing::Length(length as u64), 0);
        let sent = run(attempt(&mut upload, &mut &body[..], &mut BytesMut::new())).unwrap();
        assert_eq!(
            (sent.len(), upload.can_repeat()),
            (HEAD.len() + length, held)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cancelled_steps_lose_nothing(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..12),
        cancel in prop::collection::vec(any::<bool>(), 1..64),
        (client_buffer, member_buffer) in (1_usize..300, 1_usize..300),
        chunked in any::<bool>(),
    ) {
        let body = pieces.concat();
        let framing = if chunked { Framing::Chunked } else { Framing::Length(body.len() as u64) };
        let got = run(async {
            let (mut client, mut far_client) = duplex(client_buffer);
            let (mut member, mut far_member) = duplex(member_buffer);
            let feed = tokio::spawn(async move {
                for piece in pieces {
                    if chunked {
                        far_client.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await.unwrap();
                    }
                    far_client.write_all(&piece).await.unwrap();
                    if chunked {
                        far_client.write_all(b"\r\n").await.unwrap();
                    }
                }
                if chunked {
                    far_client.write_all(b"0\r\n\r\n").await.unwrap();
                }
            });
            let drain = tokio::spawn(async move {
                let mut seen = Vec::new();
                far_member.read_to_end(&mut seen).await.unwrap();
                seen
            });
            let mut upload = Upload::new(framing, 0);
            upload.begin(|out| out.extend_from_slice(HEAD));
            let mut buffer = BytesMut::new();
            let mut inlet = Inlet::new(&mut client, &mut buffer);
            for stop in cancel.iter().cycle() {
                let step = upload.step(&mut inlet, &mut member, PATIENCE);
                // Polled once and dropped where it must wait.
                let outcome = if *stop {
                    tokio::select! { biased; step = step => Some(step), () = tokio::task::yield_now() => None }
                } else {
                    Some(step.await)
                };
                if let Some(Step::Done) = outcome.transpose().unwrap() {
                    break;
                }
            }
            drop(member);
            feed.await.unwrap();
            drain.await.unwrap()
        });
        let rest = got.strip_prefix(HEAD).expect("the head comes first");
        let plain = if chunked { unchunked(rest) } else { rest.to_vec() };
        prop_assert_eq!(plain, body);
    }
}

/// The data of chunks that are all there, the last one included.
pub(super) fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let end = bytes
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a chunk's head");
        let length =
            usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let (chunk, rest) = bytes[end + 2..].split_at(length);
        data.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n").expect("a chunk's end");
        if length == 0 {
            assert!(bytes.is_empty(), "something follows the last chunk");
            return data;
        }
    }
}
