//! Members that answer at once: one thread, one poll loop, answers made beforehand.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read},
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};

use super::{
    head::{chunks, field, find},
    process::pin,
    served::Served,
};

/// What a request for `/Test/echo` gets: its own head, so that one can see what a front made of it.
const ECHO: &[u8] = b"GET /Test/echo";
/// 16 KiB: a request's head and the beginning of a body.
const BUFFER: usize = 16 * 1024;
/// 1 MiB: what is kept of a request that is not whole yet.
const MOST_INPUT: usize = 1 << 20;

/// Running members. Dropping them ends them.
#[derive(Debug)]
pub struct Origin {
    /// Of each member, in order: `worker1` is the first.
    pub addresses: Vec<SocketAddr>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts so many members on free ports, whose answers have 200 bytes.
    pub fn start(members: usize, cores: &[usize]) -> io::Result<Self> {
        Self::with(members, 200, cores)
    }

    /// Likewise with answers of `length` bytes.
    pub fn with(members: usize, length: usize, cores: &[usize]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let body = vec![b'x'; length];
        let mut listeners = Vec::with_capacity(members);
        let mut addresses = Vec::with_capacity(members);
        for member in 0..members {
            let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            let address = listener.local_addr()?;
            poll.registry()
                .register(&mut listener, Token(member), Interest::READABLE)?;
            listeners.push((listener, Arc::new(answer(member, address, &body)?)));
            addresses.push(address);
        }
        let waker = Arc::new(Waker::new(poll.registry(), Token(members))?);
        let cores = cores.to_vec();
        let thread = thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || {
                let _ = pin(&cores);
                let mut server = Server {
                    poll,
                    listeners,
                    connections: Vec::new(),
                    free: Vec::new(),
                    buffer: vec![0; BUFFER],
                };
                if let Err(cause) = server.run() {
                    eprintln!("the members for measuring ended: {cause}");
                }
            })?;
        Ok(Self {
            addresses,
            waker,
            thread: Some(thread),
        })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What member number `member` (from 0) answers: an address and a cookie path of its own, which a
/// gateway must map, and its name.
fn answer(member: usize, address: SocketAddr, body: &[u8]) -> io::Result<Served> {
    let worker = member + 1;
    let head = format!(
        "HTTP/1.1 201 Created\r\nServer: origin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Location: http://{address}/Test/orders/4711\r\n\
         Set-Cookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF.worker{worker}; Path=/Test; HttpOnly\r\n\
         X-Worker: worker{worker}\r\n\r\n",
        body.len()
    );
    Served::new([head.as_bytes(), body].concat())
}

fn echo(head: &[u8]) -> io::Result<Served> {
    let start = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len());
    Served::new([start.as_bytes(), head].concat())
}

struct Connection {
    stream: TcpStream,
    answer: Arc<Served>,
    /// Received and not yet a whole head.
    input: Vec<u8>,
    /// Bytes of a request's body that are still to come.
    body: usize,
    /// Answered and not yet taken, and how much was taken of the first.
    output: VecDeque<Arc<Served>>,
    taken: usize,
}

impl Connection {
    /// Reads and answers all there is; an error where the connection is over.
    fn serve(&mut self, buffer: &mut [u8], ends: bool) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.receive(&buffer[..length])?;
                    // Less than was asked for: there is no more.
                    if length < buffer.len() && !ends {
                        break;
                    }
                }
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        while let Some(answer) = self.output.front() {
            match answer.send(&self.stream, self.taken) {
                Ok(length) => self.taken += length,
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
            if self.taken == answer.len() {
                self.output.pop_front();
                self.taken = 0;
            }
        }
        Ok(())
    }

    fn receive(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let skipped = self.body.min(bytes.len());
        bytes = &bytes[skipped..];
        self.body -= skipped;
        if skipped > 0 && self.body == 0 {
            self.output.push_back(Arc::clone(&self.answer));
        }
        self.input.extend_from_slice(bytes);
        while let Some(end) = find(&self.input, b"\r\n\r\n") {
            let (head, rest) = self.input.split_at(end + 4);
            let body = match length(head, rest)? {
                Some(body) => body,
                None if self.input.len() < MOST_INPUT => break,
                None => return Err(ErrorKind::InvalidData.into()),
            };
            let answer = match head.starts_with(ECHO) {
                true => Arc::new(echo(head)?),
                false => Arc::clone(&self.answer),
            };
            let there = body.min(rest.len());
            self.input.drain(..end + 4 + there);
            self.body = body - there;
            if self.body > 0 {
                break;
            }
            self.output.push_back(answer);
        }
        Ok(())
    }
}

