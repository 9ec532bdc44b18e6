//! What is taken as an answer's head is written and read again as the same answer.

#![no_main]

use http::Method;
use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::{
    http1::{Bounds, Framing, ResponseHead, interim, response_head},
    wire::{BOUNDS, assert_plain, head, kept, lines},
};

/// With room for what is written beside a member's fields.
const AGAIN: Bounds = Bounds {
    head_size: 2 * BOUNDS.head_size,
    field_count: BOUNDS.field_count + 2,
};

fuzz_target!(|bytes: &[u8]| {
    let Some(head) = head(bytes) else {
        return;
    };
    let to_head = ResponseHead::parse(head, &Method::HEAD, BOUNDS);
    let Ok(read) = ResponseHead::parse(head, &Method::GET, BOUNDS) else {
        assert!(to_head.is_err(), "the method decides what is well-formed");
        return;
    };
    let to_head = to_head.expect("the method decides what is well-formed");
    assert_eq!(to_head.framing, Framing::None);
    assert!((100..600).contains(&read.status));
    assert!(!(read.framing == Framing::Close && read.keep_alive()));

    let fields = kept(&read.fields);
    let mut out = Vec::new();
    if read.is_interim() {
        interim(&mut out, read.status, &fields);
    } else {
        response_head(&mut out, read.status, &fields, read.framing, Some("close"));
    }
    assert_plain(&out);

    let again = ResponseHead::parse(&out, &Method::GET, AGAIN).expect("what we write, we read");
    assert_eq!(again.status, read.status);
    assert_eq!(lines(&kept(&again.fields)), lines(&fields));
    // An empty body is written without a length here: the caller knows whom it would mislead.
    if read.framing != Framing::None {
        assert_eq!(again.framing, read.framing);
    }
});
