//! One question to a running gateway's admin listener.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use http::Method;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::{Instant, timeout},
};

use super::command::BAD_INPUT;
use crate::{
    config,
    http1::{
        Bounds, Decoder, Fields, Framing, Inlet, Malformed, ReadError, RequestLine, ResponseHead,
        request_head,
    },
    snapshot::{Admin, AdminBind},
};

/// `EX_UNAVAILABLE` of sysexits.h: nobody answers.
const UNAVAILABLE: u8 = 69;

/// Where a gateway listens unless its configuration says otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9191);

/// For everything, connect to last byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thousand members make about 400 KiB.
const LARGEST: usize = 64 << 20;

const BOUNDS: Bounds = Bounds {
    head_size: 16 << 10,
    field_count: 100,
};

/// Whom `--admin` names: `HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAddress(Address);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    /// Host and port, resolved when it is asked.
    Tcp(String),
    Unix(PathBuf),
}

impl FromStr for AdminAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path"),
                path => Ok(Self(Address::Unix(path.into()))),
            };
        }
        let port = text.rsplit_once(':').and_then(|(host, port)| {
            let plain =
                !host.is_empty() && !host.contains(|c: char| c.is_control() || " /@".contains(c));
            plain.then_some(port)
        });
        match port.map(str::parse::<u16>) {
            Some(Ok(_)) => Ok(Self(Address::Tcp(text.to_owned()))),
            _ => Err("give HOST:PORT or unix:PATH"),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Tcp(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<AdminBind> for AdminAddress {
    fn from(bind: AdminBind) -> Self {
        Self(match bind {
            AdminBind::Unix(path) => Address::Unix(path),
            AdminBind::Tcp(mut address) => {
                // It listens on all addresses; this machine's own is among them.
                match address.ip() {
                    IpAddr::V4(ip) if ip.is_unspecified() => {
                        address.set_ip(Ipv4Addr::LOCALHOST.into());
                    }
                    IpAddr::V6(ip) if ip.is_unspecified() => {
                        address.set_ip(Ipv6Addr::LOCALHOST.into());
                    }
                    _ => {}
                }
                Address::Tcp(address.to_string())
            }
        })
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("{0}")]
    Config(String),
    #[error("{0} has no admin listener; give [admin] listen an address, or name one with --admin")]
    NoAdmin(String),
    #[error(
        "cannot connect to {at}: {cause}; is the gateway running, and is this its [admin] listen?"
    )]
    Connect { at: AdminAddress, cause: io::Error },
    #[error("{at} did not answer within {PATIENCE:?}")]
    TimedOut { at: AdminAddress },
    #[error("{at} broke off: {cause}")]
    Read { at: AdminAddress, cause: ReadError },
    #[error("{at} does not answer to this name; add it to [admin] hosts, or use the address")]
    Misdirected { at: AdminAddress },
    #[error("what answers at {at} is no Switchyard: {what}")]
    Stranger { at: AdminAddress, what: String },
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub method: &'static str,
    pub target: &'a str,
    /// For orders.
    pub token: Option<&'a str>,
}

/// What is answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl EndpointError {
    /// Says so on standard error.
    pub fn fail(&self) -> ExitCode {
        eprintln!("switchyard: {self}");
        ExitCode::from(match self {
            Self::Config(_) | Self::NoAdmin(_) => BAD_INPUT,
            _ => UNAVAILABLE,
        })
    }
}

/// Where the gateway of that file listens, or the one that is named; second: what the file says of it.
pub(super) fn address(
    config: Option<&Path>,
    admin: Option<AdminAddress>,
) -> Result<(AdminAddress, Option<Admin>), EndpointError> {
    if let Some(admin) = admin {
        return Ok((admin, None));
    }
    let Some(file) = config else {
        return Ok((AdminAddress::from(AdminBind::Tcp(DEFAULT)), None));
    };
    let shown = file.display();
    let loaded = config::load(file).map_err(|report| {
        let problems = report.lines();
        let problems = problems.trim_end();
        EndpointError::Config(format!(
            "{shown} cannot be used, so it does not tell where the gateway listens; --admin does\n{problems}"
        ))
    })?;
    let admin = loaded.snapshot.admin;
    let admin = admin.ok_or_else(|| EndpointError::NoAdmin(shown.to_string()))?;
    Ok((admin.bind.clone().into(), Some(admin)))
}

