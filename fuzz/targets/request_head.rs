//! What is taken as a request's head is written and read again as the same request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use switchyard_fuzz::{
    http1::{Framing, RequestHead, RequestLine, Target, request_head},
    routing::Authority,
    wire::{BOUNDS, assert_plain, head, kept, lines},
};

fuzz_target!(|bytes: &[u8]| {
    let Some(Ok(read)) = head(bytes).map(|head| RequestHead::parse(head, BOUNDS)) else {
        return;
    };
    let (_, _) = (read.keep_alive(), read.upgrade());
    let (Target::Origin(target) | Target::Absolute { path: target, .. }) = &read.target else {
        return;
    };
    let given = read.fields.get("host").unwrap_or(b"h");
    let Ok(host) = Authority::parse(given) else {
        return;
    };
    let fields = kept(&read.fields);
    let mut out = Vec::new();
    let line = RequestLine {
        method: read.method.as_str(),
        target,
        host: host.as_str(),
        framing: read.framing,
        expect_continue: false,
        upgrade: None,
    };
    request_head(&mut out, line, &fields);
    assert_plain(&out);

    let bounds = switchyard_fuzz::http1::Bounds {
        head_size: 2 * BOUNDS.head_size,
        field_count: BOUNDS.field_count + 2,
    };
    let again = RequestHead::parse(&out, bounds).expect("what we write, we read");
    assert_eq!(again.method, read.method);
    assert_eq!(again.target, Target::Origin(target.clone()));
    assert_eq!(again.framing, read.framing);
    assert_eq!(again.fields.get("host"), Some(host.as_str().as_bytes()));
    assert_eq!(lines(&kept(&again.fields)), lines(&fields));
    assert_ne!(
        again.framing,
        Framing::Close,
        "requests end before their connection"
    );
});
