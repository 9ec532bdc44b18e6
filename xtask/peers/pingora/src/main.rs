//! A balancer on Pingora that does what the gateway is measured at: sessions by `JSESSIONID`, `X-Forwarded-*`,
//! the path's prefix, `Location` and the cookie's path.
//!
//! Started with an address to listen on, a number of threads, a file for the access log or `-`, and the members'
//! addresses; `worker1` is the first.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write},
    net::SocketAddr,
    sync::Mutex,
};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    lb::{LoadBalancer, selection::RoundRobin},
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

/// Connections that are kept to members, over all of them.
const KEPT: usize = 8192;
/// 64 KiB: many lines at once, as the other proxies write theirs.
const LOG_BUFFER: usize = 64 * 1024;

struct Balancer {
    members: LoadBalancer<RoundRobin>,
    by_route: HashMap<String, SocketAddr>,
    log: Option<Mutex<BufWriter<File>>>,
}

/// Behind the last dot of the session's cookie.
fn route(request: &RequestHeader) -> Option<&str> {
    let cookies = request.headers.get("cookie")?.to_str().ok()?;
    let session = cookies
        .split(';')
        .find_map(|pair| pair.trim_start().strip_prefix("JSESSIONID="))?;
    session.rsplit_once('.').map(|(_, route)| route)
}

#[async_trait]
impl ProxyHttp for Balancer {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, session: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let pinned = route(session.req_header()).and_then(|route| self.by_route.get(route));
        let peer = match pinned {
            Some(member) => HttpPeer::new(*member, false, String::new()),
            None => {
                let member = self.members.select(b"", 256);
                let member = member.ok_or_else(|| Error::new(ErrorType::ConnectNoRoute))?;
                HttpPeer::new(member, false, String::new())
            }
        };
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        let path = request
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        if let Some(rest) = path.strip_prefix("/app/") {
            let path = format!("/Test/{rest}");
            request.set_raw_path(path.as_bytes())?;
        }
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        if let Some(host) = session.req_header().headers.get("host") {
            request.insert_header("X-Forwarded-Host", host)?;
        }
        request.insert_header("X-Forwarded-Proto", "http")
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        (): &mut (),
    ) -> Result<()> {
        let text = |name: &str| response.headers.get(name)?.to_str().ok();
        let location = text("location").and_then(|location| {
            let (_, path) = location.strip_prefix("http://")?.split_once('/')?;
            let host = session.req_header().headers.get("host")?.to_str().ok()?;
            Some(format!("http://{host}/app/{}", path.strip_prefix("Test/")?))
        });
        let cookie = text("set-cookie").and_then(|cookie| {
            let (before, after) = cookie.split_once("Path=/Test")?;
            Some(format!("{before}Path=/app{after}"))
        });
        if let Some(location) = location {
            response.insert_header("Location", location)?;
        }
        if let Some(cookie) = cookie {
            response.insert_header("Set-Cookie", cookie)?;
        }
        Ok(())
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, (): &mut ()) {
        let Some(log) = &self.log else {
            return;
        };
        let request = session.req_header();
        let field = |name: &str| {
            let value = request
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or("-")
        };
        let client = session.client_addr().map(ToString::to_string);
        let status = session
            .response_written()
            .map_or(0, |head| head.status.as_u16());
        let line = format!(
            "{} - - \"{} {}\" {status} {} \"{}\" \"{}\"\n",
            client.as_deref().unwrap_or("-"),
            request.method,
            request.uri,
            session.body_bytes_sent(),
            field("referer"),
            field("user-agent"),
        );
        if let Ok(mut log) = log.lock() {
            // A disk that is full is no reason to answer nobody.
            let _ = log.write_all(line.as_bytes());
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--version"] {
        println!("Pingora {}", env!("PINGORA_VERSION"));
        return;
    }
    let [listen, threads, log, members @ ..] = &arguments[..] else {
        eprintln!("usage: bench-pingora LISTEN THREADS LOG|- MEMBER...");
        std::process::exit(64);
    };
    if let Err(cause) = serve(listen, threads, log, members) {
        eprintln!("{cause}");
        std::process::exit(1);
    }
}

fn serve(
    listen: &str,
    threads: &str,
    log: &str,
    members: &[String],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut by_route = HashMap::new();
    for (number, member) in (1..).zip(members) {
        by_route.insert(format!("worker{number}"), member.parse()?);
    }
    let log = match log {
        "-" => None,
        path => {
            let file = File::options().create(true).append(true).open(path)?;
            Some(Mutex::new(BufWriter::with_capacity(LOG_BUFFER, file)))
        }
    };
    let balancer = Balancer {
        members: LoadBalancer::try_from_iter(members)?,
        by_route,
        log,
    };
    let settings = ServerConf {
        threads: threads.parse()?,
        // One runtime a thread: less work between them than where they take each other's.
        work_stealing: false,
        upstream_keepalive_pool_size: KEPT,
        // SIGTERM would otherwise wait for minutes.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, balancer);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