/// Asks.
pub(super) fn ask(at: &AdminAddress, question: &Question<'_>) -> Result<Reply, EndpointError> {
    let connect = |cause| EndpointError::Connect {
        at: at.clone(),
        cause,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(connect)?;
    let asked = async {
        match &at.0 {
            Address::Tcp(host) => {
                put(
                    at,
                    question,
                    TcpStream::connect(host).await.map_err(connect)?,
                    host,
                )
                .await
            }
            Address::Unix(path) => {
                put(
                    at,
                    question,
                    UnixStream::connect(path).await.map_err(connect)?,
                    "localhost",
                )
                .await
            }
        }
    };
    let asked = runtime.block_on(async { timeout(PATIENCE, asked).await });
    asked.unwrap_or_else(|_| Err(EndpointError::TimedOut { at: at.clone() }))
}

async fn put(
    at: &AdminAddress,
    question: &Question<'_>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> Result<Reply, EndpointError> {
    let read = |cause| match cause {
        ReadError::Malformed(what) => stranger(at, what),
        cause => EndpointError::Read {
            at: at.clone(),
            cause,
        },
    };
    let mut head = Vec::new();
    let line = RequestLine {
        method: question.method,
        target: question.target,
        host,
        framing: match question.method {
            "GET" => Framing::None,
            // An empty body has to be said (RFC 9110, 8.6).
            _ => Framing::Length(0),
        },
        expect_continue: false,
        upgrade: None,
    };
    let mut fields = Fields::new();
    if let Some(token) = question.token {
        fields.push("authorization", format!("Bearer {token}").as_bytes());
    }
    request_head(&mut head, line, &fields);
    let written = stream.write_all(&head).await;
    written.map_err(|cause| read(cause.into()))?;
    let mut buffer = BytesMut::new();
    let mut inlet = Inlet::new(&mut stream, &mut buffer);
    let deadline = Instant::now() + PATIENCE;
    let length = inlet.head(BOUNDS.head_size, deadline).await.map_err(read)?;
    let head = inlet.buffer.split_to(length);
    let head = ResponseHead::parse(&head, &Method::GET, BOUNDS);
    let head = head.map_err(|what| stranger(at, what))?;
    let status = head.status;
    if status == 421 {
        return Err(EndpointError::Misdirected { at: at.clone() });
    }
    let mut decoder = Decoder::new(head.framing);
    let mut body = Vec::new();
    while let Some(length) = inlet.piece(&mut decoder, PATIENCE).await.map_err(read)? {
        body.extend_from_slice(&inlet.buffer[..length]);
        inlet.buffer.advance(length);
        if body.len() > LARGEST {
            return Err(EndpointError::Stranger {
                at: at.clone(),
                what: "its answer has no end".to_owned(),
            });
        }
    }
    Ok(Reply { status, body })
}

fn stranger(at: &AdminAddress, what: Malformed) -> EndpointError {
    EndpointError::Stranger {
        at: at.clone(),
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener, thread};

    use super::*;

    const STATUS: Question<'static> = Question {
        method: "GET",
        target: "/status",
        token: None,
    };

    #[test]
    fn admin_addresses_are_host_and_port_or_a_path() {
        for good in [
            "127.0.0.1:9191",
            "[::1]:9191",
            "gateway.example:80",
            "unix:/run/a.sock",
        ] {
            assert_eq!(good.parse::<AdminAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            ":9191",
            "9191",
            "host:",
            "host:99999",
            "unix:",
            "a b:1",
            "http://h:1",
            "h/x:1",
        ] {
            assert!(bad.parse::<AdminAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn wildcard_addresses_are_asked_on_loopback() {
        for (bind, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            let bind = AdminBind::Tcp(bind.parse().unwrap());
            assert_eq!(AdminAddress::from(bind).to_string(), asked);
        }
    }

    #[test]
    fn silence_is_told_with_address_and_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at: AdminAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let error = ask(&at, &STATUS).unwrap_err().to_string();
        assert!(error.contains(&at.to_string()), "{error}");
        assert!(error.contains("is the gateway running"), "{error}");
    }

    #[test]
    fn strangers_are_told_apart() {
        for (answer, expected) in [
            ("SSH-2.0-OpenSSH_9.9\r\n\r\n", "no Switchyard"),
            (
                "HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n",
                "[admin] hosts",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "broke off"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at: AdminAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
            let server = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = [0; 512];
                let _ = io::Read::read(&mut stream, &mut head).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let error = ask(&at, &STATUS).unwrap_err().to_string();
            server.join().unwrap();
            assert!(error.contains(expected), "{answer}: {error}");
        }
    }
}
