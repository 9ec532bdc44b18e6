//! Members that answer at once: one thread, one poll loop, answers made beforehand.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};

use super::{head::find, process::pin};

/// 200 bytes, as long as a small JSON answer.
const BODY: &[u8] = &[b'x'; 200];

/// Running members. Dropping them ends them.
#[derive(Debug)]
pub struct Origin {
    /// Of each member, in order: `worker1` is the first.
    pub addresses: Vec<SocketAddr>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts so many members on free ports.
    pub fn start(members: usize, core: Option<usize>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listeners = Vec::with_capacity(members);
        let mut addresses = Vec::with_capacity(members);
        for member in 0..members {
            let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            let address = listener.local_addr()?;
            poll.registry()
                .register(&mut listener, Token(member), Interest::READABLE)?;
            listeners.push((listener, answer(member, address)));
            addresses.push(address);
        }
        let waker = Arc::new(Waker::new(poll.registry(), Token(members))?);
        let thread = thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || {
                if let Some(core) = core {
                    let _ = pin(core);
                }
                let mut server = Server {
                    poll,
                    listeners,
                    connections: Vec::new(),
                    free: Vec::new(),
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
fn answer(member: usize, address: SocketAddr) -> Vec<u8> {
    let worker = member + 1;
    let head = format!(
        "HTTP/1.1 201 Created\r\nServer: origin\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Location: http://{address}/Test/orders/4711\r\n\
         Set-Cookie: JSESSIONID=0123456789ABCDEF0123456789ABCDEF.worker{worker}; Path=/Test; HttpOnly\r\n\
         X-Worker: worker{worker}\r\n\r\n",
        BODY.len()
    );
    [head.as_bytes(), BODY].concat()
}

struct Connection {
    stream: TcpStream,
    member: usize,
    /// Received and not yet a whole head.
    input: Vec<u8>,
    /// Answered and not yet taken.
    output: Vec<u8>,
}

struct Server {
    poll: Poll,
    listeners: Vec<(TcpListener, Vec<u8>)>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
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
                        if !self.serve(slot) {
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
            let mut stream = match self.listeners[member].0.accept() {
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
                member,
                input: Vec::new(),
                output: Vec::new(),
            });
        }
    }

    /// Reads and answers all there is; false where the connection is over.
    fn serve(&mut self, slot: usize) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(slot) else {
            return true;
        };
        let mut buffer = [0; 16 * 1024];
        loop {
            match connection.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => connection.input.extend_from_slice(&buffer[..length]),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        // Only requests without a body are sent here, so each ends with its head.
        while let Some(end) = find(&connection.input, b"\r\n\r\n") {
            connection.input.drain(..end + 4);
            connection
                .output
                .extend_from_slice(&self.listeners[connection.member].1);
        }
        while !connection.output.is_empty() {
            match connection.stream.write(&connection.output) {
                Ok(written) => drop(connection.output.drain(..written)),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    #[test]
    fn each_member_names_itself_and_its_address() {
        let origin = Origin::start(2, None).unwrap();
        for (index, address) in origin.addresses.iter().enumerate() {
            let mut client = Client::new(*address);
            for _ in 0..3 {
                let answer = client.get("/Test/orders", &[]).unwrap();
                assert_eq!(answer.status, 201);
                assert_eq!(answer.body, BODY);
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
}
