//! Compressed bodies: there and back, bombs, and broken ones.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const CODINGS: &[(&str, &str)] = &[
    ("identity", "identity"),
    ("gzip", "gzip"),
    ("deflate", "zlib"),
    ("deflate", "raw"),
    ("br", "br"),
];

fn compress(form: &str, plain: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match form {
        "gzip" => write_all(GzEncoder::new(Vec::new(), level), plain)
            .finish()
            .unwrap(),
        "zlib" => write_all(ZlibEncoder::new(Vec::new(), level), plain)
            .finish()
            .unwrap(),
        "raw" => write_all(DeflateEncoder::new(Vec::new(), level), plain)
            .finish()
            .unwrap(),
        "br" => write_all(
            brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22),
            plain,
        )
        .into_inner(),
        _ => plain.to_vec(),
    }
}

fn write_all<W: Write>(mut writer: W, plain: &[u8]) -> W {
    writer.write_all(plain).unwrap();
    writer
}

/// Reads what there is; an error at the end of an unfinished stream is none here.
fn decompress(form: &str, packed: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read + '_> = match form {
        "gzip" => Box::new(GzDecoder::new(packed)),
        "zlib" => Box::new(ZlibDecoder::new(packed)),
        "raw" => Box::new(DeflateDecoder::new(packed)),
        "br" => Box::new(brotli::Decompressor::new(packed, 4096)),
        _ => Box::new(packed),
    };
    let (mut plain, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(len @ 1..) = reader.read(&mut piece) {
        plain.extend_from_slice(&piece[..len]);
    }
    plain
}

fn rewriter(coding: &'static str) -> BodyRewriter {
    let facts = BodyFacts {
        content_encoding: Some(coding),
        ..html_facts()
    };
    plan(&link_plan(RULES, true), &facts).unwrap().unwrap()
}

fn page() -> String {
    (0..3000)
        .map(|n| format!("<p id=n{n}>{}<a href=\"/test/{n}\">", n * 7919))
        .collect()
}

#[test]
fn bodies_keep_their_coding() {
    let plain = page();
    for (coding, form) in CODINGS {
        let packed = compress(form, plain.as_bytes());
        for chunk in [1, 100, 5000, usize::MAX] {
            let out = run(rewriter(coding), &packed, chunk).unwrap();
            let unpacked = String::from_utf8(decompress(form, &out)).unwrap();
            assert!(
                unpacked == plain.replace("/test", "/shop"),
                "{form} by {chunk}"
            );
        }
    }
}

#[test]
fn compressed_pages_stream() {
    for (coding, form) in CODINGS {
        let mut rewriter = rewriter(coding);
        let mut out = Vec::new();
        // A flushed compressor's first part, as a page sends that pauses.
        let first = match *form {
            "gzip" => flushed(
                GzEncoder::new(Vec::new(), Compression::default()),
                |writer| writer.get_ref().clone(),
            ),
            "zlib" => flushed(
                ZlibEncoder::new(Vec::new(), Compression::default()),
                |writer| writer.get_ref().clone(),
            ),
            "raw" => flushed(
                DeflateEncoder::new(Vec::new(), Compression::default()),
                |writer| writer.get_ref().clone(),
            ),
            "br" => flushed(
                brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22),
                |writer| writer.get_ref().clone(),
            ),
            _ => b"<a href='/test'>first".to_vec(),
        };
        feed(&mut rewriter, &first, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(decompress(form, &out)).unwrap(),
            "<a href='/shop'>first",
            "{form}"
        );
    }
}

fn flushed<W: Write>(writer: W, so_far: impl Fn(&W) -> Vec<u8>) -> Vec<u8> {
    let mut writer = write_all(writer, b"<a href='/test'>first");
    writer.flush().unwrap();
    so_far(&writer)
}

#[test]
fn truncated_bodies_are_errors() {
    let plain = page();
    for (coding, form) in &CODINGS[1..] {
        let packed = compress(form, plain.as_bytes());
        for len in [1, 2, 5, packed.len() / 2, packed.len() - 1] {
            let result = run(rewriter(coding), &packed[..len], 1000);
            assert!(
                matches!(result, Err(BodyError::Truncated { .. })),
                "{form} cut to {len}: {:?}",
                result.map(|b| b.len())
            );
        }
        assert_eq!(
            run(rewriter(coding), b"", 1).unwrap(),
            b"",
            "{form}: a body without bytes"
        );
    }
}

