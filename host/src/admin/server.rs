//! Serves the endpoint, on a thread of its own.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Runtime,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    bind::{Bound, Connection, Listener},
    collect::Sources,
    metrics,
};
use crate::{
    members::locked,
    snapshot::{Admin, AdminBind},
};

/// Connections at once; more wait in the backlog.
const CONNECTIONS: usize = 16;
/// For a request's head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// For a connection in all: every one serves a single request.
const CONNECTION_TIME: Duration = Duration::from_secs(15);
/// Bytes of a head: what `curl` sends has 100.
const HEAD_SIZE: usize = 16 << 10;

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for `switchyard status` on {}: {cause}", shown(.at))]
pub struct AdminError {
    /// As configured.
    pub at: AdminBind,
    /// The system's word.
    #[source]
    pub cause: io::Error,
}

/// A bound endpoint that does not answer yet. Dropping it gives the address back.
#[derive(Debug)]
pub struct Prepared {
    bound: Bound,
    runtime: Runtime,
    address: AdminBind,
    hosts: Arc<Hosts>,
}

/// The endpoint in service; dropping it ends that.
#[derive(Debug)]
pub struct Server {
    address: AdminBind,
    hosts: Arc<Hosts>,
    /// Dropped: stop.
    _stop: watch::Sender<()>,
}

/// Binds the admin listener; `beside` the one in service, which goes when this one comes.
pub fn bind(admin: &Admin, beside: Option<&AdminBind>) -> Result<Prepared, AdminError> {
    let failed = |cause| AdminError {
        at: admin.bind.clone(),
        cause,
    };
    let bound = Bound::new(&admin.bind, beside).map_err(failed)?;
    let address = bound.address().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    Ok(Prepared {
        bound,
        runtime,
        hosts: Arc::new(Hosts::new(&address, &admin.hosts)),
        address,
    })
}

impl Prepared {
    /// Answers to these values of `Host`, beside the loopback names.
    pub fn set_hosts(&self, hosts: &[String]) {
        self.hosts.set(hosts);
    }

    /// Answers from now on.
    pub fn serve(self, sources: Arc<Sources>) -> Result<Server, AdminError> {
        let Self {
            bound,
            runtime,
            address,
            hosts,
        } = self;
        let (stop, stopped) = watch::channel(());
        let router = router(sources, Arc::clone(&hosts));
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || runtime.block_on(run(bound, router, stopped)))
            .map_err(|cause| AdminError {
                at: address.clone(),
                cause,
            })?;
        Ok(Server {
            address,
            hosts,
            _stop: stop,
        })
    }
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> &AdminBind {
        &self.address
    }

    /// Answers to these values of `Host` from now on, beside the loopback names.
    pub fn set_hosts(&self, hosts: &[String]) {
        self.hosts.set(hosts);
    }
}

/// An address as an operator writes it.
pub(crate) fn shown(at: &AdminBind) -> String {
    match at {
        AdminBind::Tcp(address) => address.to_string(),
        AdminBind::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn router(sources: Arc<Sources>, hosts: Arc<Hosts>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics_page))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "There are /status, /metrics, /livez and /readyz.\n",
            )
        })
        .with_state(sources)
        .layer(middleware::from_fn_with_state(hosts, guard))
}

async fn status(State(sources): State<Arc<Sources>>) -> impl IntoResponse {
    Json(sources.status())
}

async fn metrics_page(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let format = metrics::Format::accepted(accept.unwrap_or_default());
    let page = metrics::render(&sources, format);
    let kind = HeaderValue::from_static(format.content_type());
    ([(header::CONTENT_TYPE, kind)], page).into_response()
}

