//! A member's answer on its way to the client: rewritten, framed, carried, concluded.

use std::sync::atomic::Ordering;

use tracing::warn;

use super::{
    answer::{self, Manner},
    attempt::Reply,
    burst,
    download::{Download, DownloadError, Filter},
    downstream::Downstream,
    error::ProxyError,
    exchange::Exchange,
    forwarded,
    handle::{Gateway, Next},
    record::Trace,
    relay::{self, Pauses},
    rewrite::{Given, filter, plan_response},
    tunnel,
    upload::Upload,
};
use crate::{
    decision::{BodyPlan, Failure, Outcome},
    generation::{Forward, Generation},
    http1::{self, Decoder, Fields, Framing, ReadError, Version},
    members::moment,
    snapshot::Vhost,
};

/// What a delivery needs beside the answer.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// This worker.
    pub gateway: &'a Gateway,
    /// The request's generation.
    pub live: &'a Generation,
    /// Its route.
    pub forward: &'a Forward,
    /// Its vhost.
    pub vhost: &'a Vhost,
    /// The request.
    pub exchange: &'a Exchange<'a>,
    /// How to answer.
    pub manner: Manner,
}

fn given<'a>(delivery: Delivery<'a>, reply: &'a Reply) -> Given<'a> {
    Given {
        worker: delivery.gateway.worker,
        forward: delivery.forward,
        exchange: delivery.exchange,
        member: reply.in_flight.settings(),
        status: reply.head.status,
        moved: reply.moved,
    }
}

/// Delivers an answer to its end.
pub async fn deliver(
    delivery: Delivery<'_>,
    mut reply: Reply,
    down: &mut Downstream<'_>,
    upload: &mut Upload,
    trace: &mut Trace<'_>,
) -> Result<Next, ProxyError> {
    let exchange = delivery.exchange;
    let member_keeps = reply.head.keep_alive();
    let mut fields = std::mem::take(&mut reply.head.fields);
    if reply.head.status == 101 {
        return Ok(Box::pin(switch(delivery, reply, fields, down, trace)).await);
    }
    // Told where no body follows.
    let length = (delivery.manner.head_only || reply.head.status == 304)
        .then(|| fields.get("content-length").map(<[u8]>::to_vec))
        .flatten();
    let member_version = reply.head.version;
    forwarded::to_client(
        &mut fields,
        delivery.live.snapshot.via.as_deref(),
        member_version,
    );
    let asked = trace.clock();
    let planned = plan_response(given(delivery, &reply), &mut fields).await?;
    trace.decided(asked);
    let status = planned.status;

    if status >= 400
        && delivery.vhost.replace_member_errors
        && answer::page_for(delivery.vhost, status).is_some()
    {
        // The member's connection goes with the body nobody wants.
        answer::keep_acted_on(&mut fields);
        let vhost = Some(delivery.vhost);
        let page = answer::error(down, trace, delivery.manner, vhost, status, "", fields);
        let sent = Box::pin(page).await;
        conclude(delivery, &reply, trace, Failure::None);
        return Ok(Next::of(sent, delivery.manner));
    }

    let filter = match planned.body {
        BodyPlan::Pass => Filter::None,
        _ => Box::pin(filter(delivery.manner.head_only, &planned, &mut fields)).await?,
    };
    let mut manner = delivery.manner;
    let bodiless = manner.head_only || status == 204 || status == 304;
    let framing = match (bodiless, reply.head.framing) {
        (true, _) => Framing::None,
        (false, framing @ (Framing::None | Framing::Length(_)))
            if matches!(filter, Filter::None) =>
        {
            match framing {
                Framing::Length(length) => Framing::Length(length),
                _ => Framing::Length(0),
            }
        }
        (false, _) if manner.version == Version::Http11 => Framing::Chunked,
        (false, _) => Framing::Close,
    };
    if framing == Framing::None
        && status != 204
        && let Some(length) = length
    {
        fields.push("Content-Length", &length);
    }
    manner.keep &= framing != Framing::Close;
    answer::date(&mut fields);
    let mut out = Vec::with_capacity(1024);
    let connection = down.part(&mut manner);
    http1::response_head(&mut out, status, &fields, framing, connection);
    trace.status = status;
    trace.answering = true;
    trace.head_bytes = out.len() as u64;
    trace.response = fields;

    let body_framing = if bodiless {
        Framing::None
    } else {
        reply.head.framing
    };
    let mut download = Download::new(Decoder::new(body_framing), filter, framing, out);
    let limits = &delivery.live.snapshot.limits;
    let settings = reply.in_flight.settings();
    let pauses = Pauses {
        member: settings.answer_timeout,
        client_body: limits.body_timeout,
        client: limits.write_timeout,
    };
    let must_reset = down.must_reset;
    must_reset.store(framing == Framing::Close, Ordering::Relaxed);
    burst::gather().await;
    let carried = relay::relay(&mut reply.connection, down, &mut download, upload, pauses).await;
    must_reset.store(false, Ordering::Relaxed);
    trace.body_bytes = download.delivered;
    // httpd counts the status line without CR LF and the body, so do the golden schedules.
    reply.in_flight.received(download.received + STATUS_LINE);
    match carried {
        Ok(()) => {
            conclude(delivery, &reply, trace, Failure::None);
            let clean = download.is_received()
                && member_keeps
                && upload.is_done()
                && reply.connection.buffer.is_empty();
            if clean && settings.keepalive && body_framing == reply.head.framing {
                let Reply {
                    connection,
                    in_flight,
                    ..
                } = reply;
                connection.keep(delivery.gateway.worker, &in_flight);
            }
            Ok(if manner.keep && upload.is_done() {
                Next::Keep
            } else {
                Next::Close
            })
        }
        Err(error) => {
            let failure = broken(&error, &reply, exchange, trace);
            conclude(delivery, &reply, trace, failure);
            if !download.has_begun() && !matches!(error, DownloadError::Client(_)) {
                // Not a byte of the head is out: the client can still be told properly.
                trace.answering = false;
                return Err(ProxyError::Plan(
                    "the answer's body cannot be carried".into(),
                ));
            }
            trace.aborted = true;
            // A missing end is seen by itself, and what was sent still arrives. Only where the close
            // is the end must it be a reset, which may destroy bytes on their way.
            Ok(match framing {
                Framing::Close => Next::Abort,
                _ => Next::Close,
            })
        }
    }
}