#[test]
fn corrupt_bodies_are_errors() {
    let plain = page();
    for (coding, form) in &CODINGS[1..] {
        let result = run(
            rewriter(coding),
            b"<html>this is not compressed at all, whatever the head says</html>",
            1000,
        );
        assert!(result.is_err(), "{form}");
        let mut packed = compress(form, plain.as_bytes());
        let middle = packed.len() / 2;
        for byte in &mut packed[middle..middle + 40] {
            *byte ^= 0x5a;
        }
        match run(rewriter(coding), &packed, 1000) {
            Err(BodyError::Corrupt { .. } | BodyError::Truncated { .. }) => {}
            // Neither bare deflate nor brotli has a checksum: a wrong body may decode to its end.
            Ok(_) => assert!(matches!(*form, "raw" | "br"), "{form}"),
            Err(error) => panic!("{form}: {error}"),
        }
    }
    let mut packed = compress("gzip", b"checked");
    let last = packed.len() - 6;
    packed[last] ^= 1;
    assert!(
        matches!(
            run(rewriter("gzip"), &packed, 1000),
            Err(BodyError::Corrupt { .. })
        ),
        "checksum"
    );
}

#[test]
fn gzip_members_follow_each_other_and_padding_is_ignored() {
    let two = [
        compress("gzip", b"<a href=/test>"),
        compress("gzip", b"<a href=/test/2>"),
    ]
    .concat();
    let padded = [two.as_slice(), &[0; 20]].concat();
    let odd = [two.as_slice(), &[0x1f, 0x00, 0x8b]].concat();
    for input in [two, padded, odd] {
        for chunk in [1, 1000] {
            let out = run(rewriter("gzip"), &input, chunk).unwrap();
            assert_eq!(decompress("gzip", &out), b"<a href=/shop><a href=/shop/2>");
        }
    }
}

#[test]
fn gzip_headers_with_every_field_are_read() {
    let mut packed = vec![0x1f, 0x8b, 8, 0x1f, 0, 0, 0, 0, 0, 3, 2, 0, b'e', b'x'];
    packed.extend_from_slice(b"name\0comment\0\x12\x34");
    packed.extend_from_slice(&compress("gzip", b"<a href=/test>")[10..]);
    for chunk in [1, 1000] {
        let out = run(rewriter("gzip"), &packed, chunk).unwrap();
        assert_eq!(decompress("gzip", &out), b"<a href=/shop>");
    }
    let mut reserved = compress("gzip", b"x");
    reserved[3] = 0x20;
    assert!(matches!(
        run(rewriter("gzip"), &reserved, 1000),
        Err(BodyError::Corrupt { .. })
    ));
}

/// Sixty-four gzip members of 16 MiB of zeros each: a gigabyte from a megabyte.
fn bomb() -> Vec<u8> {
    compress("gzip", &vec![0; 16 << 20]).repeat(64)
}

#[test]
fn a_gigabyte_of_zeros_stays_within_bounds() {
    let bomb = bomb();
    let facts = BodyFacts {
        content_encoding: Some("gzip"),
        ..html_facts()
    };
    // Bytes grow eightfold on top of it, and compress to next to nothing again.
    let growth = BodyPlan::Substitute(substitutions(&[("\0", "12345678")]));
    for plan_of in [growth, link_plan(RULES, true)] {
        let mut rewriter = plan(&plan_of, &facts).unwrap().unwrap();
        let (mut input, mut out) = (bomb.as_slice(), Vec::new());
        for _ in 0..700 {
            out.clear();
            // A call handles 256 KiB of plain bytes, and those come from about a thousandth of that.
            let used = rewriter.feed(input, &mut out).unwrap();
            assert!(used < 1024 && out.capacity() <= 2 * OUTPUT_LIMIT);
            input = &input[used..];
        }
    }
}

#[test]
fn a_small_piece_that_unpacks_to_much_comes_out_whole() {
    let packed = compress("gzip", &vec![b'x'; 4 << 20]);
    let out = run(rewriter("gzip"), &packed, usize::MAX).unwrap();
    assert_eq!(decompress("gzip", &out).len(), 4 << 20);
}

#[test]
fn streams_without_content_stay_streams() {
    for (coding, form) in CODINGS {
        let packed = compress(form, b"");
        let out = run(rewriter(coding), &packed, 1).unwrap();
        assert_eq!(out.is_empty(), packed.is_empty(), "{form}");
        assert_eq!(run(rewriter(coding), &out, 1), Ok(out.clone()), "{form}");
    }
}

proptest! {
    #[test]
    fn damaged_streams_neither_panic_nor_exceed_their_bounds(
        coding in 1..CODINGS.len(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        chunk in 1usize..3000,
    ) {
        let (coding, form) = CODINGS[coding];
        let mut packed = compress(form, &page().as_bytes()[..20_000]);
        for (index, byte) in damage {
            let index = index.index(packed.len());
            packed[index] = byte;
        }
        // The bound is asserted at every call.
        let result = run(rewriter(coding), &packed, chunk);
        let expected = matches!(result, Ok(_) | Err(BodyError::Corrupt { .. } | BodyError::Truncated { .. }));
        prop_assert!(expected);
    }
}

#[test]
fn errors_stay() {
    let mut rewriter = rewriter("gzip");
    let error = rewriter.feed(b"nonsense", &mut Vec::new()).unwrap_err();
    assert_eq!(
        rewriter.feed(&compress("gzip", b"x"), &mut Vec::new()),
        Err(error)
    );
    assert_eq!(rewriter.finish(&mut Vec::new()), Err(error));
}
