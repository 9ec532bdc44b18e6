//! Lines as they are written, and files as they come and go.

mod events;
mod files;
mod formats;

use std::time::{Duration, UNIX_EPOCH};

use super::Record;

fn request(name: &str) -> Option<Vec<u8>> {
    match name {
        "referer" => Some(b"http://www.example.com/start".to_vec()),
        "user-agent" => Some(b"curl/8\" x \n\xff".to_vec()),
        "cookie" => Some(b"a=1; JSESSIONID=ABC.worker1; b".to_vec()),
        "x-empty" => Some(Vec::new()),
        _ => None,
    }
}

fn response(name: &str) -> Option<Vec<u8>> {
    (name == "content-type").then(|| b"text/html".to_vec())
}

/// A request that was balanced, with fields of its own.
fn with_record<'a, T>(use_it: impl FnOnce(Record<'a>) -> T) -> T {
    use_it(Record {
        client: [203, 0, 113, 7].into(),
        peer: ([10, 0, 0, 9], 51_000).into(),
        local: ([10, 0, 0, 1], 8_080).into(),
        started: UNIX_EPOCH + Duration::from_micros(1_795_391_292_045_678),
        duration: Duration::from_micros(1_234_567),
        method: "GET",
        target: "/Test/a%20b?x=1&y=%22",
        version: "HTTP/1.1",
        host: "www.example.com",
        status: 200,
        body_bytes: 1_000,
        head_bytes: 200,
        received_bytes: 345,
        tenant: "acme",
        vhost: "example",
        route: "/Test",
        balancer: "mycluster",
        member: "http://10.0.0.11:8080/Test",
        member_route: "worker2",
        session_route: "worker1",
        moved: true,
        attempts: 2,
        policy: "byrequests",
        policy_time: Duration::from_nanos(7_900),
        error: "",
        keepalive_index: 3,
        kept: true,
        aborted: false,
        request_header: &request,
        response_header: &response,
    })
}
