//! One connection of the client: a request that is written, an answer that is read.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::fd::AsRawFd,
    time::Instant,
};

use mio::net::TcpStream;

use super::head;

/// What a step of reading or writing came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// There may be more to read.
    More,
    /// Nothing more for now.
    Nothing,
    /// The end of an answer.
    Answer {
        /// Of the status line.
        status: u16,
        /// The server will close the connection.
        closes: bool,
    },
    /// The connection is over, or what it says makes no sense.
    End,
}

/// A place for a connection, which may be closed for the time being.
#[derive(Debug)]
pub struct Connection {
    /// Among all.
    pub number: usize,
    /// Where it is open.
    pub stream: Option<TcpStream>,
    /// When the request under way was to be sent.
    pub since: Instant,
    /// Number of the request under way and how many of its bytes were written.
    request: Option<(usize, usize)>,
    /// Read, and not an answer yet.
    input: Vec<u8>,
    /// Bytes of the body that are still to come, and what its head said.
    rest: Option<(usize, u16, bool)>,
}

impl Connection {
    /// Closed for now.
    pub fn new(number: usize) -> Self {
        Self {
            number,
            stream: None,
            since: Instant::now(),
            request: None,
            input: Vec::new(),
            rest: None,
        }
    }

    /// Whether an answer is to come.
    pub fn is_waiting(&self) -> bool {
        self.request.is_some()
    }

    /// Ends it, with what was under way.
    pub fn close(&mut self) {
        self.stream = None;
        self.request = None;
        self.rest = None;
        self.input.clear();
    }

    /// Puts a request under way. What cannot be written at once is written when the socket says so; what
    /// fails shows when reading.
    pub fn send(&mut self, request: usize, since: Instant, requests: &[Vec<u8>]) {
        self.request = Some((request, 0));
        self.since = since;
        self.flush(requests);
    }

    /// Writes what is left of the request.
    pub fn flush(&mut self, requests: &[Vec<u8>]) -> Got {
        let (Some(stream), Some((request, written))) = (&mut self.stream, &mut self.request) else {
            return Got::More;
        };
        while let Some(left) = requests[*request]
            .get(*written..)
            .filter(|left| !left.is_empty())
        {
            match stream.write(left) {
                Ok(length) => *written += length,
                // The second one of a connection that is still being opened.
                Err(cause)
                    if matches!(
                        cause.kind(),
                        ErrorKind::WouldBlock | ErrorKind::NotConnected
                    ) =>
                {
                    return Got::More;
                }
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                // An answer that refuses the rest may have come before.
                Err(_) => return Got::More,
            }
        }
        Got::More
    }

    /// Reads once, through `buffer`. `ends`: the socket told that its end has come, so all must be read up to it.
    pub fn read(&mut self, buffer: &mut [u8], ends: bool, answered: &mut impl FnMut(&[u8])) -> Got {
        let Some(stream) = &mut self.stream else {
            return Got::Nothing;
        };
        // A stream that gave less than was asked for is empty, and tells when it no longer is.
        let unless_all = if ends { Got::More } else { Got::Nothing };
        if let Some((rest, status, closes)) = self.rest {
            return match skip(stream, rest, buffer) {
                Ok(0) => Got::End,
                Ok(length) if length == rest => self.end(status, closes),
                Ok(length) => {
                    self.rest = Some((rest - length, status, closes));
                    unless_all
                }
                Err(cause) => failed(&cause),
            };
        }
        let length = match stream.read(buffer) {
            Ok(0) => return Got::End,
            Ok(length) => length,
            Err(cause) => return failed(&cause),
        };
        if self.request.is_none() {
            // Nobody asked.
            return Got::End;
        }
        let got = if self.input.is_empty() {
            self.take(&buffer[..length], answered)
        } else {
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(&buffer[..length]);
            self.take(&input, answered)
        };
        match got {
            Got::More if length < buffer.len() => unless_all,
            got => got,
        }
    }

    fn take(&mut self, bytes: &[u8], answered: &mut impl FnMut(&[u8])) -> Got {
        match head::parse(bytes) {
            Err(()) => Got::End,
            Ok(None) => {
                self.input = bytes.to_vec();
                Got::More
            }
            Ok(Some(parsed)) => {
                answered(&bytes[parsed.head]);
                match parsed.length.checked_sub(bytes.len()) {
                    Some(0) => self.end(parsed.status, parsed.closes),
                    Some(rest) => {
                        self.rest = Some((rest, parsed.status, parsed.closes));
                        Got::More
                    }
                    // More than was asked for.
                    None => Got::End,
                }
            }
        }
    }

    fn end(&mut self, status: u16, closes: bool) -> Got {
        self.rest = None;
        self.request = None;
        Got::Answer { status, closes }
    }
}

fn failed(cause: &io::Error) -> Got {
    match cause.kind() {
        ErrorKind::WouldBlock => Got::Nothing,
        ErrorKind::Interrupted => Got::More,
        _ => Got::End,
    }
}

/// Takes up to `most` bytes from the stream without looking at them.
fn skip(stream: &mut TcpStream, most: usize, buffer: &mut [u8]) -> io::Result<usize> {
    if let Some(buffer) = buffer.get_mut(..most) {
        return stream.read(buffer);
    }
    // SAFETY: with MSG_TRUNC a TCP socket drops the bytes and writes none (tcp(7)), so there need be no buffer.
    let skipped = unsafe {
        libc::recv(
            stream.as_raw_fd(),
            std::ptr::null_mut(),
            most,
            libc::MSG_TRUNC,
        )
    };
    usize::try_from(skipped).map_err(|_| io::Error::last_os_error())
}
