//! Reading HTTP/1 off a socket, strictly and with deadlines.
//!
//! Serves both sides: what the gateway sends to clients and what it sends to
//! members. Anything out of form is [`Broken::Malformed`], never repaired.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use socket2::SockRef;

pub use crate::head::{Broken, Head, Response, Stop};

/// A connection with what was read ahead.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
    /// For each wait.
    pub deadline: Duration,
}

/// What one read gave.
enum Got {
    Bytes,
    End,
    Reset,
    Nothing,
}

impl Wire {
    /// Around a connected socket.
    pub fn new(stream: TcpStream, deadline: Duration) -> Self {
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            ahead: Vec::new(),
            deadline,
        }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends everything.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.set_write_timeout(Some(self.deadline))?;
        self.stream.write_all(bytes)
    }

    /// Ends the sending direction.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Makes closing send a reset instead of a FIN.
    pub fn reset_on_close(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn fill(&mut self, end: Instant) -> Got {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Got::Nothing;
        }
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) => Got::End,
            Ok(n) => {
                self.ahead.extend_from_slice(&room[..n]);
                Got::Bytes
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Got::Nothing
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Got::Bytes,
            Err(_) => Got::Reset,
        }
    }

    /// A head; empty lines before it are a fault.
    pub fn head(&mut self) -> Result<Head, Broken> {
        let end = Instant::now() + self.deadline;
        loop {
            if let Some(at) = self.ahead.windows(4).position(|w| w == b"\r\n\r\n") {
                return Head::parse(self.ahead.drain(..at + 4).collect());
            }
            match self.fill(end) {
                Got::Bytes => {}
                Got::End if self.ahead.is_empty() => return Err(Broken::Closed),
                Got::Reset if self.ahead.is_empty() => return Err(Broken::Reset),
                Got::End | Got::Reset => {
                    return Err(Broken::InHead(std::mem::take(&mut self.ahead)));
                }
                Got::Nothing => return Err(Broken::TimedOut(self.ahead.clone())),
            }
        }
    }

    /// Exactly `n` bytes; the error says how it ended.
    pub fn exactly(&mut self, n: usize, into: &mut Vec<u8>) -> Result<(), Stop> {
        let end = Instant::now() + self.deadline;
        let mut missing = n;
        loop {
            let take = missing.min(self.ahead.len());
            into.extend(self.ahead.drain(..take));
            missing -= take;
            if missing == 0 {
                return Ok(());
            }
            match self.fill(end) {
                Got::Bytes => {}
                Got::End => return Err(Stop::End),
                Got::Reset => return Err(Stop::Reset),
                Got::Nothing => return Err(Stop::TimedOut),
            }
        }
    }

    fn line(&mut self) -> Result<String, Stop> {
        let end = Instant::now() + self.deadline;
        loop {
            if let Some(at) = self.ahead.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).take(at).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            match self.fill(end) {
                Got::Bytes => {}
                Got::End => return Err(Stop::End),
                Got::Reset => return Err(Stop::Reset),
                Got::Nothing => return Err(Stop::TimedOut),
            }
        }
    }

    /// A chunked body with its trailers.
    pub fn chunked(&mut self, body: &mut Vec<u8>) -> Result<Vec<(String, String)>, Stop> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| Stop::Malformed(format!("chunk size {line:?}")))?;
            if size == 0 {
                break;
            }
            self.exactly(size, body)?;
            if !self.line()?.is_empty() {
                return Err(Stop::Malformed("chunk data not followed by CRLF".into()));
            }
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            trailers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(trailers)
    }

    /// Everything until the peer closes; `Err` where it does not, or resets.
    pub fn to_end(&mut self, body: &mut Vec<u8>) -> Result<(), Stop> {
        let end = Instant::now() + self.deadline;
        loop {
            body.append(&mut self.ahead);
            match self.fill(end) {
                Got::Bytes => {}
                Got::End => return Ok(()),
                Got::Reset => return Err(Stop::Reset),
                Got::Nothing => return Err(Stop::TimedOut),
            }
        }
    }

    /// What comes next, at least one byte; empty at the end of the stream.
    pub fn some(&mut self) -> Result<Vec<u8>, Stop> {
        if self.ahead.is_empty() {
            match self.fill(Instant::now() + self.deadline) {
                Got::Bytes | Got::End => {}
                Got::Reset => return Err(Stop::Reset),
                Got::Nothing => return Err(Stop::TimedOut),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// A final answer and its body; interim answers are skipped. `bodiless`: to HEAD.
    pub fn response(&mut self, bodiless: bool) -> Result<Response, Broken> {
        loop {
            let head = self.head()?;
            let response = self.body_of(head, bodiless)?;
            if response.status >= 200 || response.status == 101 {
                return Ok(response);
            }
        }
    }

    /// The body that belongs to a head read with [`Wire::head`].
    pub fn body_of(&mut self, head: Head, bodiless: bool) -> Result<Response, Broken> {
        if !matches!(head.word(0), "HTTP/1.1" | "HTTP/1.0") {
            return Err(Broken::Malformed(head.first));
        }
        let status = head
            .word(1)
            .parse()
            .map_err(|_| Broken::Malformed(head.first.clone()))?;
        let (chunked, length) = (head.is_chunked(), head.length()?);
        if chunked && length.is_some() {
            return Err(Broken::Malformed("both lengths".into()));
        }
        let mut answer = Response {
            status,
            head,
            body: Vec::new(),
            trailers: Vec::new(),
        };
        if bodiless || status < 200 || status == 204 || status == 304 {
            return Ok(answer);
        }
        let read = if chunked {
            self.chunked(&mut answer.body)
                .map(|trailers| answer.trailers = trailers)
        } else if let Some(length) = length {
            self.exactly(length, &mut answer.body)
        } else {
            self.to_end(&mut answer.body)
        };
        match read {
            Ok(()) => Ok(answer),
            Err(Stop::Malformed(why)) => Err(Broken::Malformed(why)),
            Err(Stop::TimedOut) => Err(Broken::TimedOut(answer.body)),
            Err(Stop::End | Stop::Reset) => Err(Broken::InBody(Box::new(answer))),
        }
    }
}
