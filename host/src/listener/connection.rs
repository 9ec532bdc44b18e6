//! One client connection: heads in, answers out, until one side has enough.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};
use tracing::debug;

use super::{accept::Context, linger, preface};
use crate::{
    http1::{Alarm, Bounds, ReadError, RequestHead, at_once},
    members::moment,
    proxy::{self, Downstream, Drain, Ends, Next, Presence, ProxyError},
};

/// Empty lines in front of a request line are skipped, up to so many bytes (RFC 9112 2.2).
const EMPTY_LINES: usize = 4;
/// Most heads fit.
const FIRST_READ: usize = 8 * 1024;

/// Serves a connection to its end.
pub async fn serve(stream: TcpStream, peer: SocketAddr, proxy_protocol: bool, context: Context) {
    let must_reset = AtomicBool::new(false);
    let mut stream = linger::Unfinished::new(stream, &must_reset);
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let (reader, writer) = stream.split();
    let mut down = Downstream {
        reader,
        writer,
        buffer: BytesMut::new(),
        begun: moment::now(),
        head_bytes: 0,
        ends: Ends {
            peer,
            client: peer,
            local,
        },
        presence: Presence::new(false),
        must_reset: &must_reset,
        served: 0,
        drain: context.drain.clone(),
        alarm: Alarm::default(),
        parting: false,
        spoken: false,
    };
    let next = requests(&mut down, proxy_protocol, &context).await;
    let spoken = down.spoken;
    drop(down);
    match next {
        Next::Abort => must_reset.store(true, Ordering::Relaxed),
        Next::Close if spoken => linger::close_after_the_last(stream.finish()).await,
        Next::Close | Next::Keep => linger::close(stream.finish()).await,
    }
}

async fn requests(down: &mut Downstream<'_>, proxy_protocol: bool, context: &Context) -> Next {
    let gateway = &context.gateway;
    if proxy_protocol && let Err(cause) = Box::pin(introduce(down, context)).await {
        debug!(peer = %down.ends.peer, %cause, "A connection was refused");
        return Next::Close;
    }
    let mut drain = down.drain.clone();
    let mut stopping = Stopping {
        future: pin!(stops(&mut drain)),
        has_come: false,
    };
    loop {
        if !wait_for_request(down, context, &mut stopping).await {
            return Next::Close;
        }
        let (bounds, patience) = {
            let limits = &gateway.current.load().snapshot.limits;
            let bounds = Bounds {
                head_size: limits.head_size,
                field_count: limits.field_count,
            };
            (bounds, limits.head_timeout)
        };
        down.begun = moment::now();
        let head = match read_head(down, bounds, patience).await {
            Ok(head) => head,
            Err(error) => {
                Box::pin(proxy::refuse(gateway, down, &error)).await;
                return Next::Close;
            }
        };
        let next = proxy::handle(gateway, down, head).await;
        if next != Next::Keep {
            return next;
        }
        if down.parting {
            return Next::Close;
        }
        down.served += 1;
    }
}

/// Learns from a PROXY header who is meant. Only trusted peers may send one, and they must.
async fn introduce(
    down: &mut Downstream<'_>,
    context: &Context,
) -> Result<(), preface::PrefaceError> {
    let live = context.gateway.current.load();
    let peer = down.ends.peer.ip().to_canonical();
    if !live.snapshot.trusts(peer) {
        return Err(preface::PrefaceError::Malformed);
    }
    let deadline = Instant::now() + live.snapshot.limits.head_timeout;
    if let Some(client) = preface::read(&mut down.reader, &mut down.buffer, deadline).await? {
        down.ends.client = client;
    }
    Ok(())
}

/// Waits for the first byte of a request. False: none comes, or none may come any more.
async fn wait_for_request<F: Future<Output = ()>>(
    down: &mut Downstream<'_>,
    context: &Context,
    stopping: &mut Stopping<'_, F>,
) -> bool {
    let mut skipped = 0;
    let mut deadline = None;
    loop {
        while down.buffer.starts_with(b"\r\n") && skipped < EMPTY_LINES {
            down.buffer.advance(2);
            skipped += 2;
        }
        // Half an empty line says nothing yet.
        let is_half = down.buffer[..] == b"\r"[..] && skipped < EMPTY_LINES;
        if !down.buffer.is_empty() && !is_half {
            return true;
        }
        if !is_half {
            // An idle connection keeps no buffer.
            down.buffer = BytesMut::new();
        }
        let deadline = *deadline.get_or_insert_with(|| {
            moment::now() + context.gateway.current.load().snapshot.limits.idle_timeout
        });
        let reader = &down.reader;
        let spoke = tokio::select! {
            biased;
            // Not `readable`, which would wait in a list of its own.
            ready = poll_fn(|context| reader.as_ref().poll_read_ready(context)) => Some(ready.is_ok()),
            () = stopping.comes() => None,
            () = down.alarm.at(deadline) => Some(false),
        };
        let spoke = match spoke {
            Some(spoke) => spoke,
            // Draining. A client that has only just connected is heard if it speaks at once.
            None if down.served > 0 => false,
            None => matches!(timeout(GRACE, down.reader.readable()).await, Ok(Ok(()))),
        };
        if !spoke {
            return false;
        }
        down.buffer.reserve(FIRST_READ);
        // Polled, so that the runtime learns from a short read that there is no more to read, and saves
        // the next reader the attempt.
        match at_once(pin!(down.reader.read_buf(&mut down.buffer))).await {
            Poll::Ready(Ok(1..)) => {}
            // The runtime may announce bytes that are not there.
            Poll::Pending => {}
            Poll::Ready(Ok(0) | Err(_)) => return false,
        }
    }
}

/// That the gateway drains: asked for before every request, and waited for only once.
struct Stopping<'a, F> {
    future: Pin<&'a mut F>,
    has_come: bool,
}

impl<F: Future<Output = ()>> Stopping<'_, F> {
    async fn comes(&mut self) {
        if !self.has_come {
            self.future.as_mut().await;
            self.has_come = true;
        }
    }
}

/// Returns once the gateway no longer takes new requests.
async fn stops(drain: &mut watch::Receiver<Drain>) {
    // An error means that nobody is left to say so: the gateway is gone.
    let _ = drain.wait_for(|drain| *drain != Drain::Serving).await;
}

/// How long a new connection is given to speak while the gateway drains.
const GRACE: Duration = Duration::from_millis(100);

async fn read_head(
    down: &mut Downstream<'_>,
    bounds: Bounds,
    patience: Duration,
) -> Result<RequestHead, ProxyError> {
    let read = down.inlet().head_within(bounds.head_size, patience).await;
    // Where it is refused or stays unfinished, what there is of it.
    down.head_bytes = *read.as_ref().unwrap_or(&down.buffer.len()) as u64;
    let length = match read {
        Ok(length) => length,
        Err(ReadError::Closed | ReadError::Io(_)) => return Err(ProxyError::ClientLeft),
        Err(ReadError::TimedOut) => return Err(ProxyError::HeadTimedOut),
        Err(ReadError::Malformed(malformed)) => return Err(malformed.into()),
    };
    // Not split off: that would make the buffer a shared one, with a count of its own.
    let head = RequestHead::parse(&down.buffer[..length], bounds);
    down.buffer.advance(length);
    Ok(head?)
}
