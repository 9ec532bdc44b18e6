//! What is written is read back as it was, and how bytes arrive changes nothing.

use http::Method;
use proptest::prelude::*;

use super::{
    Bounds, CHUNK_END, Decoded, Decoder, Fields, Framing, HeadScanner, Line, Malformed, NameSet,
    RequestHead, RequestLine, ResponseHead, Scan, Target, Version, chunk_head, end_chunks,
    is_hop_by_hop, name_bit, request_head, response_head,
};

const BOUNDS: Bounds = Bounds {
    head_size: 16 * 1024,
    field_count: 16,
};

/// A field that a caller may give to the writer: what frames the message it writes itself.
fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}".prop_filter("the writer's own", |name| {
        let own = ["host", "expect"];
        !is_hop_by_hop(name) && !own.iter().any(|own| name.eq_ignore_ascii_case(own))
    });
    let legal = prop_oneof![9 => 0x20..=0x7e_u8, 2 => 0x80..=0xff_u8, 1 => Just(b'\t')];
    // Blanks around a value are no part of it (RFC 9110 5.5).
    let value = prop::collection::vec(legal, 0..40).prop_map(|value| value.trim_ascii().to_vec());
    (name, value)
}

fn fields() -> impl Strategy<Value = Fields> {
    prop::collection::vec(field(), 0..10).prop_map(|lines| {
        let mut fields = Fields::new();
        lines
            .iter()
            .for_each(|(name, value)| fields.push(name, value));
        fields
    })
}

/// Of messages that have a body: up to the largest length that is taken.
fn framing() -> impl Strategy<Value = Framing> {
    let length = prop_oneof![1..100_u64, 1..=999_999_999_999_999_999_u64];
    prop_oneof![
        2 => length.prop_map(Framing::Length),
        1 => Just(Framing::Chunked),
    ]
}

fn lines(fields: &Fields) -> Vec<(&str, &[u8])> {
    fields.iter().map(|line| (line.name, line.value)).collect()
}

/// The lines of `read` that were given to the writer, in order: neither its own nor those named in `own`.
fn given<'a>(read: &'a Fields, own: &[&str]) -> Vec<(&'a str, &'a [u8])> {
    let is_own = |name: &str| own.iter().any(|own| name.eq_ignore_ascii_case(own));
    lines(read)
        .into_iter()
        .filter(|(name, _)| !is_hop_by_hop(name) && !is_own(name))
        .collect()
}

/// The head at the start of `bytes`, which are followed by a body's first ones.
fn delimited(bytes: &[u8]) -> &[u8] {
    let body = [bytes, b"\r\n\r\nbody"].concat();
    let end = HeadScanner::default().look(&body, BOUNDS.head_size);
    assert_eq!(end, Ok(Scan::Complete(bytes.len())));
    bytes
}

/// Bytes in which line ends are as frequent as they are decisive.
fn lines_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        8 => prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
        // About as long as lines may be.
        1 => (200..300_usize).prop_map(|length| vec![b'a'; length]),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

/// Where the pieces of `length` bytes end.
fn ends(length: usize, sizes: &[usize]) -> Vec<usize> {
    let mut ends: Vec<_> = sizes
        .iter()
        .cycle()
        .scan(0, |end, size| {
            *end += size;
            Some(*end)
        })
        .take_while(|end| *end < length)
        .collect();
    ends.push(length);
    ends
}

/// The data of a chunked body, and how it ended: where, not at all, or for which fault.
fn body(bytes: &[u8], ends: &[usize]) -> (Vec<u8>, Result<Option<usize>, Malformed>) {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut data, mut start) = (Vec::new(), 0);
    for &end in ends {
        loop {
            match decoder.decode(&bytes[start..end]) {
                Err(fault) => return (data, Err(fault)),
                Ok(Decoded::End(used)) => return (data, Ok(Some(start + used))),
                Ok(Decoded::Data(range)) => {
                    data.extend_from_slice(&bytes[start..end][range.clone()]);
                    start += range.end;
                }
                Ok(Decoded::More(used)) => {
                    start += used;
                    break;
                }
            }
        }
    }
    (data, Ok(None))
}

