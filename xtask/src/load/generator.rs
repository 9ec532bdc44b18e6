//! A client with many kept-alive connections: one thread, one poll loop, one request under way on each.
//!
//! With a pace, a request's latency counts from the moment at which it was to be sent, whether or not a
//! connection was free then: a front that stops for a while is not spared the requests it kept from being sent.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, event::Event, net::TcpStream};

use super::{
    connection::{Connection, Got},
    latency::Latencies,
    pause,
};

/// Longest wait for answers once no more requests are sent; what is still missing then has failed.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// How long a client with nothing to send looks at its sockets alone.
const LOOK: Duration = Duration::from_millis(100);
/// What is left of a body beyond this is thrown away by the kernel: a copy that nobody reads would cost more
/// than the front's relaying it.
const BUFFER: usize = 32 * 1024;

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
    /// From when a request was to be sent to the end of its answer.
    pub latencies: Latencies,
}

impl Tally {
    /// What came back before, and this after it.
    pub fn add(&mut self, more: &Self) {
        self.answered += more.answered;
        self.failed += more.failed;
        self.closed += more.closed;
        self.ended += more.ended;
        self.took += more.took;
        self.latencies.add(&more.latencies);
    }
}

/// Sends requests as planned. `answered` sees every answer's head and the connection's number.
pub fn run(plan: &Plan, mut answered: impl FnMut(usize, &[u8])) -> io::Result<Tally> {
    let mut connections = Vec::with_capacity(plan.connections);
    let poll = Poll::new()?;
    for number in 0..plan.connections {
        // These wait for the server, so that one that is not there is an error and no failed request.
        let stream = std::net::TcpStream::connect(plan.server)?;
        stream.set_nonblocking(true)?;
        let mut connection = Connection::new(number);
        open(&poll, &mut connection, TcpStream::from_std(stream))?;
        connections.push(connection);
    }
    let mut client = Client {
        poll,
        plan,
        started: Instant::now(),
        early: VecDeque::new(),
        is_over: false,
        sent: 0,
        tally: Tally::default(),
        buffer: vec![0; BUFFER],
    };
    for connection in &mut connections {
        client.next(connection)?;
    }
    let mut last_answers = None;
    let mut events = Events::with_capacity(256);
    loop {
        client.is_over |= client.sent >= plan.count || client.started.elapsed() >= plan.time;
        if client.is_over {
            let end = *last_answers.get_or_insert_with(|| Instant::now() + LAST_ANSWERS);
            let waiting = connections.iter().filter(|one| one.is_waiting()).count() as u64;
            if waiting == 0 || Instant::now() >= end {
                client.tally.failed += waiting;
                client.tally.took = client.started.elapsed();
                return Ok(client.tally);
            }
        }
        while client.due() <= Instant::now()
            && let Some(number) = client.early.pop_front()
        {
            client.next(&mut connections[number])?;
        }
        client.wait(&mut events)?;
        for event in &events {
            let connection = &mut connections[event.token().0];
            let number = connection.number;
            client.serve(connection, event, &mut |head| answered(number, head))?;
        }
    }
}

fn open(poll: &Poll, connection: &mut Connection, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut stream, Token(connection.number), interest)?;
    connection.stream = Some(stream);
    Ok(())
}

struct Client<'a> {
    poll: Poll,
    plan: &'a Plan,
    started: Instant,
    /// Connections whose next request is not due yet.
    early: VecDeque<usize>,
    /// No more requests are sent.
    is_over: bool,
    sent: u64,
    tally: Tally,
    buffer: Vec<u8>,
}

