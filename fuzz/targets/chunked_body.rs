//! A chunked body gives the same data, end or fault however its bytes arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::{
    http1::{CHUNK_END, Framing, chunk_head, end_chunks},
    wire::body,
};

fuzz_target!(|bytes: &[u8]| {
    let (data, end) = body(Framing::Chunked, bytes, || usize::MAX / 2);
    for most in [1, 7, 64] {
        // Sizes follow from the bytes, so that a find can be repeated.
        let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let pieces = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            1 + (state >> 33) as usize % most
        };
        let (data_in_pieces, end_in_pieces) = body(Framing::Chunked, bytes, pieces);
        assert_eq!(end_in_pieces, end, "at most {most} at once");
        assert_eq!(data_in_pieces, data, "at most {most} at once");
    }

    let mut wire = Vec::new();
    for chunk in data.chunks(33) {
        chunk_head(&mut wire, chunk.len());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(CHUNK_END);
    }
    end_chunks(&mut wire);
    let length = wire.len();
    wire.extend_from_slice(b"next");
    assert_eq!(
        body(Framing::Chunked, &wire, || 5),
        (data, Ok(Some(length)))
    );
});
