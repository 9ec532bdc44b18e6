//! A client with many kept-alive connections: one thread, one poll loop, one request under way on each.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::head::{self, Parsed};

/// Longest wait for answers once no more requests are sent; what is still missing then has failed.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// How long a client that keeps a pace looks away when nothing happens: short beside the time between
/// requests, so that they do not come in bursts.
const GLANCE: Duration = Duration::from_micros(50);

/// What to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// To whom.
    pub server: SocketAddr,
    /// Each with one request under way.
    pub connections: usize,
    /// Whole requests, sent in turn.
    pub requests: Vec<Vec<u8>>,
    /// Stop after so many requests,
    pub count: u64,
    /// or after so long, whichever comes first.
    pub time: Duration,
    /// Requests a second; `None` = as many as are answered.
    pub rate: Option<u32>,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Whole answers with a status below 400.
    pub answered: u64,
    /// Requests with a status from 400 or without a whole answer.
    pub failed: u64,
    /// Connections that ended under a request.
    pub closed: u64,
    /// Connections that an answer ended with `Connection: close`.
    pub ended: u64,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Tally {
    /// What came back before, and this after it.
    pub fn add(&mut self, more: &Self) {
        self.answered += more.answered;
        self.failed += more.failed;
        self.closed += more.closed;
        self.ended += more.ended;
        self.took += more.took;
    }
}

struct Connection {
    number: usize,
    stream: TcpStream,
    input: Vec<u8>,
    /// Of the request under way; what is left to be written.
    output: Vec<u8>,
    is_waiting: bool,
}

/// Sends requests as planned. `answered` sees every answer's head and the connection's number.
pub fn run(plan: &Plan, mut answered: impl FnMut(usize, &[u8])) -> io::Result<Tally> {
    let mut client = Client {
        poll: Poll::new()?,
        plan,
        started: Instant::now(),
        early: VecDeque::new(),
        sent: 0,
        tally: Tally::default(),
    };
    let mut connections = Vec::with_capacity(plan.connections);
    for number in 0..plan.connections {
        connections.push(client.connect(number)?);
    }
    client.started = Instant::now();
    for connection in &mut connections {
        client.next(connection);
    }
    let mut last_answers = None;
    let mut events = Events::with_capacity(256);
    loop {
        if client.sent >= plan.count || client.started.elapsed() >= plan.time {
            client.sent = plan.count;
            let end = *last_answers.get_or_insert_with(|| Instant::now() + LAST_ANSWERS);
            let waiting = connections
                .iter()
                .filter(|connection| connection.is_waiting)
                .count() as u64;
            if waiting == 0 || Instant::now() >= end {
                client.tally.failed += waiting;
                client.tally.took = client.started.elapsed();
                return Ok(client.tally);
            }
        }
        while !client.is_early()
            && let Some(number) = client.early.pop_front()
        {
            // It may have been replaced and have sent its request since.
            if !connections[number].is_waiting {
                client.next(&mut connections[number]);
            }
        }
        let patience = match plan.rate {
            Some(_) => Duration::ZERO,
            None => Duration::from_millis(100),
        };
        match client.poll.poll(&mut events, Some(patience)) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        if events.is_empty() && plan.rate.is_some() {
            thread::sleep(GLANCE);
        }
        for event in &events {
            let number = event.token().0;
            let stays = client.serve(&mut connections[number], &mut |head| answered(number, head));
            if !stays && client.sent < plan.count {
                connections[number] = client.connect(number)?;
                client.next(&mut connections[number]);
            }
        }
    }
}

struct Client<'a> {
    poll: Poll,
    plan: &'a Plan,
    started: Instant,
    /// Connections whose next request is not due yet.
    early: VecDeque<usize>,
    sent: u64,
    tally: Tally,
}

