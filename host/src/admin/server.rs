//! Serves the endpoint, on a thread of its own.

use std::{io, sync::Arc, thread, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
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
    door::Door,
    metrics,
    orders::order,
};
use crate::snapshot::{Admin, AdminBind};

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
    door: Arc<Door>,
}

/// The endpoint in service; dropping it ends that.
#[derive(Debug)]
pub struct Server {
    address: AdminBind,
    door: Arc<Door>,
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
        door: Arc::new(Door::new(&address, admin)),
        address,
    })
}

impl Prepared {
    /// Whom to answer, and who may give orders.
    pub fn set_rules(&self, admin: &Admin) {
        self.door.set(admin);
    }

    /// Answers from now on.
    pub fn serve(self, sources: Arc<Sources>) -> Result<Server, AdminError> {
        let Self {
            bound,
            runtime,
            address,
            door,
        } = self;
        let (stop, stopped) = watch::channel(());
        let router = router(sources, &door);
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || runtime.block_on(run(bound, router, stopped)))
            .map_err(|cause| AdminError {
                at: address.clone(),
                cause,
            })?;
        Ok(Server {
            address,
            door,
            _stop: stop,
        })
    }
}

impl Server {
    /// Where it listens, with the real port.
    pub fn address(&self) -> &AdminBind {
        &self.address
    }

    /// Whom to answer from now on, and who may give orders.
    pub fn set_rules(&self, admin: &Admin) {
        self.door.set(admin);
    }
}

/// An address as an operator writes it.
pub(crate) fn shown(at: &AdminBind) -> String {
    match at {
        AdminBind::Tcp(address) => address.to_string(),
        AdminBind::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn router(sources: Arc<Sources>, door: &Arc<Door>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/metrics", get(metrics_page))
        .route("/policies/{policy}/{order}", post(order))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                "There are /status, /metrics, /livez, /readyz, and POST /policies/NAME/rollback, /promote, /undo.\n",
            )
        })
        .with_state(sources)
        .layer(Extension(Arc::clone(door)))
        .layer(middleware::from_fn_with_state(Arc::clone(door), guard))
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
async fn guard(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let mut response = if door.knows(request.headers()) {
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
        let router = router.clone().layer(Extension(connection.peer()));
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