async fn ready(State(sources): State<Arc<Sources>>) -> (StatusCode, &'static str) {
    match (sources.ready)() {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// A page of somebody else's, whose name leads here (DNS rebinding), sends its own name.
async fn guard(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    let mut response = if hosts.know(request.headers()) {
        next.run(request).await
    } else {
        let says = "This Host is not answered; [admin] hosts lists those that are.\n";
        (StatusCode::MISDIRECTED_REQUEST, says).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let no_sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniff);
    response
}

/// Values of `Host` that are answered.
#[derive(Debug)]
struct Hosts {
    /// The listener's own address, unless it is a wildcard's.
    own: Option<IpAddr>,
    configured: Mutex<Vec<String>>,
}

impl Hosts {
    fn new(address: &AdminBind, configured: &[String]) -> Self {
        let own = match address {
            AdminBind::Tcp(address) => Some(address.ip()),
            AdminBind::Unix(_) => None,
        };
        Self {
            own: own.filter(|ip| !ip.is_unspecified()),
            configured: Mutex::new(configured.to_vec()),
        }
    }

    fn set(&self, hosts: &[String]) {
        *locked(&self.configured) = hosts.to_vec();
    }

    fn know(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let Some(host) = host.to_str().ok().and_then(without_port) else {
            return false;
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return ip.is_loopback() || self.own == Some(ip) || self.lists(host);
        }
        host.eq_ignore_ascii_case("localhost") || self.lists(host)
    }

    fn lists(&self, host: &str) -> bool {
        let configured = locked(&self.configured);
        let listed = |entry: &String| {
            without_port(entry).is_some_and(|entry| entry.eq_ignore_ascii_case(host))
        };
        configured.iter().any(listed)
    }
}

/// The host of `host:port` or `[v6]:port`; IPv6 without brackets.
fn without_port(text: &str) -> Option<&str> {
    if let Some(v6) = text.strip_prefix('[') {
        let (ip, port) = v6.split_once(']')?;
        return (port.is_empty() || port.starts_with(':')).then_some(ip);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some(text);
    }
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    port.bytes().all(|b| b.is_ascii_digit()).then_some(host)
}

async fn run(bound: Bound, router: Router, mut stopped: watch::Receiver<()>) {
    let listener = match bound.listen() {
        Ok(listener) => listener,
        Err(cause) => {
            warn!(%cause, "The admin listener does not work; `switchyard status` gets no answer");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::select! {
        () = accept(&listener, router, &places) => {}
        _ = stopped.changed() => {}
    }
    drop(listener);
    // Whoever was accepted gets an answer; each has its time limit.
    let _ = places.acquire_many(CONNECTIONS as u32).await;
}

async fn accept(listener: &Listener, router: Router, places: &Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(cause) => {
                // Descriptors are exhausted, most likely; traffic goes before us.
                debug!(%cause, "The admin listener did not accept");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        tokio::spawn(async move {
            let served = async {
                match connection {
                    Connection::Tcp(stream) => answer(stream, router).await,
                    Connection::Unix(stream) => answer(stream, router).await,
                }
            };
            // Whoever is slower than that reads no status.
            let _ = timeout(CONNECTION_TIME, served).await;
            drop(place);
        });
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let service = TowerToHyperService::new(router);
    let served: Result<(), hyper::Error> = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(cause) = served {
        debug!(%cause, "An admin connection failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listens: &str) -> Hosts {
        let address = AdminBind::Tcp(listens.parse().unwrap());
        Hosts::new(
            &address,
            &["gateway.example".into(), "192.0.2.1:9191".into()],
        )
    }

    fn knows(hosts: &Hosts, values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::HOST, HeaderValue::from_str(value).unwrap());
        }
        hosts.know(&headers)
    }

    #[test]
    fn loopback_names_own_address_and_configured_hosts_are_answered() {
        let hosts = hosts("10.0.0.1:9191");
        for good in [
            "localhost",
            "LocalHost:9191",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:9191",
            "[::1]",
            "10.0.0.1:9191",
            "gateway.example",
            "Gateway.Example:1",
            "192.0.2.1",
        ] {
            assert!(knows(&hosts, &[good]), "{good}");
        }
    }

    #[test]
    fn all_other_hosts_are_refused() {
        let hosts = hosts("10.0.0.1:9191");
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.2",
            "[::2]",
            "[::1]evil",
            "localhost:80@evil.example",
            "evil.example:localhost",
        ] {
            assert!(!knows(&hosts, &[bad]), "{bad}");
        }
        assert!(!knows(&hosts, &[]), "none");
        assert!(!knows(&hosts, &["localhost", "localhost"]), "two");
        let everywhere = self::hosts("0.0.0.0:9191");
        assert!(!knows(&everywhere, &["0.0.0.0"]));
    }
}