/// What may be done to fields.
#[derive(Debug, Clone)]
enum Change {
    Push(&'static str),
    Set(&'static str),
    Remove(&'static str),
    Replace(usize),
    RemoveAt(usize),
    Retain(&'static str),
    Clone,
}

/// In any case, alike in length and letters, and with none.
fn any_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "A",
        "cookie",
        "COOKIE",
        "Set-Cookie",
        "link",
        "LINK",
        "lank",
        "x-a",
        "X_A",
        "",
    ])
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any_name().prop_map(Change::Push),
        any_name().prop_map(Change::Set),
        any_name().prop_map(Change::Remove),
        (0..9_usize).prop_map(Change::Replace),
        (0..9_usize).prop_map(Change::RemoveAt),
        any_name().prop_map(Change::Retain),
        Just(Change::Clone),
    ]
}

fn changed(fields: &mut Fields, change: Change) {
    match change {
        Change::Push(name) => fields.push(name, b"1"),
        Change::Set(name) => fields.set(name, b"2"),
        Change::Remove(name) => fields.remove(name),
        Change::Replace(at) if at < fields.len() => fields.replace_at(at, b"3"),
        Change::RemoveAt(at) => fields.remove_at(&[at]),
        Change::Retain(name) => fields.retain(|line| !line.name.eq_ignore_ascii_case(name)),
        Change::Clone => *fields = fields.clone(),
        Change::Replace(_) => {}
    }
}

