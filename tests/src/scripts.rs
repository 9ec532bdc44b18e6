//! What members do, good and bad. Each function gives a script for [`Member::start`](crate::Member::start).

use crate::exchange::{After, Exchange, Script};

/// A whole answer with a length.
pub fn reply(status: &str, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut out = out.into_bytes();
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

/// 200 with the member's name as body and in `X-Member`.
pub fn name() -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    |exchange| {
        if exchange.read_body().is_err() {
            return After::Close;
        }
        let name = exchange.member.name.clone();
        let body = if exchange.head.word(0) == "HEAD" {
            ""
        } else {
            &name
        };
        exchange.send(reply(
            "200 OK",
            &[("X-Member", &name), ("Content-Type", "text/plain")],
            body,
        ));
        After::Keep
    }
}

/// 200 with the request's head and body as body.
pub fn echo() -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    |exchange| {
        let Ok(body) = exchange.read_body() else {
            return After::Close;
        };
        let mut text = exchange.head.raw.clone();
        text.extend_from_slice(&body);
        let name = exchange.member.name.clone();
        exchange.send(reply(
            "200 OK",
            &[("X-Member", &name), ("Content-Type", "text/plain")],
            text,
        ));
        After::Keep
    }
}

/// The given answer with these fields.
pub fn answer(
    status: &'static str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    let bytes = reply(status, fields, body);
    move |exchange| {
        if exchange.read_body().is_err() {
            return After::Close;
        }
        exchange.send(&bytes);
        After::Keep
    }
}

/// Exactly these bytes once the request is there, then `after`.
pub fn bytes(
    raw: impl AsRef<[u8]>,
    after: After,
) -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    let raw = raw.as_ref().to_vec();
    move |exchange| {
        if exchange.read_body().is_err() {
            return After::Close;
        }
        exchange.send(&raw);
        after
    }
}

/// Takes the request and never answers, until the gateway leaves.
pub fn hang() -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    |exchange| {
        exchange.until_closed();
        exchange.note("left");
        After::Close
    }
}

/// All the ways to take a request and answer nothing, each with a word for messages.
pub fn without_answer() -> Vec<(&'static str, Box<Script>)> {
    const PART: &str = "HTTP/1.1 200 OK\r\nX: ";
    vec![
        ("closes", Box::new(silent(After::Close))),
        ("resets", Box::new(silent(After::Reset))),
        (
            "closes within the head",
            Box::new(bytes(PART, After::Close)),
        ),
        (
            "resets within the head",
            Box::new(bytes(PART, After::Reset)),
        ),
        ("hangs", Box::new(hang())),
    ]
}

/// Sends these bytes, then nothing more until the gateway leaves.
pub fn then_hang(
    raw: impl AsRef<[u8]>,
) -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    let raw = raw.as_ref().to_vec();
    move |exchange| {
        exchange.send(&raw);
        exchange.until_closed();
        exchange.note("left");
        After::Close
    }
}

/// Takes the request and ends the connection without a byte.
pub fn silent(after: After) -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    move |_| after
}

/// Reads the request, holds it at the gate, then answers with the member's name.
pub fn held() -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    |exchange| {
        if exchange.read_body().is_err() {
            return After::Close;
        }
        exchange.note("holding");
        exchange.wait_at_gate();
        let name = exchange.member.name.clone();
        if exchange.send(reply("200 OK", &[("X-Member", &name)], &name)) {
            After::Keep
        } else {
            After::Close
        }
    }
}

/// Head and first chunk at once, the rest when the gate opens.
pub fn streamed() -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    |exchange| {
        let name = exchange.member.name.clone();
        exchange.send(format!("HTTP/1.1 200 OK\r\nX-Member: {name}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"));
        exchange.wait_at_gate();
        if exchange.send("6\r\nsecond\r\n0\r\n\r\n") {
            After::Keep
        } else {
            After::Close
        }
    }
}

/// Accepts an upgrade to `websocket` and echoes bytes until the end.
pub fn websocket_echo() -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    |exchange| {
        exchange.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        loop {
            let bytes = exchange.some();
            if bytes.is_empty() || !exchange.send(&bytes) {
                exchange.note("tunnel closed");
                return After::Close;
            }
        }
    }
}

/// `n` bytes with a length: the letter `x`.
pub fn sized(n: usize) -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    move |exchange| {
        if exchange.read_body().is_err() {
            return After::Close;
        }
        let name = exchange.member.name.clone();
        if exchange.send(reply("200 OK", &[("X-Member", &name)], vec![b'x'; n])) {
            After::Keep
        } else {
            After::Close
        }
    }
}