impl Client<'_> {
    fn connect(&self, number: usize) -> io::Result<Connection> {
        let stream = std::net::TcpStream::connect(self.plan.server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(
            &mut stream,
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(Connection {
            number,
            stream,
            input: Vec::new(),
            output: Vec::new(),
            is_waiting: false,
        })
    }

    /// Whether the next request is not due yet.
    fn is_early(&self) -> bool {
        let due = |rate: u32| self.started.elapsed().as_secs_f64() * f64::from(rate);
        self.plan
            .rate
            .is_some_and(|rate| self.sent as f64 > due(rate))
    }

    /// Puts the next request under way, if there is to be one.
    fn next(&mut self, connection: &mut Connection) {
        if self.sent >= self.plan.count {
            return;
        }
        if self.is_early() {
            self.early.push_back(connection.number);
            return;
        }
        let turn = (self.sent % self.plan.requests.len() as u64) as usize;
        connection
            .output
            .extend_from_slice(&self.plan.requests[turn]);
        connection.is_waiting = true;
        self.sent += 1;
        // What cannot be written at once is written when the socket says so; what fails shows when reading.
        let _ = flush(connection);
    }

    /// Reads what there is; false where the connection is over.
    fn serve(&mut self, connection: &mut Connection, answered: &mut impl FnMut(&[u8])) -> bool {
        let mut is_open = flush(connection).is_ok();
        let mut buffer = [0; 16 * 1024];
        while is_open {
            match connection.stream.read(&mut buffer) {
                Ok(0) => is_open = false,
                Ok(length) => connection.input.extend_from_slice(&buffer[..length]),
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => break,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(_) => is_open = false,
            }
            match self.take(connection, answered) {
                Ok(stays) => is_open &= stays,
                Err(()) => is_open = false,
            }
        }
        if !is_open && connection.is_waiting {
            self.tally.failed += 1;
            self.tally.closed += 1;
        }
        is_open
    }

    /// Takes a whole answer from what was read and sends the next request; `Ok(false)` where the answer
    /// announced the connection's end.
    fn take(
        &mut self,
        connection: &mut Connection,
        answered: &mut impl FnMut(&[u8]),
    ) -> Result<bool, ()> {
        if connection.input.is_empty() {
            return Ok(true);
        }
        if !connection.is_waiting {
            return Err(());
        }
        let Some(Parsed {
            status,
            head,
            length,
            closes,
        }) = head::parse(&connection.input)?
        else {
            return Ok(true);
        };
        answered(&connection.input[head]);
        if connection.input.len() > length {
            // More than was asked for.
            return Err(());
        }
        connection.input.clear();
        connection.is_waiting = false;
        match status {
            ..400 => self.tally.answered += 1,
            _ => self.tally.failed += 1,
        }
        if closes {
            self.tally.ended += 1;
            return Ok(false);
        }
        self.next(connection);
        Ok(true)
    }
}

fn flush(connection: &mut Connection) -> io::Result<()> {
    while !connection.output.is_empty() {
        match connection.stream.write(&connection.output) {
            Ok(written) => drop(connection.output.drain(..written)),
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, net::TcpListener, thread};

    use super::*;
    use crate::load::Origin;

    fn plan(server: SocketAddr, connections: usize, count: u64) -> Plan {
        let requests = vec![b"GET /Test/orders HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()];
        Plan {
            server,
            connections,
            requests,
            count,
            time: Duration::from_secs(60),
            rate: None,
        }
    }

    #[test]
    fn a_pace_is_kept() {
        let origin = Origin::start(1, None).unwrap();
        let mut plan = plan(origin.addresses[0], 8, 1_000);
        plan.rate = Some(2_000);
        let tally = run(&plan, |_, _| {}).unwrap();
        assert_eq!((tally.answered, tally.failed), (1_000, 0));
        assert!(tally.took >= Duration::from_millis(499), "{tally:?}");
    }

    #[test]
    fn exactly_the_planned_requests_are_answered() {
        let origin = Origin::start(1, None).unwrap();
        let mut seen = 0;
        let tally = run(&plan(origin.addresses[0], 8, 1_000), |connection, head| {
            assert!(connection < 8);
            assert_eq!(head::field(head, "x-worker"), Some(&b"worker1"[..]));
            seen += 1;
        });
        let tally = tally.unwrap();
        assert_eq!(
            (tally.answered, tally.failed, tally.closed, tally.ended),
            (1_000, 0, 0, 0)
        );
        assert_eq!(seen, 1_000);
    }

    #[test]
    fn a_connection_that_ends_under_a_request_is_counted_as_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let answers = [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut",
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ];
        let members = thread::spawn(move || {
            for text in answers {
                let mut stream = listener.accept().unwrap().0;
                let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream.write_all(text.as_bytes()).unwrap();
            }
            // The last connection is opened once no more requests are to be sent, or not at all.
            drop(listener);
        });
        let tally = run(&plan(server, 1, 4), |_, _| {}).unwrap();
        members.join().unwrap();
        assert_eq!(
            (tally.answered, tally.failed, tally.closed, tally.ended),
            (1, 3, 2, 1)
        );
    }
}
