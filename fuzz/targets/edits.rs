//! No edits that a policy asks for break the head they are applied to.
//! Each line of the input is one: an operator, the line's number, the name, `:`, the value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::{
    decision::Edit,
    edits::apply,
    http1::{Bounds, Fields, Framing, ResponseHead, response_head},
    wire::{assert_plain, lines},
};

const BOUNDS: Bounds = Bounds {
    head_size: 1 << 20,
    field_count: 1 << 10,
};

fn edit(line: &[u8]) -> Option<Edit> {
    let [operator, index, rest @ ..] = line else {
        return None;
    };
    let colon = rest.iter().position(|&byte| byte == b':')?;
    let name = String::from_utf8_lossy(&rest[..colon]).into_owned();
    // Where lines end is the input's business, so a CR LF is spelled otherwise.
    let value: Vec<u8> = rest[colon + 1..]
        .iter()
        .map(|&byte| if byte == b'|' { b'\n' } else { byte })
        .collect();
    let index = u32::from(index.wrapping_sub(b'0'));
    Some(match operator {
        b'=' => Edit::Set(name, value),
        b'+' => Edit::Append(name, value),
        b'-' => Edit::Remove(name),
        b'!' => Edit::ReplaceLine(name, index, value),
        b'~' => Edit::RemoveLine(name, index),
        _ => return None,
    })
}

fuzz_target!(|bytes: &[u8]| {
    let edits: Vec<_> = bytes
        .split(|&byte| byte == b'\n')
        .filter_map(edit)
        .take(64)
        .collect();
    let mut fields = Fields::new();
    for (name, value) in [
        ("Set-Cookie", "a=1"),
        ("X", "x"),
        ("set-cookie", "b=2"),
        ("Location", "/"),
    ] {
        fields.push(name, value.as_bytes());
    }
    let before = lines(&fields);
    if apply(&mut fields, &edits).is_err() {
        assert_eq!(lines(&fields), before, "all edits or none");
        return;
    }
    let mut out = Vec::new();
    response_head(&mut out, 200, &fields, Framing::Length(3), Some("close"));
    assert_plain(&out);
    let again =
        ResponseHead::parse(&out, &http::Method::GET, BOUNDS).expect("what we write, we read");
    assert_eq!((again.status, again.framing), (200, Framing::Length(3)));
    assert_eq!(again.fields.len(), fields.len() + 2, "one line a field");
});