proptest! {
    #[test]
    fn whatever_is_done_to_fields_a_name_without_its_bit_is_not_there(
        sent in prop::collection::vec(field(), 0..4),
        changes in prop::collection::vec(change(), 0..12),
        asked in any_name(),
    ) {
        static SET: NameSet = NameSet::new(&["A", "cookie", "link", "x_a"]);
        let mut head = b"GET / HTTP/1.1\r\nhost: a\r\n".to_vec();
        for (name, _) in &sent {
            head.extend_from_slice(format!("{name}: 0\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let mut fields = RequestHead::parse(&head, BOUNDS).unwrap().fields;
        for change in changes {
            changed(&mut fields, change);
            for line in fields.iter() {
                prop_assert!(fields.seen() & name_bit(line.name) != 0, "{}", line.name);
                prop_assert!(fields.seen() & name_bit(&line.name.to_ascii_uppercase()) != 0);
                prop_assert_eq!(line.is_in(&SET), SET.contains(line.name), "{}", line.name);
            }
            let is_asked = |line: &Line<'_>| line.name.eq_ignore_ascii_case(asked);
            prop_assert_eq!(fields.contains(asked), fields.iter().any(|line| is_asked(&line)));
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written(
        method in "[A-Z!#$%&'*+.^_`|~a-z-]{1,32}",
        target in "/[!-~]{0,60}",
        host in "[a-z0-9.-]{1,20}(:[1-9][0-9]{0,3})?",
        framing in prop_oneof![1 => Just(Framing::None), 1 => Just(Framing::Length(0)), 3 => framing()],
        expect_continue: bool,
        upgrade in prop::option::of("[a-z]{1,10}"),
        fields in fields(),
    ) {
        prop_assume!(method != "CONNECT");
        let upgrade = upgrade.as_deref();
        let line = RequestLine { method: &method, target: &target, host: &host, framing, expect_continue, upgrade };
        let mut out = Vec::new();
        request_head(&mut out, line, &fields);
        let read = RequestHead::parse(delimited(&out), BOUNDS).unwrap();
        prop_assert_eq!(read.method.as_str(), method);
        prop_assert_eq!(&read.target, &Target::Origin(target));
        prop_assert_eq!(read.version, Version::Http11);
        prop_assert_eq!(read.framing, framing);
        prop_assert_eq!(read.upgrade(), upgrade);
        prop_assert_eq!(read.fields.all("host").collect::<Vec<_>>(), [host.as_bytes()]);
        prop_assert_eq!(read.fields.contains("expect"), expect_continue);
        prop_assert_eq!(given(&read.fields, &["host", "expect"]), lines(&fields));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        status in (200..600_u16).prop_filter("has a body", |status| !matches!(status, 204 | 304)),
        framing in prop_oneof![3 => framing(), 1 => Just(Framing::Close)],
        connection in prop::option::of(prop::sample::select(vec!["close", "keep-alive"])),
        fields in fields(),
    ) {
        let mut out = Vec::new();
        response_head(&mut out, status, &fields, framing, connection);
        let read = ResponseHead::parse(delimited(&out), &Method::GET, BOUNDS).unwrap();
        prop_assert_eq!((read.status, read.version, read.framing), (status, Version::Http11, framing));
        prop_assert_eq!(read.keep_alive(), framing != Framing::Close && connection != Some("close"));
        prop_assert_eq!(given(&read.fields, &[]), lines(&fields));
        let to_head = ResponseHead::parse(&out, &Method::HEAD, BOUNDS).unwrap();
        prop_assert_eq!(to_head.framing, Framing::None);
    }

    #[test]
    fn how_a_heads_bytes_arrive_changes_nothing(
        bytes in lines_of(&["\r\n", "\r\n\r\n", "\r", "\n", "GET / HTTP/1.1\r\n", "a: b\r\n", "a"]),
        sizes in prop::collection::vec(1..40_usize, 1..8),
        limit in 1..600_usize,
    ) {
        let whole = HeadScanner::default().look(&bytes, limit);
        let mut scanner = HeadScanner::default();
        let pieces = ends(bytes.len(), &sizes).into_iter();
        let in_pieces = pieces.map(|end| scanner.look(&bytes[..end], limit)).find(|seen| *seen != Ok(Scan::Partial));
        let in_pieces = in_pieces.unwrap_or(Ok(Scan::Partial));
        // Refused either way: which of two faults is met first may differ.
        if whole.is_ok() || in_pieces.is_ok() {
            prop_assert_eq!(in_pieces, whole);
        }
    }

    #[test]
    fn how_a_chunked_bodys_bytes_arrive_changes_nothing(
        bytes in lines_of(&["\r\n", "3\r\nabc\r\n", "0\r\n", "0\r\n\r\n", "a;x=y", "100\r\n", "T: v\r\n", ";", "\r", "\n", "1"]),
        sizes in prop::collection::vec(1..70_usize, 1..8),
    ) {
        let whole = body(&bytes, &[bytes.len()]);
        prop_assert_eq!(body(&bytes, &ends(bytes.len(), &sizes)), whole);
    }

    #[test]
    fn a_chunked_body_ends_where_it_was_ended(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6),
        sizes in prop::collection::vec(1..70_usize, 1..8),
        next in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            chunk_head(&mut wire, chunk.len());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(CHUNK_END);
        }
        end_chunks(&mut wire);
        let end = wire.len();
        wire.extend_from_slice(&next);
        prop_assert_eq!(body(&wire, &ends(wire.len(), &sizes)), (chunks.concat(), Ok(Some(end))));
    }
}

#[test]
fn a_size_line_of_the_greatest_length_is_taken_in_any_pieces_and_a_longer_one_in_none() {
    for (length, taken) in [(256, true), (257, false)] {
        let extension = "a".repeat(length - 2);
        let bytes = format!("1;{extension}\r\nx\r\n0\r\n\r\n").into_bytes();
        for size in [1, 255, 256, 257, 258, 1000] {
            let (_, end) = body(&bytes, &ends(bytes.len(), &[size]));
            assert_eq!(end.is_ok(), taken, "{length} bytes in pieces of {size}");
        }
    }
}
