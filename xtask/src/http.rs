//! A small blocking HTTP/1.1 client: one kept-alive connection, nothing repeated.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than anything a healthy gateway does to a request here.
const PATIENCE: Duration = Duration::from_secs(30);
/// 16 MiB: nobody here sends more, and a broken length must not fill memory.
const LARGEST_BODY: u64 = 16 << 20;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of the status line.
    pub status: u16,
    /// In order, names as sent.
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    /// Connections that the server closed when it should have answered.
    pub closed: u64,
}

impl Client {
    /// Connects with the first request.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            connection: None,
            closed: 0,
        }
    }

    /// Sends a GET and reads the answer. An error is what a browser would show as one.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let host = self.server.to_string();
        self.get_at(&host, path, headers)
    }

    /// Likewise, of a certain host.
    pub fn get_at(
        &mut self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Answer> {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes())
    }

    /// Sends a whole request, whatever it says, and reads the answer.
    pub fn send(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(connect(self.server)?),
        };
        let exchanged = connection
            .get_mut()
            .write_all(request)
            .and_then(|()| read(&mut connection));
        match exchanged {
            Ok((answer, stays)) => {
                self.connection = stays.then_some(connection);
                Ok(answer)
            }
            Err(cause) => {
                self.closed += 1;
                Err(cause)
            }
        }
    }
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One answer to a GET, and whether the connection stays open.
fn read(from: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let status_line = line(from)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| broken(&format!("`{status_line}` is no status line")))?;
    let mut answer = Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let field = line(from)?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field
            .split_once(':')
            .ok_or_else(|| broken(&format!("`{field}` is no header")))?;
        answer
            .headers
            .push((name.to_owned(), value.trim().to_owned()));
    }
    let is_chunked = answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    if matches!(status, 100..200 | 204 | 304) {
        // No body, whatever the headers say.
    } else if is_chunked {
        loop {
            let size = line(from)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| broken("a chunk without its size"))?;
            take(from, size, &mut answer.body)?;
            if !line(from)?.is_empty() {
                return Err(broken("a chunk longer than it says"));
            }
            if size == 0 {
                break;
            }
        }
    } else {
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        take(
            from,
            length.ok_or_else(|| broken("an answer without a length"))?,
            &mut answer.body,
        )?;
    }
    let closes = answer
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok((answer, !closes))
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(64 * 1024).read_until(b'\n', &mut bytes)?;
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => {
            String::from_utf8(line.to_vec()).map_err(|_| broken("a line that is no text"))
        }
        None => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection ended within an answer",
        )),
    }
}

fn take(from: &mut impl BufRead, size: u64, into: &mut Vec<u8>) -> io::Result<()> {
    if size > LARGEST_BODY {
        return Err(broken("an answer larger than anything here is"));
    }
    match from.take(size).read_to_end(into)? as u64 {
        read if read == size => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection ended within a body",
        )),
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> io::Result<(Answer, bool)> {
        read(&mut text.as_bytes())
    }

    #[test]
    fn bodies_are_read_by_their_framing() {
        for (text, body, stays) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcX",
                "abc",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                "abc",
                true,
            ),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
                "",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
                "",
                false,
            ),
        ] {
            let (answer, open) = parse(text).unwrap();
            assert_eq!((answer.text().as_str(), open), (body, stays), "{text}");
        }
    }

    #[test]
    fn a_cut_or_broken_answer_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let (answer, _) =
            parse("HTTP/1.1 302 Found\r\nLOCATION: /a\r\nContent-Length: 0\r\n\r\n").unwrap();
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some("/a"))
        );
    }
}