/// `HTTP/1.1 200 OK`
const STATUS_LINE: u64 = 15;

/// Says what broke an answer off, and what that says of the member.
fn broken(
    error: &DownloadError,
    reply: &Reply,
    exchange: &Exchange<'_>,
    trace: &mut Trace<'_>,
) -> Failure {
    let (failure, word, cause) = match error {
        DownloadError::Client(error) => return client_left(error, trace),
        DownloadError::Member(ReadError::TimedOut) => (
            Failure::ResponseTimeout,
            "body_timeout",
            "it paused too long".into(),
        ),
        DownloadError::Member(ReadError::Malformed(error)) => {
            (Failure::Protocol, "protocol", error.to_string())
        }
        DownloadError::Member(error) => (Failure::Reset, "reset", error.to_string()),
        DownloadError::Body(error) => (Failure::None, "body", error.to_string()),
        DownloadError::Guest(error) => (Failure::None, "body_policy", error.to_string()),
    };
    trace.error = word;
    let member = reply.in_flight.settings();
    warn!(tenant = %exchange.tenant, vhost = %exchange.vhost, member = %member.id, %cause, "An answer was broken off in its body");
    if failure != Failure::None {
        reply.in_flight.failed(failure, false);
    }
    failure
}

fn client_left(error: &std::io::Error, trace: &mut Trace<'_>) -> Failure {
    let slow = error.kind() == std::io::ErrorKind::TimedOut;
    trace.error = if slow { "client_slow" } else { "client_left" };
    Failure::Cancelled
}

fn conclude(delivery: Delivery<'_>, reply: &Reply, trace: &Trace<'_>, failure: Failure) {
    let micros = |duration: std::time::Duration| duration.as_micros().min(u32::MAX.into()) as u32;
    let outcome = Outcome {
        revision: reply.in_flight.members().revision,
        member: reply.in_flight.index(),
        status: reply.head.status,
        failure,
        connect_us: micros(reply.connection.connect_time),
        first_byte_us: micros(reply.first_byte),
        total_us: micros(moment::now() - reply.sent_at),
        bytes_in: trace.body_bytes,
        bytes_out: 0,
    };
    delivery.forward.completed(delivery.exchange, outcome);
}

/// Passes a 101 on and carries the new protocol until it ends.
async fn switch(
    delivery: Delivery<'_>,
    mut reply: Reply,
    mut fields: Fields,
    down: &mut Downstream<'_>,
    trace: &mut Trace<'_>,
) -> Next {
    let protocol = fields.text("upgrade").unwrap_or_default().to_owned();
    forwarded::strip_hop_by_hop(&mut fields);
    fields.push("Upgrade", protocol.as_bytes());
    let mut out = Vec::new();
    http1::response_head(&mut out, 101, &fields, Framing::None, Some("Upgrade"));
    trace.status = 101;
    trace.answering = true;
    trace.head_bytes = out.len() as u64;
    if down.write(&out, delivery.manner.patience).await.is_err() {
        return Next::Abort;
    }
    let idle = delivery.live.snapshot.limits.tunnel_timeout;
    let (to_client, to_member) = tunnel::run(&mut reply.connection, down, idle).await;
    trace.body_bytes = to_client;
    trace.received_bytes += to_member;
    reply.in_flight.received(to_client + STATUS_LINE);
    reply.in_flight.sent(to_member);
    conclude(delivery, &reply, trace, Failure::None);
    Next::Close
}
