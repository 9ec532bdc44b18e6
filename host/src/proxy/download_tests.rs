//! What clients get of a member's body.

use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::{
    download::{Download, DownloadError, Filter},
    upload_tests::unchunked,
};
use crate::http1::{Decoder, Framing, Inlet, ReadError};

const PATIENCE: Duration = Duration::from_secs(5);
const HEAD: &[u8] = b"HEAD\r\n\r\n";

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}

fn download(from: Framing, to: Framing) -> Download {
    Download::new(Decoder::new(from), Filter::None, to, HEAD.to_vec())
}

/// What the client gets, `ready` of the body having come with the head.
fn carried(
    from: Framing,
    to: Framing,
    ready: &[u8],
    rest: &[u8],
) -> Result<(Vec<u8>, u64), DownloadError> {
    run(async {
        let mut download = download(from, to);
        let (mut client, mut buffer, mut rest) = (Vec::new(), BytesMut::from(ready), rest);
        let mut member = Inlet::new(&mut rest, &mut buffer);
        while !download
            .step(&mut member, &mut client, PATIENCE, PATIENCE)
            .await?
        {}
        // A body that ends with its connection leaves none to keep.
        assert_eq!(download.is_received(), from != Framing::Close, "{from:?}");
        Ok((client, download.delivered))
    })
}

#[test]
fn bodies_are_framed_for_the_client_whatever_the_member_did() {
    use Framing::*;
    for (from, to, ready, rest, sent) in [
        (None, None, &b""[..], &b""[..], &b""[..]),
        (Length(0), Length(0), b"", b"", b""),
        (Length(6), Length(6), b"bo", b"dies", b"bodies"),
        (Length(6), Length(6), b"bodies", b"stray", b"bodies"),
        (
            Chunked,
            Chunked,
            b"2\r\nbo\r\n",
            b"4\r\ndies\r\n0\r\n\r\n",
            b"2\r\nbo\r\n4\r\ndies\r\n0\r\n\r\n",
        ),
        (
            Chunked,
            Chunked,
            b"",
            b"0\r\nTrailer: x\r\n\r\n",
            b"0\r\n\r\n",
        ),
        (Close, Chunked, b"", b"bodies", b"6\r\nbodies\r\n0\r\n\r\n"),
        (Close, Close, b"bo", b"dies", b"bodies"),
        (
            Chunked,
            Close,
            b"2\r\nbo\r\n",
            b"4\r\ndies\r\n0\r\n\r\n",
            b"bodies",
        ),
    ] {
        let (got, delivered) = carried(from, to, ready, rest).expect("carried");
        let text = String::from_utf8_lossy(&got).into_owned();
        assert_eq!(got, [HEAD, sent].concat(), "{from:?} to {to:?}: {text}");
        let plain = if to == Chunked {
            unchunked(sent)
        } else {
            sent.to_vec()
        };
        assert_eq!(delivered, plain.len() as u64);
    }
}

#[test]
fn a_body_cut_short_never_looks_whole() {
    for (from, to, body) in [
        (Framing::Length(9), Framing::Length(9), &b"body"[..]),
        (Framing::Chunked, Framing::Chunked, b"4\r\nbody\r\n"),
        (Framing::Chunked, Framing::Close, b"4\r\nbo"),
    ] {
        let cut = carried(from, to, b"", body);
        assert!(
            matches!(cut, Err(DownloadError::Member(ReadError::Closed))),
            "{cut:?}"
        );
    }
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    run(async {
        let (mut client, _deaf) = duplex(2);
        let (mut rest, mut buffer) = (&b"body"[..], BytesMut::new());
        let mut member = Inlet::new(&mut rest, &mut buffer);
        let mut download = download(Framing::Length(4), Framing::Length(4));
        assert!(
            !download
                .step(&mut member, &mut client, PATIENCE, PATIENCE)
                .await
                .unwrap()
        );
        let step = download
            .step(&mut member, &mut client, PATIENCE, PATIENCE)
            .await;
        assert!(
            matches!(&step, Err(DownloadError::Client(e)) if e.kind() == std::io::ErrorKind::TimedOut),
            "{step:?}"
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cancelled_steps_lose_nothing(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..12),
        cancel in prop::collection::vec(any::<bool>(), 1..64),
        (member_buffer, client_buffer, early) in (1_usize..300, 1_usize..300, 0_usize..300),
        (from_chunked, to_chunked, headless) in any::<(bool, bool, bool)>(),
    ) {
        let body = pieces.concat();
        let mut wire = Vec::new();
        for piece in &pieces {
            if from_chunked {
                wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            wire.extend_from_slice(piece);
            if from_chunked {
                wire.extend_from_slice(b"\r\n");
            }
        }
        if from_chunked {
            wire.extend_from_slice(b"0\r\n\r\n");
        }
        let length = Framing::Length(body.len() as u64);
        let from = if from_chunked { Framing::Chunked } else { length };
        let to = if to_chunked { Framing::Chunked } else { length };
        let head = if headless { &b""[..] } else { HEAD };
        let (got, delivered) = run(async {
            let (mut member, mut far_member) = duplex(member_buffer);
            let (mut client, mut far_client) = duplex(client_buffer);
            let rest = wire.split_off(early.min(wire.len()));
            let feed = tokio::spawn(async move { far_member.write_all(&rest).await.unwrap(); far_member });
            let drain = tokio::spawn(async move {
                let mut seen = Vec::new();
                far_client.read_to_end(&mut seen).await.unwrap();
                seen
            });
            let mut download = Download::new(Decoder::new(from), Filter::None, to, head.to_vec());
            let mut buffer = BytesMut::from(&wire[..]);
            let mut inlet = Inlet::new(&mut member, &mut buffer);
            for stop in cancel.iter().cycle() {
                let step = download.step(&mut inlet, &mut client, PATIENCE, PATIENCE);
                let outcome = if *stop {
                    tokio::select! { biased; step = step => step.unwrap(), () = tokio::task::yield_now() => false }
                } else {
                    step.await.unwrap()
                };
                if outcome {
                    break;
                }
            }
            drop(client);
            feed.await.unwrap();
            (drain.await.unwrap(), download.delivered)
        });
        let rest = got.strip_prefix(head).expect("the head comes first");
        let plain = if to_chunked { unchunked(rest) } else { rest.to_vec() };
        prop_assert_eq!(delivered, body.len() as u64);
        prop_assert_eq!(plain, body);
    }
}