impl Client<'_> {
    /// When the next request is to be sent.
    fn due(&self) -> Instant {
        let after = |rate: u32| Duration::from_secs_f64(self.sent as f64 / f64::from(rate));
        self.started + self.plan.rate.map_or(Duration::ZERO, after)
    }

    /// Waits for sockets, and for the next request that a free connection could send.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        if self.plan.rate.is_none() || self.early.is_empty() || self.is_over {
            return match self.poll.poll(events, Some(LOOK)) {
                Err(cause) if cause.kind() == ErrorKind::Interrupted => Ok(()),
                polled => polled,
            };
        }
        // A poll's own patience counts in milliseconds, in which dozens of requests are due.
        let patience = self.due().saturating_duration_since(Instant::now());
        pause::until_readable(&self.poll, patience.min(LOOK))?;
        match self.poll.poll(events, Some(Duration::ZERO)) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted => Ok(()),
            polled => polled,
        }
    }

    /// Puts the next request under way, if there is to be one.
    fn next(&mut self, connection: &mut Connection) -> io::Result<()> {
        if self.is_over || self.sent >= self.plan.count {
            return Ok(());
        }
        let since = match self.plan.rate {
            None => Instant::now(),
            Some(_) => self.due(),
        };
        if self.plan.rate.is_some() && since > Instant::now() {
            self.early.push_back(connection.number);
            return Ok(());
        }
        if connection.stream.is_none() {
            let stream = TcpStream::connect(self.plan.server)?;
            open(&self.poll, connection, stream)?;
        }
        let turn = (self.sent % self.plan.requests.len() as u64) as usize;
        self.sent += 1;
        connection.send(turn, since, &self.plan.requests);
        Ok(())
    }

    /// Reads what there is, and sends the next request after a whole answer.
    fn serve(
        &mut self,
        connection: &mut Connection,
        event: &Event,
        answered: &mut impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let ends = event.is_read_closed() || event.is_error();
        let mut got = connection.flush(&self.plan.requests);
        while matches!(got, Got::More) {
            got = connection.read(&mut self.buffer, ends, answered);
            if let Got::Answer { status, closes } = got {
                self.tally.latencies.record(connection.since.elapsed());
                match status {
                    ..400 => self.tally.answered += 1,
                    _ => self.tally.failed += 1,
                }
                if closes {
                    self.tally.ended += 1;
                    connection.stream = None;
                }
                self.next(connection)?;
                got = match ends && !closes {
                    true => Got::More,
                    false => Got::Nothing,
                };
            }
        }
        if matches!(got, Got::End) {
            let was_waiting = connection.is_waiting();
            connection.close();
            if was_waiting {
                self.tally.failed += 1;
                self.tally.closed += 1;
                self.next(connection)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, Write},
        net::TcpListener,
        thread,
    };

    use super::*;
    use crate::load::{Origin, head};

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
        let origin = Origin::start(1, &[]).unwrap();
        let mut plan = plan(origin.addresses[0], 8, 1_000);
        plan.rate = Some(2_000);
        let tally = run(&plan, |_, _| {}).unwrap();
        assert_eq!((tally.answered, tally.failed), (1_000, 0));
        assert!(tally.took >= Duration::from_millis(499), "{tally:?}");
    }

    #[test]
    fn a_latency_begins_when_the_request_was_to_be_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let pause = Duration::from_millis(100);
        let member = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
            for number in 0..11 {
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                if number == 0 {
                    // The member stands still: what is to be sent meanwhile waits for the only connection.
                    thread::sleep(pause);
                }
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .unwrap();
            }
        });
        let mut plan = plan(server, 1, 11);
        plan.rate = Some(1_000);
        let tally = run(&plan, |_, _| {}).unwrap();
        member.join().unwrap();
        assert_eq!((tally.answered, tally.failed), (11, 0));
        let half = tally.latencies.quantile(0.5).unwrap();
        assert!(half >= pause.mul_f64(0.9), "{half:?}");
    }

    #[test]
    fn bodies_that_nobody_reads_are_still_waited_for() {
        let origin = Origin::with(1, 1 << 20, &[]).unwrap();
        let tally = run(&plan(origin.addresses[0], 4, 100), |_, _| {}).unwrap();
        assert_eq!((tally.answered, tally.failed, tally.closed), (100, 0, 0));
    }

    #[test]
    fn a_server_that_ends_connections_as_announced_gets_new_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let member = thread::spawn(move || {
            for _ in 0..20 {
                let mut stream = listener.accept().unwrap().0;
                let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .unwrap();
            }
        });
        let tally = run(&plan(server, 1, 20), |_, _| {}).unwrap();
        member.join().unwrap();
        assert_eq!((tally.answered, tally.failed, tally.ended), (20, 0, 20));
    }

    #[test]
    fn exactly_the_planned_requests_are_answered() {
        let origin = Origin::start(1, &[]).unwrap();
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
