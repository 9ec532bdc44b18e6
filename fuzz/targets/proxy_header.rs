//! A PROXY protocol header is taken or refused however its bytes arrive, and takes nothing of what follows it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::preface::parse;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes).ok().flatten();
    let pieces = (0..=bytes.len()).map(|end| parse(&bytes[..end]));
    let first = pieces
        .into_iter()
        .find(|read| !matches!(read, Ok(None)))
        .and_then(|read| read.ok().flatten());
    assert_eq!(first, whole, "the pieces decide what is taken");
    let Some(header) = whole else {
        return;
    };
    assert!((1..=bytes.len()).contains(&header.length));
    let alone = parse(&bytes[..header.length]).ok().flatten();
    assert_eq!(alone, whole, "what follows decides who the client is");
});