/// Of a request's body; nothing where only its end will tell.
fn length(head: &[u8], rest: &[u8]) -> io::Result<Option<usize>> {
    let broken = || io::Error::from(ErrorKind::InvalidData);
    if head.starts_with(b"GET ") {
        return Ok(Some(0));
    }
    match field(head, "content-length") {
        Some(length) => std::str::from_utf8(length)
            .ok()
            .and_then(|length| length.parse().ok())
            .map(Some)
            .ok_or_else(broken),
        None if field(head, "transfer-encoding").is_some() => chunks(rest).map_err(|()| broken()),
        None => Ok(Some(0)),
    }
}

struct Server {
    poll: Poll,
    listeners: Vec<(TcpListener, Arc<Served>)>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Server {
    fn run(&mut self) -> io::Result<()> {
        let stop = self.listeners.len();
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token().0 {
                    token if token < stop => self.accept(token)?,
                    token if token == stop => return Ok(()),
                    token => {
                        let slot = token - stop - 1;
                        let ends = event.is_read_closed() || event.is_error();
                        let Some(Some(connection)) = self.connections.get_mut(slot) else {
                            continue;
                        };
                        if connection.serve(&mut self.buffer, ends).is_err() {
                            self.connections[slot] = None;
                            self.free.push(slot);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self, member: usize) -> io::Result<()> {
        loop {
            let (listener, answer) = &self.listeners[member];
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client went away before it was looked at.
                Err(cause) if cause.kind() == ErrorKind::ConnectionAborted => continue,
                Err(cause) => return Err(cause),
            };
            let _ = stream.set_nodelay(true);
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let token = Token(self.listeners.len() + 1 + slot);
            self.poll.registry().register(
                &mut stream,
                token,
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.connections[slot] = Some(Connection {
                stream,
                answer: Arc::clone(answer),
                input: Vec::new(),
                body: 0,
                output: VecDeque::new(),
                taken: 0,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{http::Client, load::head};

    #[test]
    fn each_member_names_itself_and_its_address() {
        let origin = Origin::start(2, &[]).unwrap();
        for (index, address) in origin.addresses.iter().enumerate() {
            let mut client = Client::new(*address);
            for _ in 0..3 {
                let answer = client.get("/Test/orders", &[]).unwrap();
                assert_eq!(answer.status, 201);
                assert_eq!(answer.body, [b'x'; 200]);
                assert_eq!(
                    answer.header("x-worker"),
                    Some(format!("worker{}", index + 1).as_str())
                );
                assert_eq!(
                    answer.header("location"),
                    Some(format!("http://{address}/Test/orders/4711").as_str())
                );
            }
            assert_eq!(client.closed, 0);
        }
    }

    #[test]
    fn large_answers_are_whole() {
        let origin = Origin::with(1, 1 << 20, &[]).unwrap();
        let mut client = Client::new(origin.addresses[0]);
        for _ in 0..2 {
            let answer = client.get("/Test/orders", &[]).unwrap();
            assert!(answer.body == vec![b'x'; 1 << 20]);
        }
    }

    #[test]
    fn an_echo_shows_what_came() {
        let origin = Origin::start(1, &[]).unwrap();
        let mut client = Client::new(origin.addresses[0]);
        let answer = client.get("/Test/echo", &[("X-Seen", "so")]).unwrap();
        assert!(answer.text().contains("X-Seen: so\r\n"), "{answer:?}");
        assert_eq!(client.get("/Test/orders", &[]).unwrap().status, 201);
    }

    #[test]
    fn a_body_is_taken_whole_before_the_answer() {
        let origin = Origin::start(1, &[]).unwrap();
        let body = "b".repeat(40_000);
        let known = format!("POST /Test/x HTTP/1.1\r\nContent-Length: 40000\r\n\r\n{body}");
        let chunked = format!(
            "POST /Test/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9c40\r\n{body}\r\n0\r\n\r\n"
        );
        let mut stream = std::net::TcpStream::connect(origin.addresses[0]).unwrap();
        for request in [known, chunked] {
            let (most, last) = request.split_at(request.len() - 1);
            stream.write_all(most.as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            assert_eq!(
                stream.read(&mut [0]).unwrap_err().kind(),
                ErrorKind::WouldBlock
            );
            stream.set_nonblocking(false).unwrap();
            stream.write_all(last.as_bytes()).unwrap();
            let mut answer = Vec::new();
            while head::parse(&answer)
                .unwrap()
                .is_none_or(|parsed| parsed.length > answer.len())
            {
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).unwrap();
                assert!(length > 0);
                answer.extend_from_slice(&buffer[..length]);
            }
            assert_eq!(head::parse(&answer).unwrap().unwrap().length, answer.len());
        }
    }
}
