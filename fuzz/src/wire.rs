//! Heads and bodies as a strict reader sees them, apart from the host's own.

use crate::http1::{
    Bounds, Decoded, Decoder, Fields, Framing, HeadScanner, Malformed, Scan, is_hop_by_hop,
};

/// Small, so that the fuzzer meets them.
pub const BOUNDS: Bounds = Bounds {
    head_size: 2048,
    field_count: 16,
};

/// Where the head at the start of `bytes` ends, whole and byte by byte alike.
pub fn head(bytes: &[u8]) -> Option<&[u8]> {
    let whole = HeadScanner::default().look(bytes, BOUNDS.head_size);
    let mut scanner = HeadScanner::default();
    let mut dripped = Ok(Scan::Partial);
    for end in 0..=bytes.len() {
        dripped = scanner.look(&bytes[..end], BOUNDS.head_size);
        if dripped != Ok(Scan::Partial) {
            break;
        }
    }
    match (whole, dripped) {
        // A line end that is wrong and a limit that is passed: whichever comes first.
        (Err(_), Err(_)) => None,
        (whole, dripped) => {
            assert_eq!(whole, dripped, "the pieces decide what is taken");
            match whole {
                Ok(Scan::Complete(end)) => Some(&bytes[..end]),
                _ => None,
            }
        }
    }
}

/// Without what the writer of heads adds by itself.
pub fn kept(fields: &Fields) -> Fields {
    let mut kept = fields.clone();
    kept.retain(|line| {
        !is_hop_by_hop(line.name)
            && !line.name.eq_ignore_ascii_case("host")
            && !line.name.eq_ignore_ascii_case("expect")
    });
    kept
}

/// All lines as they are written.
pub fn lines(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    fields
        .iter()
        .map(|line| (line.name.to_owned(), line.value.to_vec()))
        .collect()
}

/// That a head which goes out can be read in one way only, by a reader who knows nothing of the host's.
pub fn assert_plain(head: &[u8]) {
    let text = head
        .strip_suffix(b"\r\n\r\n")
        .expect("a head ends with an empty line");
    let lines: Vec<_> = text.split(|&byte| byte == b'\n').collect();
    for (at, line) in lines.iter().enumerate() {
        let line = match at + 1 == lines.len() {
            true => line,
            false => line.strip_suffix(b"\r").expect("no LF without CR"),
        };
        let illegal = |&byte: &u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        assert!(!line.iter().any(illegal), "a control in {line:?}");
        let folded = matches!(line.first(), None | Some(b' ' | b'\t'));
        assert!(!folded, "empty or folded: {line:?}");
    }
    let named = |name: &str| {
        let is_it = |line: &&&[u8]| {
            line.split(|&byte| byte == b':')
                .next()
                .is_some_and(|found| found.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
        };
        lines[1..].iter().filter(is_it).count()
    };
    let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
    assert!(lengths + codings <= 1, "two lengths");
    assert!(named("host") <= 1, "two hosts");
}

/// The data of a body, and where it ended if it did; or why it is refused, after which data.
pub type Reading = (Vec<u8>, Result<Option<usize>, Malformed>);

/// Reads a body that comes in pieces of these sizes, over and over.
pub fn body(framing: Framing, bytes: &[u8], mut pieces: impl FnMut() -> usize) -> Reading {
    let mut decoder = Decoder::new(framing);
    let (mut data, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        match decoder.decode(&bytes[start..end]) {
            Err(error) => return (data, Err(error)),
            Ok(Decoded::Data(range)) => {
                assert!(!range.is_empty(), "a step that takes nothing");
                data.extend_from_slice(&bytes[start + range.start..start + range.end]);
                start += range.end;
            }
            Ok(Decoded::End(used)) => return (data, Ok(Some(start + used))),
            Ok(Decoded::More(used)) => {
                start += used;
                if end == bytes.len() {
                    return (data, Ok(None));
                }
                end = (end + pieces().max(1)).min(bytes.len());
            }
        }
    }
}
