//! Malformed and ambiguous requests: 400, connection closed, nothing forwarded.

use switchyard_tests::{Gateway, Member, scripts};

use crate::conf::everything_to;

/// What must be refused, as it goes over the wire.
const REFUSED: &[(&str, &[u8])] = &[
    ("both lengths", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("both lengths, the other way", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    ("list of lengths", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 4\r\n\r\nabcd"),
    ("signed length", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc"),
    ("negative length", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"),
    ("empty length", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n"),
    ("overflowing length", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
    ("HTTP/1.0 with a coding", b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("another coding", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("chunked not last", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("chunked twice", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("gzip before chunked", b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("bare LF in the head", b"GET / HTTP/1.1\nHost: h\n\n"),
    ("bare LF in a field", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\nY: b\r\n\r\n"),
    ("bare CR in a field", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n"),
    ("obs-fold", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
    ("fold before any field", b"GET / HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n"),
    ("blank before a colon", b"GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
    ("blank in a name", b"GET / HTTP/1.1\r\nHost: h\r\nX Y: a\r\n\r\n"),
    ("field without a colon", b"GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"),
    ("empty field name", b"GET / HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n"),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
    ("control in a value", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\n\r\n"),
    ("NUL in the target", b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("blank in the target", b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("missing Host", b"GET / HTTP/1.1\r\n\r\n"),
    ("empty Host", b"GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"),
    ("two Hosts that differ", b"GET / HTTP/1.1\r\nHost: h\r\nHost: evil\r\n\r\n"),
    ("Host with userinfo", b"GET / HTTP/1.1\r\nHost: user@h\r\n\r\n"),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    ("Host with a bad port", b"GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n"),
    ("Host with blanks", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("Host and target differ", b"GET http://one/ HTTP/1.1\r\nHost: two\r\n\r\n"),
    ("target with userinfo", b"GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("target of another scheme", b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("target without a slash", b"GET x HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("asterisk with GET", b"GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("two blanks in the line", b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("tabs in the line", b"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n"),
    ("method with a separator", b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("blank before the method", b" GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("another protocol", b"GET / FOO/1.1\r\nHost: h\r\n\r\n"),
    ("lower case protocol", b"GET / http/1.1\r\nHost: h\r\n\r\n"),
    ("HTTP/0.9", b"GET /\r\n\r\n"),
];

#[test]
fn malformed_and_ambiguous_requests_are_refused_and_not_forwarded() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    for (what, bytes) in REFUSED {
        let mut client = gateway.connect();
        client.send(bytes);
        let response = client
            .try_response()
            .unwrap_or_else(|e| panic!("{what}: no answer but {e:?}"));
        assert!(
            matches!(response.status, 400 | 501 | 505),
            "{what}: {response:?}"
        );
        assert!(
            response.head.closes(),
            "{what}: the client is told that the connection ends: {response:?}"
        );
        client.expect_closed();
        assert_eq!(
            a.hits(),
            0,
            "{what} was forwarded: {:?}",
            a.last().head.raw.escape_ascii().to_string()
        );
    }
    assert_eq!(gateway.get("/").status, 200, "the gateway goes on");
}

/// Requests whose head is in order and whose chunked body is not.
const BAD_CHUNKS: &[(&str, &[u8])] = &[
    ("size in decimal prefix", b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("signed size", b"+3\r\nabc\r\n0\r\n\r\n"),
    ("no size", b"\r\nabc\r\n0\r\n\r\n"),
    ("overflowing size", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("LF after the size", b"3\nabc\r\n0\r\n\r\n"),
    ("LF after the data", b"3\r\nabc\n0\r\n\r\n"),
    ("data longer than the size", b"3\r\nabcdef\r\n0\r\n\r\n"),
    ("NUL in an extension", b"3;a=\0\r\nabc\r\n0\r\n\r\n"),
    ("bare CR in an extension", b"3;a=\rb\r\nabc\r\n0\r\n\r\n"),
    ("folded trailer", b"0\r\nX: a\r\n b\r\n\r\n"),
    ("trailer without a colon", b"0\r\nnonsense\r\n\r\n"),
];

#[test]
fn malformed_chunks_are_refused_and_no_second_request_comes_of_them() {
    let a = Member::start("a", scripts::echo());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    for (what, body) in BAD_CHUNKS {
        let mut client = gateway.connect();
        client.send(b"POST /first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        client
            .send(body)
            .send(b"GET /second HTTP/1.1\r\nHost: h\r\n\r\n");
        let response = client
            .try_response()
            .unwrap_or_else(|e| panic!("{what}: no answer but {e:?}"));
        assert_eq!(response.status, 400, "{what}: {response:?}");
        client.expect_closed();
    }
    assert!(
        a.seen().iter().all(|seen| seen.target() == "/first"),
        "no member saw what followed"
    );
}

#[test]
fn what_follows_a_refused_request_on_the_connection_is_not_read() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\nGET /second HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert_eq!(client.response().status, 400);
    client.expect_closed();
    assert_eq!(a.hits(), 0);
}

#[test]
fn the_refusal_arrives_although_the_client_goes_on_sending() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2000000\r\n\r\n",
    );
    for _ in 0..20 {
        if client.try_send(vec![b'x'; 100_000]).is_err() {
            break;
        }
    }
    // Closing with unread input would answer with a reset and lose the response.
    assert_eq!(client.response().status, 400);
}

#[test]
fn well_formed_oddities_are_served() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    for request in [
        &b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhOsT:h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\t h \t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        b"GET /?a=[]&b={}|^ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: caf\xc3\xa9\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let response = gateway.raw(request);
        assert!(response.status < 400 || response.status == 404, "{}: {response:?}", request.escape_ascii());
    }
}
