//! The client's side: raw bytes out, answers in.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    wait::DEADLINE,
    wire::{Broken, Head, Response, Stop, Wire},
};

/// One connection to the gateway.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE)
            .unwrap_or_else(|e| panic!("connect {addr}: {e}"));
        Self {
            wire: Wire::new(stream, DEADLINE),
        }
    }

    /// Connects with another deadline for each wait.
    #[track_caller]
    pub fn patient(addr: SocketAddr, deadline: Duration) -> Self {
        let mut client = Self::connect(addr);
        client.wire.deadline = deadline;
        client
    }

    /// The reader and the socket.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).expect("the gateway takes the bytes");
        self
    }

    /// Sends bytes; the gateway may have closed meanwhile.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.send(bytes.as_ref())
    }

    /// The final answer to anything but HEAD.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response()
            .unwrap_or_else(|e| panic!("no whole answer: {e:?}"))
    }

    /// The final answer, or how it broke.
    pub fn try_response(&mut self) -> Result<Response, Broken> {
        self.wire.response(false)
    }

    /// The answer to HEAD.
    #[track_caller]
    pub fn bodiless(&mut self) -> Response {
        self.wire
            .response(true)
            .unwrap_or_else(|e| panic!("no whole answer: {e:?}"))
    }

    /// The next head, interim ones included.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        self.wire
            .head()
            .unwrap_or_else(|e| panic!("no head: {e:?}"))
    }

    /// Sends a request and reads its answer; the connection stays.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Response {
        self.send(request.bytes());
        if request.method == "HEAD" {
            self.bodiless()
        } else {
            self.response()
        }
    }

    /// `GET path` on this connection.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.ask(&Request::get(path))
    }

    /// Exactly `n` bytes.
    #[track_caller]
    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.wire.exactly(n, &mut bytes);
        assert_eq!(read, Ok(()), "after {}", bytes.escape_ascii());
        bytes
    }

    /// Waits for the end of the stream and returns what came before it.
    #[track_caller]
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.wire.to_end(&mut rest) {
            Ok(()) | Err(Stop::Reset) => rest,
            Err(e) => panic!("not closed: {e:?} after {}", rest.escape_ascii()),
        }
    }

    /// Asserts that the gateway closes without another byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let rest = self.until_closed();
        assert!(
            rest.is_empty(),
            "unexpected bytes before the close: {}",
            rest.escape_ascii()
        );
    }

    /// Leaves at once, with a reset.
    pub fn reset(self) {
        self.wire.reset_on_close();
    }
}

/// A well-formed request, in parts.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    host: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method; the host is `front.example.com`.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.into(),
            target: target.into(),
            host: "front.example.com".into(),
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// POST with a Content-Length.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        let mut request = Self::new("POST", target).field("Content-Length", &length);
        request.body = body;
        request
    }

    /// Another host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// One more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// `Cookie: …`
    #[must_use]
    pub fn cookie(self, cookie: &str) -> Self {
        self.field("Cookie", cookie)
    }

    /// On the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = format!(
            "{} {} HTTP/1.1\r\nHost: {}\r\n",
            self.method, self.target, self.host
        );
        for (name, value) in &self.fields {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}
